/** What one edge counts the others know within a second, and it knows itself when it is started anew. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { CommandFacts, RowLimit, RowLimit_Per } from "@sallyport/proto/verdict";
import { ensureStreams } from "@sallyport/runtime";
import { eventually, startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { natsCounts } from "./counts-bus.ts";
import { HourCounts } from "./hour-counts.ts";
import { RowCounts } from "./row-counts.ts";

const log = pino({ level: "silent" });
let server: TestNats;
let nats: NatsConnection;
beforeAll(async () => {
  server = await startNatsServer();
  nats = await connect({ servers: server.url });
  await ensureStreams(nats);
});
afterAll(async () => {
  await nats?.close();
  await server?.stop();
});

const open = (edge: string): Promise<HourCounts> => HourCounts.open(edge, natsCounts(nats, log), log);
const hour = RowLimit.fromPartial({ policyId: "hour", maxRows: 100, per: RowLimit_Per.PER_HOUR });

test("counts reach the other edges, and survive their edge", async () => {
  const [one, two] = [await open("edge-1"), await open("edge-2")];
  const here = new RowCounts(one, "user:engineer", "orders");
  const there = new RowCounts(two, "user:engineer", "orders");
  const told = performance.now();
  here.meter(CommandFacts.fromPartial({}), [hour]).take(60);
  here.probed();
  await eventually(() => there.counts().rowsHour === 60);
  expect(performance.now() - told).toBeLessThan(1_000);
  expect(there.counts()).toMatchObject({
    rows: 0,
    probesHour: 1,
    limits: [{ policyId: "hour", session: 0, hour: 60 }],
  });
  expect(there.probesVersion).toBeGreaterThan(0);
  // The limit holds over both.
  expect(there.meter(CommandFacts.fromPartial({}), [hour]).take(60)).toBe(40);
  await eventually(() => here.counts().rowsHour === 100);
  // Another connection and another principal have their own.
  expect(new RowCounts(two, "user:engineer", "sandbox").counts().rowsHour).toBe(0);

  await one.stop();
  const again = await open("edge-1");
  const later = new RowCounts(again, "user:engineer", "orders");
  expect(later.counts()).toMatchObject({ rows: 0, rowsHour: 100, probesHour: 1 });
  later.meter(CommandFacts.fromPartial({}), []).take(5);
  await eventually(() => there.counts().rowsHour === 105);
  await again.stop();
  await two.stop();
});

test("an edge that cannot read them does not start", async () => {
  const empty = await startNatsServer();
  const alone = await connect({ servers: empty.url });
  await expect(HourCounts.open("edge-1", natsCounts(alone, log), log)).rejects.toThrow();
  await alone.close();
  await empty.stop();
});
