import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVICE_NAMES } from "@sallyport/local/ports";
import type { TestProject } from "vitest/node";
import { addressOf, startGateway, type GatewayAddress } from "../harness/gateway.ts";
import { collect } from "./collector.ts";
import type { TargetAddress } from "./target.ts";

/** The gateway that is treated badly. Everything but its death: who kills has a gateway of their own. */
export interface FaultsGateway extends GatewayAddress {
  readonly superuser: TargetAddress;
  /** of the edge, which outlives everything that is done to it here */
  readonly edgePid: number;
  readonly logs: string;
  /** what the collector was sent, a body in each line */
  readonly traces: string;
  /** the folder of configuration that is in force */
  readonly catalogFolder: string;
  /** ports of targets that the tests play themselves, or that nobody plays */
  readonly played: Readonly<Record<PlayedTarget, number>>;
}

export type PlayedTarget = "closed" | "silent" | "babbling" | "dying";

/** Seconds from a client's first byte to its token. */
export const HANDSHAKE_SECONDS = 5;

declare module "vitest" {
  interface ProvidedContext {
    faults: FaultsGateway;
  }
}

const CATALOG = fileURLToPath(new URL("../../deploy/local/catalog", import.meta.url));

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scratch = mkdtempSync(join(tmpdir(), "sallyport-faults-"));
  const traces = join(scratch, "traces");
  const collector = await collect(traces);
  const played = { closed: 0, silent: 0, babbling: 0, dying: 0 };
  for (const name of Object.keys(played) as PlayedTarget[]) played[name] = await freePort();
  const catalogFolder = catalogWith(scratch, played);
  const telemetry = { otlp: `http://127.0.0.1:${collector.port}`, sampleRatio: 1 };
  const overrides = Object.fromEntries(SERVICE_NAMES.map((name) => [name, { telemetry }]));
  const cleanUp = (): void => {
    collector.stop();
    rmSync(scratch, { recursive: true, force: true });
  };
  const gateway = await startGateway({
    catalogFolder,
    // Whatever could be said is said: secrecy.test.ts reads it.
    logLevel: "trace",
    overrides: { ...overrides, "edge-postgres": { telemetry, handshakeSeconds: HANDSHAKE_SECONDS } },
  }).catch((error: unknown) => {
    cleanUp();
    throw error;
  });
  const { stack } = gateway;
  writeFileSync(join(stack.layout.secrets, "wrong-password"), "not-the-target-password-5150\n", { mode: 0o600 });
  const { host, port, superuser, superuserPassword, statementLog } = stack.target;
  project.provide("faults", {
    ...addressOf(gateway),
    superuser: { host, port, superuser, superuserPassword, statementLog },
    edgePid: stack.supervisor.pid("edge-postgres")!,
    logs: stack.layout.logs,
    traces,
    catalogFolder,
    played,
  });
  return async () => {
    await gateway.stop();
    cleanUp();
  };
}

/** The demo's catalog, with connections whose targets are broken in every way. */
function catalogWith(scratch: string, played: Readonly<Record<PlayedTarget, number>>): string {
  const folder = join(scratch, "catalog");
  cpSync(CATALOG, folder, { recursive: true });
  const connection = (name: string, port: number | string, password = "orders-password"): string =>
    [
      `  - name: ${name}`,
      `    protocol: postgresql`,
      `    host: 127.0.0.1`,
      `    port: ${port}`,
      `    database: sandbox`,
      `    labels:`,
      `      env: development`,
      `    role:`,
      `      user: sallyport_app`,
      `      password: file:secrets/${password}`,
      `    tls:`,
      `      mode: disable`,
    ].join("\n");
  const file = join(folder, "connections.yaml");
  const broken = (Object.keys(played) as PlayedTarget[]).map((name) => connection(name, played[name]));
  const wrongPassword = connection("wrong-password", "${ORDERS_PORT:-15433}", "wrong-password");
  writeFileSync(file, `${readFileSync(file, "utf8")}\n${[...broken, wrongPassword].join("\n\n")}\n`);
  return folder;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
