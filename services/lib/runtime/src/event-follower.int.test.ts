import { connect, type NatsConnection } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Event } from "@sallyport/proto/event";
import { event, EVENTS_STREAM, eventsOfService } from "@sallyport/proto/subjects";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, startNatsServer, type TestNats } from "../testing/index.ts";
import type { AppError } from "./app-error.ts";
import { type EventFollower, followEvents } from "./event-follower.ts";
import { createLogger } from "./log.ts";
import { ensureStreams, eventsStreamConfig } from "./streams.ts";

const log = createLogger({ service: "test", instance: "test", log: { level: "silent" } });
let nats: TestNats;
let nc: NatsConnection;
let follower: EventFollower | undefined;

beforeEach(async () => {
  nats = await startNatsServer();
  nc = await connect({
    servers: nats.url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    inboxPrefix: "_INBOX_test",
  });
  await ensureStreams(nc);
});
afterEach(async () => {
  await follower?.stop();
  follower = undefined;
  await nc.close();
  await nats.stop();
});

const publish = async (id: string, service: "identity" | "approval" = "identity") => {
  const message = Event.fromPartial({ id, service, aggregate: `token/${id}`, version: 1 });
  return (
    await jetstream(nc).publish(event(service, "token", id), Event.encode(message).finish(), { msgID: id, retries: 20 })
  ).seq;
};
const isFresh = () => performance.now() < follower!.freshUntil();

test("folds what is there and what comes, in order, and matches subjects", async () => {
  await publish("a");
  await publish("b", "approval");
  const seen: string[] = [];
  follower = await followEvents(nc, {
    subjects: [eventsOfService("identity")],
    from: 1,
    onEvent: (e, seq) => seen.push(`${seq} ${e.id}`),
    log,
  });
  await follower.caughtUp;
  expect(seen).toEqual(["1 a"]);
  expect(follower.seq()).toBe(2);
  expect(isFresh()).toBe(true);
  const waited = follower.waitFor(4, 2_000);
  await publish("c");
  await publish("d", "approval");
  expect(await waited).toBe(true);
  expect(seen).toEqual(["1 a", "3 c"]);
  expect(await follower.waitFor(99, 20)).toBe(false);
});

test("freshness ends with the server and comes back with it, nothing is missed or doubled", async () => {
  const seen: string[] = [];
  follower = await followEvents(nc, { from: 1, onEvent: (e) => seen.push(e.id), log });
  await follower.caughtUp;
  for (let i = 0; i < 20; i++) await publish(`before-${i}`);
  await nats.kill();
  await eventually(() => !isFresh(), 1_000);
  await nats.restart();
  await eventually(() => isFresh());
  for (let i = 0; i < 20; i++) await publish(`after-${i}`);
  await eventually(() => seen.length === 40);
  expect(new Set(seen).size).toBe(40);
  expect(seen[39]).toBe("after-19");
});

test("events that overtake the answer to a barrier are no sign of a loss", async () => {
  const fatal: AppError[] = [];
  follower = await followEvents(nc, { from: 1, onEvent: () => undefined, log, onFatal: (error) => fatal.push(error) });
  let last = 0;
  for (const until = performance.now() + 1_500; performance.now() < until;) last = await publish(crypto.randomUUID());
  expect(await follower.waitFor(last, 2_000)).toBe(true);
  expect(fatal).toEqual([]);
});

test("a consumer that the server has lost is made again", async () => {
  const seen: string[] = [];
  follower = await followEvents(nc, { from: 1, onEvent: (e) => seen.push(e.id), log });
  await follower.caughtUp;
  const manager = await jetstreamManager(nc);
  for await (const consumer of manager.consumers.list(EVENTS_STREAM))
    await manager.consumers.delete(EVENTS_STREAM, consumer.name);
  await publish("unheard");
  expect(await eventually(() => seen.includes("unheard"), 2_000)).toBe(true);
  await eventually(() => isFresh(), 2_000);
});

test("sequences without a message at the end do not stop the proof", async () => {
  const manager = await jetstreamManager(nc);
  await manager.streams.delete(EVENTS_STREAM);
  await manager.streams.add({ ...eventsStreamConfig(), deny_delete: false });
  await publish("kept");
  await manager.streams.deleteMessage(EVENTS_STREAM, await publish("removed"));
  follower = await followEvents(nc, { from: 1, onEvent: () => undefined, log });
  await follower.caughtUp;
  expect(follower.seq()).toBe(2);
});

test("a stream that was created anew is never taken for the old one", async () => {
  const fatal = Promise.withResolvers<AppError>();
  follower = await followEvents(nc, { from: 1, onEvent: () => undefined, log, onFatal: fatal.resolve });
  await publish("a");
  await follower.waitFor(1, 2_000);
  await follower.caughtUp;
  const manager = await jetstreamManager(nc);
  await manager.streams.delete(EVENTS_STREAM);
  await manager.streams.add(eventsStreamConfig());
  expect((await fatal.promise).message).toMatch(/anew|lost/);
  expect(follower.freshUntil()).toBe(0);
});

test("an event that cannot be folded ends the follower", async () => {
  const fatal = Promise.withResolvers<AppError>();
  const onEvent = () => {
    throw new Error("a bug in a fold");
  };
  follower = await followEvents(nc, { from: 1, onEvent, log, onFatal: fatal.resolve });
  await publish("a");
  expect((await fatal.promise).message).toMatch(/cannot fold/);
  expect(follower.seq()).toBe(0);
  expect(follower.freshUntil()).toBe(0);
});

test("what no service says there is skipped: old events again, on another's subject, bytes that are none", async () => {
  const seen: string[] = [];
  const fatal: AppError[] = [];
  const onFatal = (error: AppError) => fatal.push(error);
  const onEvent = (e: Event, seq: number) => seen.push(`${seq} ${e.id}`);
  follower = await followEvents(nc, { from: 1, onEvent, log, onFatal });
  await publish("a");
  const js = jetstream(nc);
  const manager = await jetstreamManager(nc);
  const stored = await manager.streams.getMessage(EVENTS_STREAM, { seq: 1 });
  await js.publish(event("identity", "token", "a"), stored!.data);
  await js.publish(event("catalog", "configuration", "main"), stored!.data);
  await js.publish(event("identity", "token", "b"), '{"type":"io.nats.jetstream.api.v1.stream_info_response"}');
  await js.publish(event("identity", "token", "b"), new Uint8Array([0xff]));
  const last = await publish("b");
  expect(await follower.waitFor(last, 2_000)).toBe(true);
  expect(await follower.provenSince(performance.now(), 2_000)).toBe(true);
  expect(seen).toEqual(["1 a", "6 b"]);
  expect(fatal).toEqual([]);
});
