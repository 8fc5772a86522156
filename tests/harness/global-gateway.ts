import type { TestProject } from "vitest/node";
import { addressOf, startGateway } from "./gateway.ts";

/** One gateway for all end-to-end files: they use accounts, connections and tables of their own where they change something. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const gateway = await startGateway();
  project.provide("gateway", addressOf(gateway));
  return gateway.stop;
}
