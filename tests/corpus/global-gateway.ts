import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres } from "@sallyport/edge-postgres/testing";
import { SERVICE_NAMES } from "@sallyport/local/ports";
import type { TestProject } from "vitest/node";
import { collect } from "../faults/collector.ts";
import { addressOf, startGateway, type GatewayAddress } from "../harness/gateway.ts";
import { asSuperuser, type TargetAddress } from "../faults/target.ts";
import { readMarks } from "./read-marks.ts";
import type { Mark } from "./marks.ts";

/** The gateway before a database full of marked values. Everything that it says anywhere is kept. */
export interface CorpusGateway extends GatewayAddress {
  readonly superuser: TargetAddress;
  /** what is hidden, with its binary form in base64 */
  readonly marks: readonly (Omit<Mark, "binary"> & { readonly binary?: string })[];
  readonly logs: string;
  /** what the collector of traces was sent, a body in each line */
  readonly traces: string;
}

declare module "vitest" {
  interface ProvidedContext {
    corpus: CorpusGateway;
  }
}

const HERE = fileURLToPath(new URL(".", import.meta.url));
export const DATABASE = "corpus";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scratch = mkdtempSync(join(tmpdir(), "sallyport-corpus-"));
  const undo: (() => void | Promise<void>)[] = [() => rmSync(scratch, { recursive: true, force: true })];
  const cleanUp = async (): Promise<void> => {
    for (const one of undo.toReversed()) await one();
  };
  try {
    project.provide("corpus", await start(scratch, undo));
  } catch (error) {
    await cleanUp();
    throw error;
  }
  return cleanUp;
}

async function start(scratch: string, undo: (() => void | Promise<void>)[]): Promise<CorpusGateway> {
  const traces = join(scratch, "traces");
  const collector = await collect(traces);
  undo.push(() => collector.stop());
  // The newest server: the demo's own is an older one, and stands aside.
  const postgres = await startPostgres({ settings: { max_connections: "300", log_line_prefix: "" } });
  undo.push(() => postgres.stop());
  const catalogFolder = join(scratch, "catalog");
  cpSync(join(HERE, "catalog"), catalogFolder, { recursive: true });
  const connections = join(catalogFolder, "connections.yaml");
  writeFileSync(connections, readFileSync(connections, "utf8").replaceAll("${CORPUS_PORT}", String(postgres.port)));
  const telemetry = { otlp: `http://127.0.0.1:${collector.port}`, sampleRatio: 0.1 };
  const gateway = await startGateway({
    catalogFolder,
    logLevel: "debug",
    overrides: Object.fromEntries(SERVICE_NAMES.map((name) => [name, { telemetry }])),
  });
  undo.push(gateway.stop);
  const target: TargetAddress = {
    host: postgres.host,
    port: postgres.port,
    superuser: postgres.superuser,
    superuserPassword: postgres.password,
    statementLog: join(dirname(postgres.dataDirectory), "log"),
  };
  await fill(target, gateway.stack.target.appPassword);
  const marks = (await readMarks(target, DATABASE)).map(({ binary, ...mark }) => ({
    ...mark,
    ...(binary === undefined ? {} : { binary: binary.toString("base64") }),
  }));
  return { ...addressOf(gateway), superuser: target, marks, logs: gateway.stack.layout.logs, traces };
}

async function fill(target: TargetAddress, password: string): Promise<void> {
  // One by one: CREATE DATABASE runs in no transaction.
  const before = readFileSync(join(HERE, "before.sql"), "utf8").replace(/^--.*$/gm, "");
  await asSuperuser(target, "postgres", async (client) => {
    for (const statement of before.split(";")) {
      const sql = statement.trim().replaceAll("${PASSWORD}", password);
      if (sql !== "") await client.query(sql);
    }
  });
  await asSuperuser(target, DATABASE, async (client) => {
    await client.query(readFileSync(join(HERE, "rights.sql"), "utf8"));
    await client.query("SET SESSION AUTHORIZATION sallyport_app");
    await client.query(readFileSync(join(HERE, "schema.sql"), "utf8"));
  });
}
