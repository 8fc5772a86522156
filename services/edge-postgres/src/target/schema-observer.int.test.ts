import { createServer, type AddressInfo } from "node:net";
import { ObserveSchemaRequest, ObserveSchemaResponse } from "@sallyport/proto/catalog";
import { Connection } from "@sallyport/proto/catalog_model";
import { Event } from "@sallyport/proto/event";
import type { CatalogLink, Links } from "@sallyport/edge";
import { createLogger } from "@sallyport/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { OBSERVER } from "../version.ts";
import { reachTarget } from "./dial-and-login.ts";
import { dialDirectly } from "./dial.ts";
import { observesWhenAsked } from "./observes-when-asked.ts";
import { schemaObserver } from "./schema-observer.ts";

const log = createLogger({ service: "test", instance: "test", log: { level: "silent" } });
let postgres: TestPostgres;
const told: ObserveSchemaRequest[] = [];
let tell: (() => void) | undefined;
const connections = new Map<string, Connection>();

const catalog = {
  resolve: async ({ connection, database }: { connection: string; database: string }) => ({
    connection: connections.get(connection),
    database,
    schemaDigest: "",
    asOf: 0,
  }),
  observeSchema: async (request: ObserveSchemaRequest) => {
    told.push(request);
    tell?.();
    return ObserveSchemaResponse.fromPartial({ digest: "d" });
  },
} as unknown as CatalogLink;

beforeAll(async () => {
  process.env["SALLYPORT_TEST_RIGHT"] = "test-superuser";
  process.env["SALLYPORT_TEST_WRONG"] = "s3cret-that-is-wrong";
  postgres = await startPostgres();
  const closed = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => closed.once("listening", resolve));
  const { port: nobody } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const at = (name: string, port: number, secret: string, more: object = {}): void =>
    void connections.set(
      name,
      Connection.fromPartial({
        name,
        protocol: "postgresql",
        host: "127.0.0.1",
        port,
        role: { user: "postgres", passwordRef: `env:${secret}` },
        tls: { mode: "disable" },
        ...more,
      }),
    );
  at("right", postgres.port, "SALLYPORT_TEST_RIGHT");
  at("wrong", postgres.port, "SALLYPORT_TEST_WRONG");
  at("closed", nobody, "SALLYPORT_TEST_RIGHT");
  at("plain", postgres.port, "SALLYPORT_TEST_RIGHT", { tls: { mode: "verify-full" } });
  at("other", postgres.port, "SALLYPORT_TEST_RIGHT", { protocol: "ssh" });
});
afterAll(() => postgres?.stop());

function ask(connection: string): void {
  const observer = schemaObserver(
    { catalog } as Links,
    (target, database, signal) =>
      reachTarget(dialDirectly, { connection: target, database, parameters: OBSERVER }, signal),
    log,
  );
  const listen = observesWhenAsked(catalog, observer, log);
  const value = { connection, database: "postgres" };
  listen(Event.fromPartial({ fact: { $case: "schemaObserved", value } }));
  listen(Event.fromPartial({ fact: { $case: "observationRequested", value } }));
}

async function answered(connection: string): Promise<ObserveSchemaRequest> {
  told.length = 0;
  const one = new Promise<void>((resolve) => (tell = resolve));
  ask(connection);
  await one;
  expect(told).toHaveLength(1);
  return told[0]!;
}

test("a target is looked at when an event asks for it", async () => {
  const { schema, problem } = await answered("right");
  expect(problem).toBeUndefined();
  expect(schema?.serverVersion).toMatch(/^\d+/);
  expect(schema?.roles[0]).toMatchObject({ name: "postgres", superuser: true });
});

test.each([
  ["closed", "unavailable"],
  ["wrong", /./],
  ["plain", /./],
])("why it cannot be looked at is told, and never a secret: %s", async (connection, code) => {
  const { schema, problem } = await answered(connection);
  expect(schema).toBeUndefined();
  expect(problem?.code).toMatch(code);
  expect(problem?.message).not.toBe("");
  expect(JSON.stringify(problem)).not.toContain("s3cret");
});

test("targets of other protocols are left to their edges", async () => {
  told.length = 0;
  ask("other");
  await answered("right");
  expect(told).toHaveLength(1);
});
