import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import { event as eventSubject, EVENTS_STREAM, frames, framesStream } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { eventually, startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { queryRecords, TestLane, TestSession } from "../../testing/lane-writer.ts";
import { openTestClickHouse, startTestAudit, type TestAudit } from "../../testing/start-audit.ts";

let nats: TestNats;
let edge: NatsConnection;
let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let audit: TestAudit | undefined;

beforeAll(async () => {
  [nats, engine] = await Promise.all([startNatsServer(), openTestClickHouse()]);
  edge = await connect({ servers: nats.url });
  await ensureStreams(edge, { maxFramesBytes: 256 * 1024 * 1024 });
});
afterAll(async () => {
  await edge?.close();
  await nats?.stop();
  await engine?.remove();
});
beforeEach(async () => {
  audit = await startTestAudit(nats.url, engine.clickhouse);
});
afterEach(async () => {
  await audit?.stop();
});

let named = 0;
/** A name that no other test of this file uses: they share one log. */
const fresh = (what: string): string => `${what}-${++named}`;

const send = (lane: TestLane, batch: Buffer) => jetstream(edge).publish(frames(0, lane.edge, lane.lane), batch);

interface Row {
  session_id: string;
  seq: number;
  kind: string;
}
const rowsOf = (sessionId: string): Promise<Row[]> =>
  engine.clickhouse.work.rows<Row>(
    `SELECT session_id, seq, kind FROM storage.event_log WHERE session_id = '${sessionId}' ORDER BY session_id, seq`,
  );

const eventsOf = async (kind: string, about: string): Promise<Record<string, unknown>[]> => {
  const rows = await engine.clickhouse.work.rows<{ data: string }>(
    `SELECT data FROM storage.event_log WHERE kind = '${kind}' AND position(data, '"${about}"') > 0`,
  );
  return rows.map((row) => JSON.parse(row.data) as Record<string, unknown>);
};

test("ingest-record-whole: the exact bytes, decoded columns and the position", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({
    sessionId: fresh("s"),
    principalId: "user:contractor",
    actors: ["workload:nightly-export"],
  });
  // everything that could be cut or changed on the way: line ends, tabs, backslashes, bytes that are no text
  const row = Buffer.from([0, 10, 10, 9, 92, 13, 10, 255, 254, 59, 10, 10]);
  const records = queryRecords(session, 1, "SELECT 'ä\n\n;DROP TABLE storage.event_log;' -- \\", "v1", row);
  await send(lane, lane.batch(records));
  await audit?.settled();
  const stored = await engine.clickhouse.work.rows<Record<string, unknown>>(
    `SELECT ord, stream, stream_seq, idx, edge, lane, epoch, batch_no, principal, actors, connection, protocol, seq, kind, command, data, sensitive,
       lower(hex(header)) AS header, lower(hex(body)) AS body, lower(hex(chain)) AS chain, toUnixTimestamp64Micro(at) AS at
     FROM storage.event_log WHERE session_id = '${session.id}' ORDER BY seq`,
  );
  expect(stored.map(({ header, body, chain }) => ({ header, body, chain }))).toEqual(
    records.map((r) => ({
      header: r.header.toString("hex"),
      body: r.body.toString("hex"),
      chain: r.chain.toString("hex"),
    })),
  );
  expect(stored[0]).toMatchObject({
    stream: "FRAMES_0",
    idx: 0,
    edge: lane.edge,
    lane: 0,
    epoch: lane.epoch,
    batch_no: 1,
    principal: "user:contractor",
    actors: ["workload:nightly-export"],
    connection: "orders",
    protocol: "postgresql",
    seq: 1,
    kind: "command-admitted",
    command: 1,
    at: session.atUs - 300,
  });
  expect(JSON.parse(stored[0]?.["data"] as string)).not.toHaveProperty("text");
  expect(JSON.parse(stored[0]?.["sensitive"] as string)).toEqual({
    text: "SELECT 'ä\n\n;DROP TABLE storage.event_log;' -- \\",
  });
  expect(JSON.parse(stored[2]?.["data"] as string)).toEqual({ command: 1, data_bytes: row.length });
});

test("ingest-repeat-dropped: a batch that is sent again is in the log once", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  const first = lane.batch(queryRecords(session, 1, "SELECT 1"));
  const second = lane.batch(queryRecords(session, 2, "SELECT 2"));
  for (const batch of [first, second, first, second, second]) await send(lane, batch);
  await audit?.settled();
  expect((await rowsOf(session.id)).map((row) => row.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(audit?.ingester.counts.repeats).toBe(3);
});

test("ingest-order-132: batches that overtook each other make no gap", async () => {
  await audit?.stop();
  audit = await startTestAudit(nats.url, engine.clickhouse, { gapWaitMs: 60_000 });
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  const [one, two, three] = [1, 2, 3].map((n) => lane.batch(queryRecords(session, n, `SELECT ${n}`))) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  await send(lane, one);
  await send(lane, three);
  await audit?.settled();
  await send(lane, two);
  await audit?.settled();
  expect((await rowsOf(session.id)).map((row) => row.seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  await audit?.chains.step();
  await audit?.chains.step();
  expect(await eventsOf("gap-found", lane.edge)).toEqual([]);
  expect(audit?.chains.broken).toBe(0);
});

test("ingest-gap-told: a batch that never comes is told once, after the wait", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  await send(lane, lane.batch(queryRecords(session, 1, "SELECT 1")));
  lane.batch(queryRecords(session, 2, "SELECT 2"));
  lane.batch(queryRecords(session, 3, "SELECT 3"));
  await send(lane, lane.batch(queryRecords(session, 4, "SELECT 4")));
  await eventually(async () =>
    expect(await eventsOf("gap-found", lane.edge)).toMatchObject([{ from_batch: 2, to_batch: 3, epoch: lane.epoch }]),
  );
  // after a restart it is found again, and is not told again
  await audit?.stop();
  audit = await startTestAudit(nats.url, engine.clickhouse);
  await send(lane, lane.batch(queryRecords(session, 5, "SELECT 5")));
  await audit.settled();
  await eventually(() => (audit?.evidence.gaps ?? 0) > 0);
  await audit.evidence.said();
  await audit.settled();
  expect(await eventsOf("gap-found", lane.edge)).toHaveLength(1);
});

test("ingest-epoch-closed: a newer epoch ends the older one's sessions and refuses its late batches", async () => {
  const name = fresh("edge");
  const old = new TestLane(name, 0, 1_000);
  const session = new TestSession({ sessionId: fresh("s") });
  const ended = new TestSession({ sessionId: fresh("s") });
  await send(
    old,
    old.batch([
      session.record({ $case: "sessionOpened", value: { connection: "orders" } }),
      ...queryRecords(session, 1, "SELECT 1").slice(0, 2),
    ]),
  );
  await send(
    old,
    old.batch([
      ended.record({ $case: "sessionOpened", value: {} }),
      ended.record({ $case: "sessionClosed", value: { cause: 1 } }),
    ]),
  );
  const late = old.batch([session.record({ $case: "commandCompleted", value: { command: 1, status: 1 } })]);
  const young = new TestLane(name, 0, 2_000);
  await send(
    young,
    young.batch([new TestSession({ sessionId: fresh("s") }).record({ $case: "sessionOpened", value: {} })]),
  );
  await eventually(async () =>
    expect(await eventsOf("session-lost", session.id)).toEqual([
      { session_id: session.id, edge: name, epoch: 1_000, last_seq: 3, open_commands: [1] },
    ]),
  );
  await send(old, late);
  await audit?.settled();
  expect(await rowsOf(session.id)).toHaveLength(3);
  const [refused] = await engine.clickhouse.work.rows<{ data: string; body: string }>(
    `SELECT data, hex(body) AS body FROM storage.event_log WHERE kind = 'batch-refused' AND position(data, '${name}') > 0`,
  );
  expect(JSON.parse(refused?.data ?? "{}")).toMatchObject({
    why: "closed-epoch",
    edge: name,
    epoch: 1_000,
    batchNo: 3,
  });
  expect(refused?.body.toLowerCase()).toBe(late.toString("hex"));
  await audit?.settled();
  expect(
    await engine.clickhouse.work.rows(
      `SELECT state FROM log.sessions WHERE session_id IN ('${session.id}', '${ended.id}') ORDER BY state`,
    ),
  ).toEqual([{ state: "closed" }, { state: "lost" }]);
  expect(
    await engine.clickhouse.work.rows(`SELECT status FROM log.commands WHERE session_id = '${session.id}'`),
  ).toEqual([{ status: "unknown" }]);
});

test("ingest-changed-batch: the same number with other bytes is refused and kept", async () => {
  const lane = new TestLane(fresh("edge"), 0, 5);
  const forged = new TestLane(lane.edge, 0, 5);
  const session = new TestSession({ sessionId: fresh("s") });
  await send(lane, lane.batch(queryRecords(session, 1, "SELECT 1")));
  await send(lane, forged.batch(queryRecords(new TestSession({ sessionId: fresh("s") }), 1, "SELECT 2")));
  await audit?.settled();
  expect(audit?.ingester.counts.refused).toBe(1);
  expect(
    await engine.clickhouse.work.rows(
      `SELECT JSONExtractString(data, 'why') AS why FROM storage.event_log WHERE kind = 'batch-refused' AND position(data, '${lane.edge}"') > 0`,
    ),
  ).toEqual([{ why: "changed" }]);
});

test("ingest-wrong-lane: a batch on another edge's subject is refused", async () => {
  const lane = new TestLane(fresh("edge"));
  await jetstream(edge).publish(
    frames(0, fresh("edge"), 0),
    lane.batch(queryRecords(new TestSession({ sessionId: fresh("s") }), 1, "SELECT 1")),
  );
  await audit?.settled();
  expect(audit?.ingester.counts.refused).toBe(1);
});

test("ingest-unreadable: what is no batch is kept, and what comes after it is ingested", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  const good = lane.batch(queryRecords(session, 1, "SELECT 1"));
  await send(lane, Buffer.from("nothing that anybody could read"));
  await send(lane, good.subarray(0, good.length - 3));
  await send(lane, good);
  await audit?.settled();
  expect(audit?.ingester.counts.unreadable).toBe(2);
  expect(await rowsOf(session.id)).toHaveLength(4);
});

test("ingest-chain-broken: a record that was altered is found and said", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  const records = [...queryRecords(session, 1, "SELECT 1"), ...queryRecords(session, 2, "SELECT 2")];
  (records[5] as { body: Buffer }).body = Buffer.from((records[5] as { body: Buffer }).body);
  const body = (records[5] as { body: Buffer }).body;
  body[body.length - 1] = (body[body.length - 1] as number) ^ 1;
  await send(lane, lane.batch(records));
  await audit?.settled();
  while ((audit?.chains.checked() ?? 0) < (audit?.growth.ord ?? 0)) await audit?.chains.step();
  await eventually(async () =>
    expect(await eventsOf("chain-broken", session.id)).toEqual([{ session_id: session.id, seq: 6 }]),
  );
});

test("ingest-records-missing: a session whose numbers jump is told although no batch is missing", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  const records = queryRecords(session, 1, "SELECT 1");
  await send(lane, lane.batch([records[0], records[1], records[3]] as typeof records));
  await audit?.settled();
  await eventually(async () => {
    await audit?.chains.step();
    expect(await eventsOf("gap-found", session.id)).toMatchObject([{ session_id: session.id, from_seq: 3, to_seq: 3 }]);
    return true;
  });
});

test("ingest-event: an event is a row, and what is secret in it is in no column for people", async () => {
  const id = fresh("token");
  const event = Event.encode(
    Event.fromPartial({
      id: "e1",
      atMs: 1_700_000_000_123,
      service: "identity",
      aggregate: `token/${id}`,
      version: 1,
      cause: "user:contractor",
      fact: {
        $case: "tokenIssued",
        value: {
          tokenId: id,
          principalId: "user:contractor",
          label: "nightly-export",
          tokenHash: Buffer.from("hash of it"),
          providerSessionId: "sid-1",
        },
      },
    } as never),
  ).finish();
  await jetstream(edge).publish(eventSubject("identity", "token", id), event);
  await audit?.settled();
  const [row] = await engine.clickhouse.work.rows<Record<string, unknown>>(
    `SELECT kind, service, aggregate, principal, data, sensitive, stream, session_id FROM storage.event_log WHERE aggregate = 'token/${id}'`,
  );
  expect(row).toMatchObject({
    kind: "token-issued",
    service: "identity",
    principal: "user:contractor",
    stream: EVENTS_STREAM,
    session_id: "",
  });
  expect(JSON.parse(row?.["data"] as string)).toEqual({
    token_id: id,
    principal_id: "user:contractor",
    label: "nightly-export",
  });
  expect(JSON.parse(row?.["sensitive"] as string)).toEqual({ provider_session_id: "sid-1" });
});

test("ingest-restart: everything once, in the order of the positions", async () => {
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  for (let n = 1; n <= 5; n++) await send(lane, lane.batch(queryRecords(session, n, `SELECT ${n}`)));
  await audit?.stop();
  for (let n = 6; n <= 10; n++) await send(lane, lane.batch(queryRecords(session, n, `SELECT ${n}`)));
  audit = await startTestAudit(nats.url, engine.clickhouse);
  await audit.settled();
  expect((await rowsOf(session.id)).map((row) => row.seq)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  const [ord] = await engine.clickhouse.work.rows<{ n: number; d: number; m: number }>(
    "SELECT count() AS n, uniqExact(ord) AS d, max(ord) AS m FROM storage.event_log",
  );
  expect(ord).toEqual({ n: ord?.m, d: ord?.m, m: ord?.m });
});

test("ingest-stream-made-anew: sequences that start at 1 again are new messages", async () => {
  await audit?.stop();
  audit = undefined;
  const manager = await jetstreamManager(edge);
  await manager.streams.delete(framesStream(0));
  await ensureStreams(edge, { maxFramesBytes: 256 * 1024 * 1024 });
  const lane = new TestLane(fresh("edge"));
  const session = new TestSession({ sessionId: fresh("s") });
  await send(lane, lane.batch(queryRecords(session, 1, "SELECT 1")));
  audit = await startTestAudit(nats.url, engine.clickhouse);
  await audit.settled();
  expect(await rowsOf(session.id)).toHaveLength(4);
});
