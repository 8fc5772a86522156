import { randomUUID } from "node:crypto";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Event, TokenRevoked } from "@sallyport/proto/event";
import { event as subjectOf, EVENTS_STREAM, SNAPSHOT_BUCKET } from "@sallyport/proto/subjects";
import { createLogger, ensureStreams, followEvents } from "@sallyport/runtime";
import { eventually, startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Decider, events, refuse } from "./decider.ts";
import { aggregateId, StateCache } from "./state-cache.ts";
import { openStore, type StoreOptions } from "./store.ts";

/** A counter of revocations with a limit: small, but order matters (`trail`). */
interface Tally {
  count: number;
  trail: string;
}
interface Add {
  reason: string;
  most: number;
}
const decider: Decider<Tally, Add> = {
  initial: () => ({ count: 0, trail: "" }),
  decide: (command, state) =>
    state.count >= command.most
      ? refuse("failed-precondition", "full")
      : events({
          $case: "tokenRevoked",
          value: TokenRevoked.fromPartial({ tokenId: "t", principalId: "p", reason: command.reason }),
        }),
  evolve: (state, event) =>
    event.fact?.$case === "tokenRevoked"
      ? { count: state.count + 1, trail: `${state.trail}${event.fact.value.reason}` }
      : state,
};

let nats: TestNats;
let nc: NatsConnection;
const add = (reason: string, most = 1_000): Add => ({ reason, most });
const by = { cause: "user:dba" };
const options = (extra: Partial<StoreOptions<Tally, Add>> = {}): StoreOptions<Tally, Add> => ({
  service: "identity",
  kind: "token",
  decider,
  ...extra,
});

beforeAll(async () => {
  nats = await startNatsServer();
  nc = await connect({
    servers: nats.url,
    inboxPrefix: "_INBOX_decider",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  await ensureStreams(nc);
});
afterAll(async () => {
  await nc.close();
  await nats.stop();
});

test("decides, publishes, and another store loads the same", async () => {
  const id = randomUUID();
  const store = openStore(nc, options({ now: () => 42 }));
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-00`;
  const done = await store.handle(id, add("a"), { ...by, traceparent });
  expect(done).toMatchObject({ kind: "done", state: { count: 1 }, version: 1 });
  if (done.kind !== "done") throw new Error();
  expect(done.events[0]).toMatchObject({
    atMs: 42,
    service: "identity",
    aggregate: `token/${id}`,
    version: 1,
    cause: "user:dba",
    traceId: "a".repeat(32),
  });
  const stored = await (await jetstreamManager(nc)).streams.getMessage(EVENTS_STREAM, { seq: done.seq });
  expect(stored!.subject).toBe(subjectOf("identity", "token", id));
  expect(stored!.header.get("traceparent")).toBe(traceparent);
  expect(Event.decode(stored!.data)).toEqual(done.events[0]);
  expect(await openStore(nc, options()).load(id)).toEqual({
    state: { count: 1, trail: "a" },
    seq: done.seq,
    version: 1,
  });
  expect(await openStore(nc, options()).load(randomUUID())).toEqual({
    state: { count: 0, trail: "" },
    seq: 0,
    version: 0,
  });
});

test("two stores at once: every command counts once, in one order", async () => {
  const id = randomUUID();
  const stores = [openStore(nc, options()), openStore(nc, options())];
  const handled = await Promise.all(
    Array.from({ length: 20 }, (_, i) => stores[i % 2]!.handle(id, add(String.fromCodePoint(97 + i)), by)),
  );
  expect(handled.every((one) => one.kind === "done")).toBe(true);
  const { state, version } = await openStore(nc, options()).load(id);
  expect(version).toBe(20);
  expect([...state.trail].toSorted().join("")).toBe("abcdefghijklmnopqrst");
});

test("only one of many gets the last place", async () => {
  const id = randomUUID();
  const stores = Array.from({ length: 4 }, () => openStore(nc, options()));
  const handled = await Promise.all(stores.map((store, i) => store.handle(id, add(String(i), 1), by)));
  expect(handled.map((one) => one.kind).toSorted()).toEqual(["done", "refused", "refused", "refused"]);
});

test("a refusal never comes from a stale state", async () => {
  const id = randomUUID();
  const limited: Decider<Tally, Add> = {
    ...decider,
    decide: (command, state) =>
      state.trail.endsWith("x") ? decider.decide(command, state) : refuse("conflict", "needs x"),
  };
  const stale = openStore(nc, options({ decider: limited }));
  expect(await stale.handle(id, add("a"), by)).toMatchObject({ kind: "refused" });
  await openStore(nc, options()).handle(id, add("x"), by);
  expect(await stale.handle(id, add("b"), by)).toMatchObject({ kind: "done", state: { trail: "xb" } });
});

test("a lost acknowledgement does not double an event", async () => {
  const id = randomUUID();
  const subject = subjectOf("identity", "token", id);
  const eventId = randomUUID();
  const done = await openStore(nc, options({ newId: () => eventId })).handle(id, add("a"), by);
  if (done.kind !== "done") throw new Error();
  // The same message again with the same expectation, as a retry sends it; once through the server, once past its window.
  const again = await jetstream(nc).publish(subject, Event.encode(done.events[0]!).finish(), {
    msgID: eventId,
    expect: { lastSubjectSequence: 0 },
  });
  expect(again).toMatchObject({ duplicate: true, seq: done.seq });
  const replayed = await openStore(nc, options({ newId: () => eventId, states: emptyCacheThatLies() })).handle(
    id,
    add("a"),
    by,
  );
  expect(replayed).toMatchObject({ kind: "done", seq: done.seq });
  expect((await openStore(nc, options()).load(id)).version).toBe(1);
});

/** A cache that says "nothing has happened yet" whatever is true. */
function emptyCacheThatLies(): StateCache<Tally> {
  const cache = new StateCache(decider);
  cache.get = () => ({ state: decider.initial(), seq: 0, version: 0 });
  return cache;
}

test("many events load through a consumer, and the same with few", async () => {
  const id = randomUUID();
  const store = openStore(nc, options());
  const trails: string[] = [];
  for (let i = 0; i < 30; i++) {
    await store.handle(id, add(String(i % 10)), by);
    if (i === 3 || i === 29) trails.push((await openStore(nc, options()).load(id)).state.trail);
  }
  expect(trails).toEqual(["0123", "012345678901234567890123456789"]);
});

test("with and without a snapshot the state is the same", async () => {
  const id = randomUUID();
  let decoded = 0;
  const snapshots = {
    every: 5,
    schema: 1,
    toJson: (state: Tally) => state,
    fromJson: (json: unknown) => {
      decoded++;
      return json as Tally;
    },
  };
  const store = openStore(nc, options({ snapshots }));
  for (let i = 0; i < 13; i++) await store.handle(id, add(String(i % 10)), by);
  const folded = await openStore(nc, options()).load(id);
  const loaded = await eventually(async () => {
    const one = await openStore(nc, options({ snapshots })).load(id);
    return decoded > 0 && one;
  });
  expect(loaded).toEqual(folded);
  // Of another schema: ignored.
  const before = decoded;
  expect(await openStore(nc, options({ snapshots: { ...snapshots, schema: 2 } })).load(id)).toEqual(folded);
  expect(decoded).toBe(before);
  // Of another stream (its event is not at that sequence), or garbage: ignored.
  const key = `$KV.${SNAPSHOT_BUCKET}.identity.token.${id}`;
  for (const bad of [
    JSON.stringify({ schema: 1, seq: 1, version: 9, eventId: "other", state: { count: 999, trail: "" } }),
    "garbage",
  ]) {
    await jetstream(nc).publish(key, bad);
    expect(await openStore(nc, options({ snapshots })).load(id)).toEqual(folded);
  }
  expect(decoded).toBe(before);
});

test("states that a follower keeps current need no reading", async () => {
  const states = new StateCache(decider);
  const log = createLogger({ service: "t", instance: "t", log: { level: "silent" } });
  const follower = await followEvents(nc, {
    subjects: ["events.identity.token.*"],
    from: 1,
    onEvent: (event, seq) => void states.fold(aggregateId(event), event, seq),
    log,
  });
  await follower.caughtUp;
  const id = randomUUID();
  const done = await openStore(nc, options()).handle(id, add("a"), by);
  if (done.kind !== "done") throw new Error();
  await follower.waitFor(done.seq, 2_000);
  expect(states.get(id)).toEqual({ state: { count: 1, trail: "a" }, seq: done.seq, version: 1 });
  const store = openStore(nc, options({ states }));
  expect(await store.handle(id, add("b"), by)).toMatchObject({ kind: "done", version: 2 });
  expect([...states.entries()].length).toBeGreaterThan(3);
  await follower.stop();
});

test("the bus away: an error, and afterwards it works again", async () => {
  const id = randomUUID();
  const store = openStore(nc, options());
  await store.handle(id, add("a"), by);
  await nats.kill();
  const meanwhile = store.handle(id, add("b"), by);
  await nats.restart();
  expect(await meanwhile).toMatchObject({ kind: "done", version: 2 });
  expect(await store.handle(id, add("c"), by)).toMatchObject({ kind: "done", state: { trail: "abc" } });
});

test.each([1, 12])(
  "what no service says on the subject changes nothing, and stops nothing (after %d events)",
  async (count) => {
    const id = randomUUID();
    const subject = subjectOf("identity", "token", id);
    const first = await openStore(nc, options()).handle(id, add("a"), by);
    if (first.kind !== "done") throw new Error();
    for (let i = 1; i < count; i++) await openStore(nc, options()).handle(id, add("a"), by);
    const js = jetstream(nc);
    const other = { ...first.events[0]!, aggregate: "token/other", version: count + 1 };
    await js.publish(subject, Event.encode(first.events[0]!).finish());
    await js.publish(subject, Event.encode(other).finish());
    await js.publish(subject, new Uint8Array([0xff]));
    const store = openStore(nc, options());
    expect(await store.load(id)).toMatchObject({ state: { trail: "a".repeat(count) }, version: count });
    expect(await store.handle(id, add("b"), by)).toMatchObject({ kind: "done", version: count + 1 });
    expect((await openStore(nc, options()).load(id)).state).toMatchObject({ trail: `${"a".repeat(count)}b` });
  },
);
