import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import {
  control,
  counts,
  COUNTS_STREAM,
  event,
  EVENTS_STREAM,
  eventsOfService,
  frames,
  framesStream,
} from "@sallyport/proto/subjects";
import { createInboxOf, createLogger, ensureStreams, followEvents, jetStreamRequest } from "@sallyport/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { layoutOf, prepareLayout } from "./layout.ts";
import { connectNats, findNatsServer, prepareNats, type NatsSetup } from "./nats.ts";
import { freePorts } from "./ports.ts";

/** The bus's own refusals, with the configuration that `npm start` writes. */

const EDGE = "edge-postgres-1";
const OTHER = "edge-postgres-2";
const folder = mkdtempSync(join(tmpdir(), "sallyport-nats-"));
const open: NatsConnection[] = [];
let server: ChildProcess;
let nats: NatsSetup;

beforeAll(async () => {
  const layout = layoutOf(folder);
  prepareLayout(layout);
  const members = new Map([
    ["admin", "admin"],
    [EDGE, "edge"],
    [OTHER, "edge"],
    ["audit", "audit"],
    ["policy", "policy"],
    ["identity", "identity"],
  ]);
  nats = prepareNats(layout, (await freePorts()).nats, members);
  server = spawn(findNatsServer() ?? "nats-server", ["-c", nats.configFile], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise<void>((ready) => {
    server.stderr?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes("Server is ready")) ready();
    });
  });
  await ensureStreams(await as("admin"));
});

afterAll(async () => {
  for (const connection of open) await connection.close();
  server.kill("SIGKILL");
  await once(server, "exit");
  rmSync(folder, { recursive: true, force: true });
});

async function as(instance: string): Promise<NatsConnection> {
  const connection = await connectNats(nats.url, nats.identity(instance));
  open.push(connection);
  return connection;
}

/** What the server says about the next thing that `connection` does. */
async function refusal(connection: NatsConnection, act: () => void): Promise<string> {
  const statuses = connection.status();
  act();
  for await (const status of statuses) if (status.type === "error") return status.error.message;
  return "";
}

test("an edge publishes on its own lane", async () => {
  const acknowledged = await jetstream(await as(EDGE)).publish(frames(0, EDGE, 0), "batch");
  expect(acknowledged.stream).toBe(framesStream(0));
});

test("an edge that publishes on another edge's lane is refused", async () => {
  const connection = await as(EDGE);
  expect(await refusal(connection, () => connection.publish(frames(0, OTHER, 0), "forged"))).toContain("frames.0");
});

test("an edge that publishes an event is refused", async () => {
  const connection = await as(EDGE);
  const subject = event("identity", "token", "t1");
  expect(await refusal(connection, () => connection.publish(subject, "forged"))).toContain(subject);
});

test("an edge that subscribes to frames is refused", async () => {
  const connection = await as(EDGE);
  expect(await refusal(connection, () => void connection.subscribe("frames.>"))).toContain("frames.>");
});

test("an edge can neither make a consumer on FRAMES nor fetch a message of it", async () => {
  const connection = await as(EDGE);
  const make = `$JS.API.CONSUMER.CREATE.${framesStream(0)}`;
  expect(await refusal(connection, () => connection.publish(make, "{}"))).toContain(make);
  const get = `$JS.API.STREAM.MSG.GET.${framesStream(0)}`;
  expect(await refusal(connection, () => connection.publish(get, '{"seq":1}'))).toContain(get);
});

test("a service publishes only its own events", async () => {
  const connection = await as("identity");
  const own = await jetstream(connection).publish(event("identity", "token", "t1"), "fact");
  expect(own.seq).toBeGreaterThan(0);
  const subject = event("catalog", "configuration", "main");
  expect(await refusal(connection, () => connection.publish(subject, "forged"))).toContain(subject);
});

test("policy, which decides, cannot read frames", async () => {
  const connection = await as("policy");
  const subject = `$JS.API.CONSUMER.CREATE.${framesStream(0)}`;
  expect(await refusal(connection, () => connection.publish(subject, "{}"))).toContain(subject);
});

test("audit reads frames", async () => {
  const manager = await jetstreamManager(await as("audit"), { checkAPI: false });
  const info = await manager.streams.info(framesStream(0));
  expect(info.state.messages).toBeGreaterThan(0);
});

/**
 * The server checks the subject that a request is published on, never where its answer is to go. An edge that asks with an
 * EVENTS subject for a reply must not have the answer stored there: that would append an old event, or bytes of its making,
 * as if a service had said it.
 */
const FORGED = event("catalog", "configuration", "main");
const STORED = event("identity", "token", "replayed");

async function eventsBySubject(): Promise<Record<string, number>> {
  const manager = await jetstreamManager(await as("admin"));
  const { state } = await manager.streams.info(EVENTS_STREAM, { subjects_filter: ">" });
  return state.subjects ?? {};
}

/** The subjects on which EVENTS has more after `attack`, once everything that the edge had asked for was answered. */
async function added(attack: (edge: NatsConnection) => void): Promise<string[]> {
  const edge = await as(EDGE);
  const before = await eventsBySubject();
  attack(edge);
  // Asked on the same connection afterwards: the server has dealt with all of the above when this is answered.
  await jetStreamRequest(edge, `STREAM.INFO.${EVENTS_STREAM}`, {}, 2_000);
  const after = await eventsBySubject();
  return Object.keys(after).filter((subject) => after[subject] !== before[subject]);
}

const ANSWERED: [string, string, object][] = [
  ["a pull", `$JS.API.CONSUMER.MSG.NEXT.${EVENTS_STREAM}.pulled`, { batch: 10, no_wait: true }],
  ["a direct get", `$JS.API.DIRECT.GET.${EVENTS_STREAM}`, { seq: 1 }],
  ["a get", `$JS.API.STREAM.MSG.GET.${EVENTS_STREAM}`, { seq: 1 }],
  ["a question about the stream", `$JS.API.STREAM.INFO.${EVENTS_STREAM}`, {}],
  ["a consumer's creation", `$JS.API.CONSUMER.CREATE.${EVENTS_STREAM}.c1`, { stream_name: EVENTS_STREAM, config: {} }],
  ["a recorded batch", frames(0, EDGE, 0), {}],
];

for (const [what, subject, body] of ANSWERED)
  test(`the answer to ${what} of an edge never lands in EVENTS`, async () => {
    const admin = await as("admin");
    await jetstream(admin).publish(STORED, Event.encode(Event.fromPartial({ id: "old" })).finish());
    const { consumers } = await jetstreamManager(admin);
    await consumers.add(EVENTS_STREAM, { name: "pulled", inactive_threshold: 30e9 });
    const attack = (edge: NatsConnection): void => edge.publish(subject, JSON.stringify(body), { reply: FORGED });
    expect(await added(attack)).toEqual([]);
    await consumers.delete(EVENTS_STREAM, "pulled");
  });

interface Made {
  error?: { description: string };
}

/** A push consumer on EVENTS (or COUNTS) that delivers everything there is to `deliver_subject`. */
const deliverTo = (
  edge: NatsConnection,
  name: string,
  deliver_subject: string,
  stream_name = EVENTS_STREAM,
): Promise<Made> => {
  const config = { name, deliver_subject, deliver_policy: "all", ack_policy: "none", inactive_threshold: 30e9 };
  const body = { stream_name, config };
  return jetStreamRequest(edge, `CONSUMER.CREATE.${stream_name}.${name}`, body, 2_000, { errors: "return" });
};

test("no consumer of an edge delivers into EVENTS, onto a lane, into the snapshots or into the API", async () => {
  const edge = await as(EDGE);
  for (const subject of [FORGED, "events.catalog.>", "events.>", "events.catalog.configuration"])
    expect([subject, (await deliverTo(edge, "cycle", subject)).error]).toEqual([subject, expect.anything()]);

  const admin = await as("admin");
  await jetstream(admin).publish(STORED, "old");
  await jetstream(admin).publish(frames(0, OTHER, 0), "batch");
  const { streams } = await jetstreamManager(admin);
  const state = async () => [
    (await streams.info(framesStream(0))).state.messages,
    (await streams.info(framesStream(0))).state.last_seq,
    (await streams.info("KV_SNAPSHOTS")).state.last_seq,
  ];
  const before = await state();
  const elsewhere = [frames(0, OTHER, 0), "$KV.SNAPSHOTS.identity.x.y", `$JS.API.STREAM.PURGE.${framesStream(0)}`];
  for (const [i, subject] of elsewhere.entries()) await deliverTo(edge, `elsewhere-${i}`, subject);
  // made last, on an own inbox: when all of EVENTS has come here, the others had their turn
  const inbox = createInboxOf(edge);
  const own = edge.subscribe(inbox);
  await deliverTo(edge, "own", inbox);
  for await (const message of own) if (message.subject === STORED && message.string() === "old") break;
  expect(await state()).toEqual(before);
});

test("an edge says its own counts, and hears all of them", async () => {
  const edge = await as(EDGE);
  const answer = await edge.request(counts(EDGE, "key"), "mine", { timeout: 2_000 });
  expect(answer.json()).toMatchObject({ stream: COUNTS_STREAM });
  const inbox = createInboxOf(edge);
  const heard = edge.subscribe(inbox);
  expect((await deliverTo(edge, "hears", inbox, COUNTS_STREAM)).error).toBeUndefined();
  await (await as(OTHER)).request(counts(OTHER, "key"), "theirs", { timeout: 2_000 });
  const said: string[] = [];
  for await (const message of heard) if (said.push(`${message.subject} ${message.string()}`) === 2) break;
  expect(said).toEqual([`${counts(EDGE, "key")} mine`, `${counts(OTHER, "key")} theirs`]);
  expect(await refusal(edge, () => edge.publish(counts(OTHER, "key"), "forged"))).toContain(counts(OTHER, "key"));
});

test("no consumer of an edge on COUNTS, which holds bytes of its own making, delivers into another stream", async () => {
  const edge = await as(EDGE);
  await edge.request(counts(EDGE, "forged"), Event.encode(Event.fromPartial({ id: "forged" })).finish());
  const admin = await as("admin");
  const { streams } = await jetstreamManager(admin);
  const state = async () =>
    await Promise.all(
      [EVENTS_STREAM, framesStream(0), "KV_SNAPSHOTS", COUNTS_STREAM].map(async (name) => {
        return (await streams.info(name)).state.last_seq;
      }),
    );
  const before = await state();
  const elsewhere = [FORGED, frames(0, OTHER, 0), counts(OTHER, "key"), "$KV.SNAPSHOTS.identity.x.y"];
  for (const [i, subject] of elsewhere.entries()) await deliverTo(edge, `counts-${i}`, subject, COUNTS_STREAM);
  const inbox = createInboxOf(edge);
  const own = edge.subscribe(inbox);
  await deliverTo(edge, "counts-own", inbox, COUNTS_STREAM);
  for await (const message of own) if (message.subject === counts(EDGE, "forged")) break;
  expect(await state()).toEqual(before);
});

test("an edge's answers do not land on another edge's lane", async () => {
  const edge = await as(EDGE);
  const { streams } = await jetstreamManager(await as("admin"));
  const before = (await streams.info(framesStream(0))).state.last_seq;
  edge.publish(`$JS.API.STREAM.MSG.GET.${EVENTS_STREAM}`, JSON.stringify({ seq: 1 }), { reply: frames(0, OTHER, 0) });
  await jetStreamRequest(edge, `STREAM.INFO.${EVENTS_STREAM}`, {}, 2_000);
  expect((await streams.info(framesStream(0))).state.last_seq).toBe(before);
});

for (const reader of [EDGE, "policy"])
  test(`${reader} follows EVENTS from another account: subjects, sequences and freshness are those of the stream`, async () => {
    const seen: string[] = [];
    const follower = await followEvents(await as(reader), {
      subjects: [eventsOfService("catalog")],
      from: 1,
      onEvent: (said, seq, subject) => seen.push(`${seq} ${subject} ${said.id}`),
      log: createLogger({ service: "test", instance: "test", log: { level: "silent" } }),
    });
    await follower.caughtUp;
    const schema = event("catalog", "schema", reader);
    const said = Event.fromPartial({ id: "new", service: "catalog", aggregate: `schema/${reader}`, version: 1 });
    const { seq } = await jetstream(await as("admin")).publish(schema, Event.encode(said).finish());
    expect(await follower.waitFor(seq, 2_000)).toBe(true);
    expect(seen.at(-1)).toBe(`${seq} ${schema} new`);
    expect(await follower.provenSince(performance.now(), 2_000)).toBe(true);
    await follower.stop();
  });

test("a cancel request reaches the edge that it is for, and no other", async () => {
  const [edge, other] = [await as(EDGE), await as(OTHER)];
  const heard = other.subscribe(control(OTHER), { max: 1 });
  await other.flush();
  edge.publish(control(OTHER), "cancel");
  for await (const message of heard) expect(message.string()).toBe("cancel");
  expect(await refusal(edge, () => void edge.subscribe(control(OTHER)))).toContain(control(OTHER));
});
