/** A lane on a real nats-server that is stalled, killed, filled up. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { FrameBatch } from "@sallyport/proto/record";
import { frames, framesStream } from "@sallyport/proto/subjects";
import { faultsOf, readRecord } from "../../testing/memory-bus.ts";
import { makeFrames, startNats, type FramesSettings, type TestNats } from "../../testing/nats-server.ts";
import { Lane, type LaneSettings } from "./lane.ts";
import { natsPublisher } from "./nats-publisher.ts";
import { SessionRecorder, type RecorderOwner } from "./session-recorder.ts";

interface Bus {
  server: TestNats;
  nc: NatsConnection;
  lane: Lane;
  states: string[];
  session(id: string, owner?: Partial<RecorderOwner>): SessionRecorder;
  /** every message of the stream, in its order */
  stored(): Promise<Buffer[]>;
}

async function openBus(settings: Partial<LaneSettings> = {}, stream: FramesSettings = {}): Promise<Bus> {
  const server = await startNats();
  const nc = await server.connect();
  await makeFrames(nc, 0, stream);
  const epoch = Date.now();
  const subject = frames(0, "edge-test-1", 0);
  const publisher = natsPublisher({ nats: nc, subject, stream: framesStream(0), idPrefix: `edge-test-1-0-${epoch}` });
  const states: string[] = [];
  const lane = new Lane({ edge: "edge-test-1", lane: 0, epoch }, publisher, settings, (state, reason) => {
    states.push(`${state} ${reason}`.trim());
  });
  onTestFinished(async () => {
    lane.close();
    server.thaw();
    await nc.close();
    await server.remove();
  });
  return {
    server,
    nc,
    lane,
    states,
    session(id, owner = {}) {
      const made = new SessionRecorder(
        lane,
        { sessionId: id, principalId: "user:engineer", actors: [], connection: "orders", protocol: "test" },
        {
          relieved() {},
          busFailed() {},
          fault(error) {
            throw error;
          },
          ...owner,
        },
      );
      lane.join(made);
      return made;
    },
    async stored() {
      const manager = await jetstreamManager(nc);
      const { state } = await manager.streams.info(framesStream(0));
      const messages: Buffer[] = [];
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const message = await manager.streams.getMessage(framesStream(0), { seq });
        if (message !== null) messages.push(Buffer.from(message.data));
      }
      return messages;
    },
  };
}

/** As `audit` reads a lane: by batch number, each once; a repeat must be the same bytes. */
function inOrder(stored: readonly Buffer[]): Buffer[] {
  const batches = new Map<number, Buffer>();
  for (const bytes of stored) {
    const { batchNo } = FrameBatch.decode(bytes);
    const known = batches.get(batchNo);
    if (known !== undefined) expect(known.equals(bytes)).toBe(true);
    batches.set(batchNo, bytes);
  }
  return [...batches].toSorted(([a], [b]) => a - b).map(([, bytes]) => bytes);
}

const dataOf = (stored: readonly Buffer[], sessionId: string): string[] =>
  inOrder(stored)
    .flatMap((bytes) => FrameBatch.decode(bytes).records.map(readRecord))
    .filter(({ header }) => header.sessionId === sessionId)
    .map(({ body }) =>
      body.fact?.$case === "frameToClient" ? body.fact.value.data.toString() : (body.fact?.$case ?? ""),
    );

/** Sessions that write numbered frames, one behind the other's acknowledgement, until told to stop. */
function writers(made: Bus, count: number) {
  const released = new Map<string, string[]>();
  const load = { running: true };
  const done = Array.from({ length: count }, async (_, n) => {
    const id = `s-${n}`;
    const session = made.session(id);
    const mine: string[] = [];
    released.set(id, mine);
    for (let i = 0; load.running; i++) {
      const data = `${id} frame ${i} ${"x".repeat(i % 500)}`;
      session.frameToClient(1, Buffer.from(data), undefined);
      await new Promise<void>((resolve) =>
        session.whenAcked(() => {
          mine.push(data);
          resolve();
        }),
      );
    }
  });
  const total = (): number => [...released.values()].reduce((sum, list) => sum + list.length, 0);
  return {
    released,
    total,
    /** Resolves when `more` frames are released beyond those of now. */
    async goesOn(more: number) {
      const wanted = total() + more;
      await expect.poll(total, { timeout: 10_000 }).toBeGreaterThanOrEqual(wanted);
    },
    async stop() {
      load.running = false;
      await Promise.all(done);
    },
  };
}

async function nothingMissingOrDoubled(made: Bus, released: ReadonlyMap<string, string[]>): Promise<void> {
  const stored = await made.stored();
  expect(faultsOf(inOrder(stored))).toEqual([]);
  for (const [id, data] of released) {
    expect(data.length).toBeGreaterThan(10);
    expect(dataOf(stored, id)).toEqual(data);
  }
}

test("under load everything is stored once, in order, and released only then", async () => {
  const made = await openBus();
  const load = writers(made, 8);
  await load.goesOn(500);
  await load.stop();
  expect(made.lane.stats.resent).toBe(0);
  await nothingMissingOrDoubled(made, load.released);
});

test("a bus that stands still for a while: sockets wait, nothing is missing, nothing doubled", async () => {
  const made = await openBus({ ackTimeoutMs: 150 });
  const { stats } = made.lane;
  const load = writers(made, 8);
  await load.goesOn(200);
  made.server.freeze();
  // by the time that something is sent again, what was acknowledged before has arrived
  await expect.poll(() => stats.resent, { timeout: 10_000 }).toBeGreaterThan(0);
  const before = load.total();
  await expect.poll(() => stats.resent, { timeout: 10_000 }).toBeGreaterThan(2);
  expect(load.total()).toBe(before);
  made.server.thaw();
  await load.goesOn(200);
  await load.stop();
  await nothingMissingOrDoubled(made, load.released);
}, 40_000);

test("a bus that is killed under load and comes back: nothing is missing, nothing doubled", async () => {
  const made = await openBus({ ackTimeoutMs: 200 });
  const load = writers(made, 8);
  await load.goesOn(200);
  await made.server.kill();
  await made.server.start();
  await expect.poll(() => made.lane.stats.resent, { timeout: 5000 }).toBeGreaterThan(0);
  await load.goesOn(200);
  await load.stop();
  expect(made.states).toEqual([]);
  await nothingMissingOrDoubled(made, load.released);
}, 40_000);

test("a bus that stays away: every session is told, nothing more is released; afterwards the lane goes on", async () => {
  const made = await openBus({ ackTimeoutMs: 100, giveUpMs: 500 });
  const told: string[] = [];
  let released = 0;
  const sessions = ["a", "b", "c"].map((id) => made.session(id, { busFailed: () => told.push(id) }));
  await made.server.kill();
  for (const session of sessions) {
    session.frameToClient(1, Buffer.from("late"), undefined);
    session.whenAcked(() => released++);
  }
  await expect.poll(() => told, { timeout: 5000 }).toEqual(["a", "b", "c"]);
  expect(made.lane.healthy).toBe(false);
  await made.server.start();
  await expect.poll(() => made.lane.healthy, { timeout: 10_000 }).toBe(true);
  expect(released).toBe(0);
  const after = made.session("after");
  after.frameToClient(1, Buffer.from("again"), undefined);
  await new Promise<void>((resolve) => after.whenAcked(resolve));
  const stored = await made.stored();
  expect(faultsOf(inOrder(stored))).toEqual([]);
  expect(dataOf(stored, "after")).toEqual(["again"]);
  expect(dataOf(stored, "a")).toEqual(["late"]);
}, 20_000);

test("a full stream refuses: fail closed, with what was acknowledged in it and nothing else released", async () => {
  const made = await openBus({ giveUpMs: 600 }, { maxBytes: 512 * 1024 });
  const bus = { told: false };
  const session = made.session("big", { busFailed: () => (bus.told = true) });
  let released = 0;
  let sent = 0;
  while (!bus.told) {
    if (!session.pressed && !session.failed) {
      sent++;
      session.frameToClient(1, Buffer.alloc(16 * 1024, "x"), undefined);
      session.whenAcked(() => released++);
    }
    await sleep(1);
  }
  expect(made.states[0]).toMatch(/^failed JetStream 100\d\d$/);
  const stored = await made.stored();
  expect(released).toBeGreaterThan(5);
  expect(released).toBeLessThan(sent);
  expect(dataOf(stored, "big").length).toBe(released);
  expect(faultsOf(inOrder(stored))).toEqual([]);
}, 20_000);

test("no stream at all: nobody answers, and that is a failure too", async () => {
  const made = await openBus({ giveUpMs: 300, ackTimeoutMs: 100 });
  const manager = await jetstreamManager(made.nc);
  await manager.streams.delete(framesStream(0));
  let told = false;
  const session = made.session("s", { busFailed: () => (told = true) });
  session.frameToClient(1, Buffer.from("x"), undefined);
  session.whenAcked(() => expect.unreachable());
  await expect.poll(() => told, { timeout: 5000 }).toBe(true);
  expect(made.states).toEqual(["failed status 503"]);
});

test("one rejected publish with several in flight: stored out of order, read in order, released in order", async () => {
  const made = await openBus({ inFlight: 4, eagerInFlight: 4 });
  const publish = made.nc.publish.bind(made.nc);
  // the second batch goes to a subject that no stream takes, once
  let misdirected = 0;
  made.nc.publish = (subject, payload, options) => {
    const lost = subject.startsWith("frames.") && misdirected++ === 1;
    publish(lost ? "nowhere.at.all" : subject, payload, options);
  };
  const session = made.session("s");
  const released: number[] = [];
  // all four are in flight before any is answered
  made.server.freeze();
  for (let i = 0; i < 4; i++) {
    session.frameToClient(1, Buffer.from(`frame ${i}`), undefined);
    session.whenAcked(() => released.push(i));
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  }
  made.server.thaw();
  await expect.poll(() => released).toEqual([0, 1, 2, 3]);
  const stored = await made.stored();
  const numbers = stored.map((bytes) => FrameBatch.decode(bytes).batchNo);
  expect([...new Set(numbers)].toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  expect(numbers).not.toEqual([1, 2, 3, 4]);
  expect(dataOf(stored, "s")).toEqual([0, 1, 2, 3].map((i) => `frame ${i}`));
  expect(faultsOf(inOrder(stored))).toEqual([]);
});

test("a small session is not held up by big ones", async () => {
  const made = await openBus();
  const data = Buffer.alloc(64 * 1024, "x");
  const load = { running: true };
  for (let n = 0; n < 4; n++) {
    const push = (): void => {
      while (load.running && !big.pressed) big.frameToClient(1, data, undefined);
    };
    const big: SessionRecorder = made.session(`big-${n}`, { relieved: () => setImmediate(push) });
    push();
  }
  const small = made.session("small");
  const waits: number[] = [];
  for (let i = 0; i < 50; i++) {
    const begun = performance.now();
    small.frameToClient(1, Buffer.from("tiny"), undefined);
    await new Promise<void>((resolve) => small.whenAcked(resolve));
    waits.push(performance.now() - begun);
    await sleep(5);
  }
  load.running = false;
  waits.sort((a, b) => a - b);
  // four bulk sessions of 1 MiB each are queued: without turns, each wait would be for all of them
  const bulkMs = (4 * 1024 * 1024) / (made.lane.stats.bytes / waits.reduce((sum, wait) => sum + wait + 5, 0));
  expect(waits[25]).toBeLessThan(bulkMs * 1.5);
  expect(await made.lane.drained(10_000)).toBe(true);
}, 20_000);
