import { jetstreamManager } from "@nats-io/jetstream";
import { framesStream } from "@sallyport/proto/subjects";
import { SERVICE_NAMES } from "@sallyport/local/ports";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { onTheBus } from "./bus.ts";
import { query, RawClient } from "./raw-client.ts";
import { arrivedAt, logStatements, marker } from "./target.ts";
import { until } from "./until.ts";

/** `audit` would make room: without it a stream that is full stays full. */
const WITHOUT_AUDIT = SERVICE_NAMES.filter((name) => name !== "audit");

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({ framesMaxBytes: 2 * 1024 * 1024, services: WITHOUT_AUDIT });
  await logStatements(gateway.stack.target);
});
afterAll(() => gateway?.stop());

function enter(): Promise<RawClient> {
  const { stack, profiles } = gateway;
  const { user, token } = profiles.get("engineer")!;
  return RawClient.login({ port: stack.ports.edgePostgres, ca: stack.pki.ca, user, token }, "sandbox");
}

test("a stream that is full stops everything that would go unrecorded, and says so", async () => {
  const filler = await enter();
  const waiting = await enter();
  expect([filler.report, waiting.report]).toEqual([undefined, undefined]);
  filler.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"));
  await filler.end();
  // What could not be recorded was not shown.
  expect(filler.received).toBeLessThan(2 * 1024 * 1024);
  await waiting.end();
  expect(waiting.report).toMatchObject({ severity: "FATAL", code: "57P01" });
  expect(waiting.report?.message).toMatch(/log cannot be written/);

  const newcomer = await enter();
  await newcomer.end();
  expect(newcomer.report).toMatchObject({ severity: "FATAL", code: "08006" });
  expect(newcomer.report?.message).toMatch(/log cannot be written/);

  const log = gateway.stack.supervisor.logTail("edge-postgres", 200);
  expect(log).toMatch(/the bus makes no progress: sessions are ended/);
});

test("once there is room again, sessions are opened and commands run", async () => {
  expect(arrivedAt(gateway.stack.target).has("after")).toBe(false);
  await onTheBus(gateway.stack, async (connection) => {
    const manager = await jetstreamManager(connection);
    await manager.streams.purge(framesStream(0));
  });
  const client = await until("a login", async () => {
    const one = await enter();
    return one.report === undefined ? one : undefined;
  });
  client.send(query(`SELECT 1 ${marker("after")}`));
  await client.until("Z", "E");
  expect(client.report).toBeUndefined();
  await until("it arrives", () => (arrivedAt(gateway.stack.target).has("after") ? true : undefined));
  client.vanish();
});
