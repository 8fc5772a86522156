import { expect, onTestFinished, test } from "vitest";
import { FrameBatch, RecordKind } from "@sallyport/proto/record";
import { faultsOf } from "../../testing/memory-bus.ts";
import { testLane, type TestLane } from "../../testing/recording.ts";
import { BATCH_BYTES, RECORD_BYTES } from "./batch.ts";
import type { LaneSettings } from "./lane.ts";

function open(settings: Partial<LaneSettings> = {}): TestLane {
  const made = testLane(settings);
  onTestFinished(() => made.lane.close());
  return made;
}

const bytesOf = (bus: TestLane["bus"]): Buffer[] => {
  const last = new Map(bus.published.map(({ no, bytes }) => [no, bytes]));
  return [...last].toSorted(([a], [b]) => a - b).map(([, bytes]) => bytes);
};

test("a record is its header, its body and its chain, as the generated code reads them", async () => {
  const { bus, session, turn } = open();
  const one = session("s-1");
  one.frameToClient(1, Buffer.from("hello"), undefined);
  one.forwarded(1);
  await turn();
  const [first, second] = bus.records();
  expect(first?.header).toMatchObject({
    sessionId: "s-1",
    principalId: "user:engineer",
    actors: ["workload:ci"],
    connection: "orders",
    protocol: "test",
    seq: 1,
    kind: RecordKind.RECORD_KIND_FRAME_TO_CLIENT,
  });
  expect(first?.body.fact).toEqual({
    $case: "frameToClient",
    value: { command: 1, data: Buffer.from("hello"), columns: [] },
  });
  expect(second?.body.fact).toEqual({ $case: "commandForwarded", value: { command: 1 } });
  expect(second?.header.seq).toBe(2);
  expect(Math.abs((first?.header.atUs ?? 0) / 1000 - Date.now())).toBeLessThan(5000);
  expect(bus.batches()[0]).toMatchObject({ edge: "edge-test-1", lane: 3, epoch: 1_700_000_000_000, batchNo: 1 });
  expect(faultsOf(bytesOf(bus))).toEqual([]);
});

test("an altered byte is a fault", async () => {
  const { bus, session, turn } = open();
  const one = session("s-1");
  one.frameToClient(1, Buffer.from("a number: 41"), undefined);
  await turn();
  const bytes = bytesOf(bus);
  const at = (bytes[0] as Buffer).indexOf("41");
  (bytes[0] as Buffer)[at] = 0x39;
  expect(faultsOf(bytes)).toEqual(["s-1/1: chain"]);
});

test("what waits runs only with the acknowledgement, in order, and not for another's batch", async () => {
  const { bus, session, turn } = open({ inFlight: 4, eagerInFlight: 4 });
  const one = session("s-1");
  const two = session("s-2");
  const seen: string[] = [];
  one.frameToClient(1, Buffer.from("a"), undefined);
  one.whenAcked(() => seen.push("one/1"));
  await turn();
  two.frameToClient(1, Buffer.from("b"), undefined);
  two.whenAcked(() => seen.push("two/1"));
  await turn();
  one.frameToClient(2, Buffer.from("c"), undefined);
  one.whenAcked(() => seen.push("one/2"));
  await turn();
  expect(bus.published.map(({ no }) => no)).toEqual([1, 2, 3]);
  bus.ack(3);
  bus.ack(2);
  expect(seen).toEqual([]);
  bus.ack(1);
  expect(seen).toEqual(["one/1", "two/1", "one/2"]);
});

test("a batch forms while others are in flight, and never more than allowed are", async () => {
  const { bus, session, turn } = open({ inFlight: 2, eagerInFlight: 2 });
  const one = session("s-1");
  for (let i = 1; i <= 6; i++) {
    one.frameToClient(i, Buffer.from(`frame ${i}`), undefined);
    await turn();
  }
  expect(bus.published.length).toBe(2);
  bus.ack(1);
  await turn();
  expect(bus.batches().map((batch) => batch.records.length)).toEqual([1, 1, 4]);
});

test("a record that nobody waits for travels with the next, or by itself a little later", async () => {
  const { bus, session, turn } = open({ lazyMs: 1 });
  const one = session("s-1");
  one.forwarded(1);
  await turn();
  await expect.poll(() => bus.published.length).toBe(1);
});

test("a rejected batch stops the lane; the same bytes go again, in order", async () => {
  const { bus, session, turn } = open({ inFlight: 4, eagerInFlight: 4 });
  const one = session("s-1");
  const acked: number[] = [];
  for (let i = 1; i <= 4; i++) {
    one.frameToClient(i, Buffer.from(`frame ${i}`), undefined);
    one.whenAcked(() => acked.push(i));
    await turn();
  }
  bus.ack(1);
  bus.fail(2);
  bus.ack(3);
  expect(acked).toEqual([1]);
  one.frameToClient(5, Buffer.from("frame 5"), undefined);
  one.whenAcked(() => acked.push(5));
  await turn();
  // stopped: nothing new leaves, then the first without an acknowledgement, alone
  await expect.poll(() => bus.published.map(({ no }) => no)).toEqual([1, 2, 3, 4, 2]);
  bus.ack(2);
  await turn();
  expect(bus.published.map(({ no }) => no).slice(5, 6)).toEqual([4]);
  bus.ack(4);
  await turn();
  await expect.poll(() => bus.published.at(-1)?.no).toBe(5);
  bus.ack(5);
  expect(acked).toEqual([1, 2, 3, 4, 5]);
  expect(faultsOf(bytesOf(bus))).toEqual([]);
});

test("a late acknowledgement counts as failed; when it comes after all, it counts", async () => {
  const { bus, session, turn } = open({ ackTimeoutMs: 40 });
  const one = session("s-1");
  let acked = false;
  one.frameToClient(1, Buffer.from("a"), undefined);
  one.whenAcked(() => (acked = true));
  await turn();
  await expect.poll(() => bus.published.length).toBeGreaterThan(1);
  bus.ack(1);
  expect(acked).toBe(true);
});

test("without progress every session is given up, nothing is released any more, and the evidence still goes out", async () => {
  const { bus, lane, states, session, turn } = open({ ackTimeoutMs: 20, giveUpMs: 100 });
  let failed = 0;
  let released = false;
  const one = session("s-1", { busFailed: () => failed++ });
  session("s-2", { busFailed: () => failed++ });
  one.frameToClient(1, Buffer.from("a"), undefined);
  one.whenAcked(() => (released = true));
  await expect.poll(() => failed).toBe(2);
  expect(lane.healthy).toBe(false);
  one.append(RecordKind.RECORD_KIND_SESSION_CLOSED, new Uint8Array([0x08, 0x05]), true);
  await turn();
  bus.ack(1);
  await turn();
  expect(released).toBe(false);
  expect(lane.healthy).toBe(true);
  expect(states).toEqual(["failed", "flowing"]);
  await expect.poll(() => bus.kinds("s-1")).toEqual(["frameToClient", "sessionClosed"]);
});

test("a big session is pressed at its bound and relieved, and no batch is too long", async () => {
  const { bus, lane, session, turn } = open({ sessionBytes: 1024 * 1024 });
  let relieved = 0;
  const big = session("big", { relieved: () => relieved++ });
  const data = Buffer.alloc(64 * 1024, "x");
  let appended = 0;
  while (!big.pressed) {
    big.frameToClient(1, data, undefined);
    appended += data.length;
  }
  expect(appended).toBeLessThan(1024 * 1024 + 2 * data.length);
  for (let i = 0; i < 20 && big.unackedBytes > 0; i++) {
    await turn();
    bus.ackAll();
  }
  expect(big.unackedBytes).toBe(0);
  expect(lane.unackedBytes).toBe(0);
  expect(relieved).toBe(1);
  expect(Math.max(...bus.published.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(BATCH_BYTES);
  expect(faultsOf(bytesOf(bus))).toEqual([]);
});

test("a small record is in the next batch, however much big sessions have queued", async () => {
  const { bus, session, turn } = open({ inFlight: 1 });
  const data = Buffer.alloc(64 * 1024, "x");
  const bigs = Array.from({ length: 8 }, (_, i) => session(`big-${i}`));
  for (const big of bigs) while (!big.pressed) big.frameToClient(1, data, undefined);
  await turn();
  const small = session("small");
  small.frameToClient(1, Buffer.from("tiny"), undefined);
  const batchOf = (id: string): number =>
    bus.batches().findIndex((batch) => batch.records.some((record) => record.header.includes(id)));
  for (let i = 0; i < 30 && batchOf("small") < 0; i++) {
    bus.ackAll();
    await turn();
  }
  // one batch was in flight, one was formed
  expect(batchOf("small")).toBeLessThanOrEqual(3);
  for (let i = 0; i < 100; i++) {
    bus.ackAll();
    await turn();
  }
  expect(faultsOf(bytesOf(bus))).toEqual([]);
  // in turns: nobody is more than a batch ahead of another
  const counts = new Map<string, number>();
  let spread = 0;
  for (const record of bus.records()) {
    if (record.header.sessionId === "small") continue;
    counts.set(record.header.sessionId, (counts.get(record.header.sessionId) ?? 0) + 1);
    if (counts.size === 8 && [...counts.values()].some((count) => count < 14)) {
      spread = Math.max(spread, Math.max(...counts.values()) - Math.min(...counts.values()));
    }
  }
  expect(spread).toBeLessThanOrEqual(8);
});

test("the lane's bound presses those who hold most, and never a session with next to nothing", async () => {
  const { lane, session } = open({ sessionBytes: 1024 * 1024, laneBytes: 4 * 1024 * 1024 });
  const data = Buffer.alloc(64 * 1024, "x");
  const bigs = Array.from({ length: 16 }, (_, i) => session(`big-${i}`));
  for (let round = 0; round < 20; round++) {
    for (const big of bigs) if (!big.pressed) big.frameToClient(1, data, undefined);
  }
  expect(bigs.every((big) => big.pressed)).toBe(true);
  expect(lane.unackedBytes).toBeLessThan(4 * 1024 * 1024 + 17 * data.length);
  const small = session("small");
  small.frameToClient(1, Buffer.from("tiny"), undefined);
  expect(small.pressed).toBe(false);
});

test("a record that fits no batch is refused before anything has changed", () => {
  const { session } = open();
  const one = session("s-1");
  expect(() => one.append(RecordKind.RECORD_KIND_VERDICT_REACHED, new Uint8Array(RECORD_BYTES), true)).toThrow(
    RangeError,
  );
  expect(one.seq).toBe(0);
  expect(one.unackedBytes).toBe(0);
});

test("what a continuation throws is its own session's fault", async () => {
  const { bus, session, turn } = open();
  const faults: unknown[] = [];
  let ran = false;
  const one = session("s-1", { fault: (error) => faults.push(error) });
  const two = session("s-2");
  one.frameToClient(1, Buffer.from("a"), undefined);
  one.whenAcked(() => {
    throw new Error("mine");
  });
  two.frameToClient(1, Buffer.from("b"), undefined);
  two.whenAcked(() => (ran = true));
  await turn();
  bus.ackAll();
  expect(faults).toHaveLength(1);
  expect(ran).toBe(true);
});

test("the head of a batch is what the generated code writes", async () => {
  const { bus, session, turn } = open();
  session("s-1").forwarded(1);
  session("s-1b").frameToClient(0, Buffer.from("x"), undefined);
  await turn();
  const bytes = bytesOf(bus)[0] as Buffer;
  expect(Buffer.from(FrameBatch.encode(FrameBatch.decode(bytes)).finish()).equals(bytes)).toBe(true);
});
