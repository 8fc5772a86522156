import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { AuditServiceClient, type QueryResponse, type ReplayItem } from "@sallyport/proto/audit";
import { Principal } from "@sallyport/proto/principal";
import { frames } from "@sallyport/proto/subjects";
import {
  AppError,
  bearer,
  callStream,
  callUnary,
  type Callers,
  ensureStreams,
  publicClient,
  type Runtime,
  Secret,
} from "@sallyport/runtime";
import { createPki, eventually, startNatsServer, startTestRuntime, type TestNats } from "@sallyport/runtime/testing";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CARD, pg, playIncident, SELECT, SELECT_NORMALIZED, verdictFact, verdictKey } from "../testing/incident.ts";
import { TestLane, TestSession } from "../testing/lane-writer.ts";
import { openTestClickHouse, silent, startTestAudit, type TestAudit } from "../testing/start-audit.ts";
import { accessEvents } from "./access-events.ts";
import { purgeStream } from "./purge.ts";
import { Turns } from "./query/turns.ts";
import { auditService } from "./service.ts";
import { statusReader } from "./status.ts";

/** Who may what in these tests; identity and policy have tests of their own. */
const people: Record<string, { audit: boolean; reveals: string[]; connection?: string }> = {
  security: { audit: true, reveals: ["statement-text", "person-name"] },
  auditor: { audit: true, reveals: ["person-name"] },
  blind: { audit: true, reveals: [] },
  engineer: { audit: false, reveals: [] },
  // sees in clear on one connection, not on every one
  local: { audit: true, reveals: ["statement-text", "person-name"], connection: "sandbox" },
};
const callers: Callers = {
  callerOf: async (call) => {
    const name = String(call.metadata.get("authorization")[0] ?? "").replace("Bearer ", "");
    if (people[name] === undefined) throw new AppError("unauthenticated", "caller", "the token is not valid");
    return { principal: Principal.fromPartial({ id: `user:${name}` }), token: new Secret(name) };
  },
  authorize: async (principal, action, _resource, _signal, connection) => {
    const person = people[principal.id.slice(5)];
    const reveals = person?.connection === undefined || person.connection === connection;
    return {
      allowed: action === "audit" && person?.audit === true,
      message: "",
      determining: [],
      revealedClasses: reveals ? (person?.reveals ?? []) : [],
    };
  },
  requireAction: async (caller, action, resource) => {
    const answer = await callers.authorize(caller.principal, action, resource);
    if (!answer.allowed) throw new AppError("not-permitted", "caller.audit", "only auditors ask the log");
    return answer;
  },
};

let nats: TestNats;
let nc: NatsConnection;
let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let audit: TestAudit;
let runtime: Runtime;
let client: AuditServiceClient;

beforeAll(async () => {
  const pki = await createPki();
  [nats, engine] = await Promise.all([startNatsServer(), openTestClickHouse()]);
  nc = await connect({ servers: nats.url });
  await ensureStreams(nc, { maxFramesBytes: 64 * 1024 * 1024 });
  audit = await startTestAudit(nats.url, engine.clickhouse, {}, new Map([["k1", verdictKey]]));
  runtime = await startTestRuntime("audit", { pki, nats: nats.url });
  const { clickhouse, growth, progress } = audit;
  const status = statusReader({ nc, clickhouse, progress, partitions: 1, durability: "process" });
  const limits = { maxRows: 1_000, maxResultBytes: 1 << 22, maxSeconds: 5, maxMemoryBytes: 1 << 28 };
  const addresses = await runtime.serve({
    public: [
      auditService({
        clickhouse,
        callers,
        access: accessEvents(nc),
        growth,
        status,
        limits,
        turns: new Turns(2),
        signal: runtime.signal,
      }),
    ],
  });
  runtime.ready();
  client = publicClient(AuditServiceClient, addresses.public as string, await readFile(pki.ca));
  await playIncident(nc);
  await audit.settled();
}, 60_000);
afterAll(async () => {
  client?.close();
  await runtime?.stop("test");
  await audit?.stop();
  await nc?.close();
  await nats?.stop();
  await engine?.remove();
});

async function query(name: string, sql: string): Promise<unknown[][]> {
  const parts: QueryResponse[] = [];
  for await (const part of callStream(
    client,
    "query",
    { sql, parameters: {}, maxRows: 0 },
    { metadata: bearer(name), deadlineMs: 10_000 },
  ))
    parts.push(part);
  expect(parts.at(-1)?.part?.$case).toBe("done");
  return parts.flatMap(({ part }) => (part?.$case === "row" ? [JSON.parse(part.value.json) as unknown[]] : []));
}

async function replayed(name: string, sessionId: string, fromSeq = 0): Promise<ReplayItem[]> {
  const items: ReplayItem[] = [];
  for await (const item of callStream(
    client,
    "replay",
    { sessionId, fromSeq },
    { metadata: bearer(name), deadlineMs: 10_000 },
  ))
    items.push(item);
  return items;
}

test("service-query: two readers, one question", async () => {
  const sql = "SELECT statement FROM commands WHERE session_id = 's-engineer' AND command = 1";
  expect(await query("security", sql)).toEqual([[SELECT]]);
  expect(await query("auditor", sql)).toEqual([[SELECT_NORMALIZED]]);
  await expect(query("auditor", "SELECT statement FROM log_revealed.commands")).rejects.toMatchObject({
    code: "not-permitted",
  });
});

test("service-permission: needs a token and `audit`", async () => {
  await expect(query("engineer", "SELECT 1")).rejects.toMatchObject({
    code: "not-permitted",
    message: "only auditors ask the log",
  });
  await expect(query("nobody", "SELECT 1")).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(replayed("engineer", "s-engineer")).rejects.toMatchObject({ code: "not-permitted" });
  await expect(
    callUnary(
      client,
      "listSessions",
      { principalId: "", connection: "", limit: 0, live: false },
      { metadata: bearer("engineer"), deadlineMs: 5_000 },
    ),
  ).rejects.toMatchObject({ code: "not-permitted" });
});

test("service-access: each question and replay is itself in the log, the failed ones too", async () => {
  await query("auditor", "SELECT 4711");
  await expect(query("auditor", "SELECT * FROM file('/etc/passwd')")).rejects.toThrow(/file/);
  await replayed("auditor", "s-nightly");
  await audit.settled();
  const seen = await query(
    "security",
    "SELECT principal, kind, session_id, sql, rows, error FROM audit_access WHERE principal = 'user:auditor' AND (sql LIKE '%4711%' OR sql LIKE '%passwd%' OR kind = 'session-replayed') ORDER BY at",
  );
  expect(seen).toEqual([
    ["user:auditor", "audit-queried", "", "SELECT 4711", 1, ""],
    ["user:auditor", "audit-queried", "", "SELECT * FROM file('/etc/passwd')", 0, "not-permitted"],
    ["user:auditor", "session-replayed", "s-nightly", "", 0, ""],
  ]);
});

test("service-list-sessions", async () => {
  const { sessions } = await callUnary(
    client,
    "listSessions",
    { principalId: "user:engineer", connection: "orders", limit: 10, live: false },
    { metadata: bearer("auditor"), deadlineMs: 5_000 },
  );
  expect(sessions).toMatchObject([
    { sessionId: "s-open", state: "open", closedAtMs: 0 },
    {
      sessionId: "s-engineer",
      state: "closed",
      commands: 3,
      denied: 1,
      held: 1,
      protocol: "postgresql",
      cause: "client",
    },
  ]);
});

test("service-replay: in order, with the readers' own eyes", async () => {
  const full = await replayed("security", "s-engineer");
  expect(full.map((item) => item.seq)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
  const texts = (items: ReplayItem[]) =>
    items.flatMap(({ body }) =>
      body?.fact?.$case === "commandAdmitted" || body?.fact?.$case === "commandDenied" ? [body.fact.value.text] : [],
    );
  expect(texts(full)).toEqual([SELECT, "DROP TABLE customers", "DELETE FROM orders WHERE id = 7"]);
  const cells = (items: ReplayItem[]) =>
    items.flatMap((item) =>
      item.shown.flatMap(({ what }) =>
        what?.$case === "row" ? [what.value.cells.map((cell) => cell.text ?? null)] : [],
      ),
    );
  expect(cells(full)).toEqual([
    ["Ada", "[redacted]"],
    ["Bob", null],
  ]);

  const auditor = await replayed("auditor", "s-engineer");
  expect(texts(auditor)).toEqual([SELECT_NORMALIZED, "DROP TABLE customers", "DELETE FROM orders WHERE id = $1"]);
  expect(cells(auditor)).toEqual([
    ["Ada", "[redacted]"],
    ["Bob", null],
  ]);
  const blind = await replayed("blind", "s-engineer");
  expect(cells(blind)).toEqual([
    ["[masked]", "[redacted]"],
    ["[masked]", null],
  ]);
  for (const items of [auditor, blind]) expect(JSON.stringify(items)).not.toContain(CARD);
  const bytes = Buffer.concat(
    blind.flatMap(({ body }) => (body?.fact?.$case === "frameToClient" ? [body.fact.value.data] : [])),
  ).toString("latin1");
  expect(bytes).not.toMatch(/Ada|Bob/);
  expect((await replayed("auditor", "s-engineer", 15)).map((item) => item.seq)).toEqual([15, 16]);
});

test("service-reveal: what is revealed on one connection is seen in its sessions, in no others, and not in SQL", async () => {
  const js = jetstream(nc);
  const message = Buffer.concat([pg.rowDescription(["name"]), pg.dataRow(["Edsger"]), pg.complete("SELECT 1")]);
  const columns = [{ index: 0, name: "name", class: "person-name", transform: "pass" }];
  for (const connection of ["sandbox", "orders"]) {
    const session = new TestSession({ sessionId: `s-on-${connection}`, connection });
    const records = [
      session.record(verdictFact({ id: `v-${connection}`, outcome: 1, facts: { normalized: "SELECT $1" } })),
      session.record({
        $case: "commandAdmitted",
        value: { command: 1, verdictId: `v-${connection}`, text: "SELECT 'Edsger'" },
      }),
      session.record({ $case: "frameToClient", value: { command: 1, data: message, columns } }),
    ];
    await js.publish(frames(0, `edge-${connection}`, 0), new TestLane(`edge-${connection}`).batch(records));
  }
  await audit.settled();
  const seen = async (sessionId: string) => JSON.stringify(await replayed("local", sessionId));
  expect(await seen("s-on-sandbox")).toContain("SELECT 'Edsger'");
  expect(await seen("s-on-sandbox")).not.toContain("[masked]");
  expect(await seen("s-on-orders")).not.toContain("Edsger");
  expect(await seen("s-on-orders")).toContain("[masked]");
  const sql = "SELECT statement FROM commands WHERE session_id = 's-on-sandbox'";
  expect(await query("local", sql)).toEqual([["SELECT $1"]]);
});

test("service-tail: what happens from now on, masked, also in a session that was there before", async () => {
  const stop = new AbortController();
  const items: ReplayItem[] = [];
  const following = (async () => {
    for await (const item of callStream(
      client,
      "tail",
      { sessionId: "" },
      { metadata: bearer("blind"), signal: stop.signal },
    ))
      items.push(item);
  })().catch(() => undefined);
  await eventually(async () => {
    await audit.settled();
    return (
      (
        await engine.clickhouse.work.rows(
          "SELECT 1 FROM log.audit_access WHERE principal = 'user:blind' AND kind = 'session-replayed' AND session_id = ''",
        )
      ).length > 0
    );
  });
  const lane = new TestLane("edge-tail");
  const session = new TestSession({ sessionId: "s-tail" });
  const message = Buffer.concat([pg.rowDescription(["name"]), pg.dataRow(["Grace"]), pg.complete("SELECT 1")]);
  const columns = [{ index: 0, name: "name", class: "person-name", transform: "pass" }];
  const js = jetstream(nc);
  await js.publish(
    frames(0, "edge-tail", 0),
    lane.batch([
      session.record(verdictFact({ id: "vt", outcome: 1, facts: { normalized: "SELECT $1" } })),
      session.record({ $case: "commandAdmitted", value: { command: 1, verdictId: "vt", text: "SELECT 'Grace'" } }),
      session.record({ $case: "frameToClient", value: { command: 1, data: message.subarray(0, 40), columns } }),
    ]),
  );
  await js.publish(
    frames(0, "edge-tail", 0),
    lane.batch([session.record({ $case: "frameToClient", value: { command: 1, data: message.subarray(40) } })]),
  );
  await eventually(() => items.length === 4);
  stop.abort();
  await following;
  expect(items.map((item) => item.seq)).toEqual([1, 2, 3, 4]);
  const everything = JSON.stringify(items);
  expect(everything).toContain("[masked]");
  expect(everything).toContain("SELECT $1");
  expect(everything).not.toContain("Grace");
  expect(
    Buffer.concat(
      items.flatMap(({ body }) => (body?.fact?.$case === "frameToClient" ? [body.fact.value.data] : [])),
    ).toString(),
  ).not.toContain("Grace");
});

test("service-status", async () => {
  await audit.settled();
  const status = await callUnary(client, "status", {}, { metadata: bearer("engineer"), deadlineMs: 5_000 });
  const [{ n } = { n: 0 }] = await engine.clickhouse.work.rows<{ n: number }>(
    "SELECT count() AS n FROM storage.event_log",
  );
  expect(status).toMatchObject({
    lagMessages: 0,
    lagMs: 0,
    durability: "process",
    gaps: 0,
    limitBytes: 64 * 1024 * 1024,
  });
  expect(status.records).toBeGreaterThanOrEqual(n);
  expect(status.clickhouse).toMatch(/^\d+\.\d+.* embedded$/);
  expect(status.storedBytes).toBeGreaterThan(0);
});

test("purge: takes off the bus what is in the log and old enough, or when the stream fills up", async () => {
  await audit.settled();
  const manager = await jetstreamManager(nc);
  const committed = audit.progress.committed("FRAMES_0");
  const settings = { keepHours: 1, purgeAbove: 0.5 };
  const parts = { session: engine.clickhouse.work, settings, log: silent };
  expect(await purgeStream(manager, "FRAMES_0", committed, parts)).toBe(0);
  expect(
    await purgeStream(manager, "FRAMES_0", committed - 2, { ...parts, settings: { keepHours: 0, purgeAbove: 1 } }),
  ).toBe(committed - 2);
  expect(
    await purgeStream(manager, "FRAMES_0", committed, { ...parts, settings: { keepHours: 1, purgeAbove: 0 } }),
  ).toBe(2);
});
