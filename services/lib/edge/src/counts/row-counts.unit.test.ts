import { CommandFacts, NamedStatement_Kind, RowLimit, RowLimit_Per } from "@sallyport/proto/verdict";
import { pino } from "pino";
import { expect, test } from "vitest";
import { noCounts } from "../../testing/recording-only.ts";
import { HourCounts } from "./hour-counts.ts";
import { RowCounts } from "./row-counts.ts";

const limit = (policyId: string, maxRows: number, per: RowLimit_Per, holds = false): RowLimit =>
  RowLimit.fromPartial({ policyId, maxRows, per, holds });
const { PER_RESULT, PER_SESSION, PER_HOUR } = RowLimit_Per;

const open = (): Promise<HourCounts> => HourCounts.open("edge-1", noCounts, pino({ level: "silent" }));
const session = (all: HourCounts, name = "user:engineer"): RowCounts => new RowCounts(all, name, "orders");
const facts = (change: Partial<CommandFacts> = {}): CommandFacts => CommandFacts.fromPartial(change);
const cursor = (name: string) => ({ kind: NamedStatement_Kind.KIND_CURSOR, name, text: "SELECT 1" });

test("without a limit everything passes, and counts", async () => {
  const all = await open();
  const [one, other] = [session(all), session(all)];
  const meter = one.meter(facts(), []);
  expect(meter.take(1_000_000)).toBe(1_000_000);
  other.meter(facts(), []).take(5);
  expect(one.counts()).toMatchObject({ rows: 1_000_000, rowsHour: 1_000_005, limits: [] });
  expect(session(all, "user:somebody").counts()).toMatchObject({ rows: 0, rowsHour: 0 });
  await all.stop();
});

test("the smallest of what is left passes, and the limits that are reached are named", async () => {
  const all = await open();
  const counts = session(all);
  const limits = [limit("result", 10, PER_RESULT), limit("session", 15, PER_SESSION), limit("hour", 100, PER_HOUR)];
  const meter = counts.meter(facts(), limits);
  expect(meter.take(8)).toBe(8);
  expect(meter.reached).toEqual([]);
  expect(meter.take(8)).toBe(2);
  expect(meter.reached.map((one) => one.policyId)).toEqual(["result"]);
  expect(meter.take(8)).toBe(0);
  meter.nextResult();
  expect(meter.take(8)).toBe(5);
  expect(meter.reached.map((one) => one.policyId)).toEqual(["session"]);
  expect(counts.counts()).toMatchObject({ rows: 15, limits: expect.arrayContaining([]) });
  expect(counts.counts().limits).toEqual([
    { policyId: "session", session: 15, hour: 0 },
    { policyId: "hour", session: 0, hour: 15 },
  ]);
  await all.stop();
});

test("an hour's limit is shared by all sessions of the principal, and only rows that it concerns count", async () => {
  const all = await open();
  const limits = [limit("hour", 10, PER_HOUR)];
  const [one, other] = [session(all), session(all)];
  one.meter(facts(), []).take(1_000);
  const [first, second] = [one.meter(facts(), limits), other.meter(facts(), limits)];
  expect(first.take(6)).toBe(6);
  expect(second.take(6)).toBe(4);
  expect(first.take(1)).toBe(0);
  expect(session(all, "user:somebody").meter(facts(), limits).take(6)).toBe(6);
  await all.stop();
});

test("a cursor is one result from its declaration on, in however many parts it is read", async () => {
  const all = await open();
  const counts = session(all);
  const limits = [limit("result", 10, PER_RESULT)];
  const fetch = (): number => counts.meter(facts({ executes: [{ ...cursor("c"), normalized: "" }] }), limits).take(4);
  expect([fetch(), fetch(), fetch(), fetch()]).toEqual([4, 4, 2, 0]);
  counts.meter(facts({ named: [cursor("c")] }), limits);
  expect(fetch()).toBe(4);
  await all.stop();
});

test("a kind of limit that is not known lets nothing through", async () => {
  const all = await open();
  const unknown = limit("new", 10, 17 as RowLimit_Per);
  expect(session(all).meter(facts(), [unknown]).take(1)).toBe(0);
  await all.stop();
});

test("a command is to be decided anew once a limit is used up that people can lift, and for no other", async () => {
  const all = await open();
  const counts = session(all);
  const [lifted, plain] = [limit("lifted", 3, PER_SESSION, true), limit("plain", 3, PER_SESSION)];
  expect(counts.heldBy([lifted, plain])).toBe(false);
  counts.meter(facts(), [lifted, plain]).take(3);
  expect(counts.heldBy([lifted, plain])).toBe(true);
  expect(counts.heldBy([plain])).toBe(false);
  await all.stop();
});

test("a session that is over leaves its hour behind", async () => {
  const all = await open();
  const counts = session(all);
  counts.meter(facts(), [limit("hour", 10, PER_HOUR)]).take(7);
  counts.probed();
  counts.release();
  expect(session(all).counts()).toEqual({
    rows: 0,
    rowsHour: 7,
    probes: 0,
    probesHour: 1,
    limits: [{ policyId: "hour", session: 0, hour: 7 }],
  });
  await all.stop();
});
