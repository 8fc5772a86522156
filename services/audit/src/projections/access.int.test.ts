import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import { event as subjectOf } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestClickHouse, startTestAudit, type TestAudit } from "../../testing/start-audit.ts";

let nats: TestNats;
let nc: NatsConnection;
let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let audit: TestAudit;
const START_MS = Date.UTC(2026, 10, 22, 9);
const versions = new Map<string, number>();

beforeAll(async () => {
  [nats, engine] = await Promise.all([startNatsServer(), openTestClickHouse()]);
  nc = await connect({ servers: nats.url });
  await ensureStreams(nc, { maxFramesBytes: 64 * 1024 * 1024 });
  audit = await startTestAudit(nats.url, engine.clickhouse, {}, new Map());
  await asked("w-pending");
  await asked("w-open");
  await granted("w-open");
  await asked("w-ended");
  await granted("w-ended");
  await say("w-ended", "", { $case: "approvalExpired", value: { approvalId: "w-ended", window: window(60_000) } });
  await asked("w-unanswered");
  await say("w-unanswered", "", { $case: "approvalExpired", value: { approvalId: "w-unanswered", window: window(0) } });
  await asked("w-back");
  await granted("w-back");
  await say("w-back", "user:dba", {
    $case: "approvalWithdrawn",
    value: { approvalId: "w-back", cause: "enough", window: window(60_000), by: "user:dba" },
  });
  await say("z-glass", "user:engineer", {
    $case: "breakGlassUsed",
    value: {
      approvalId: "z-glass",
      principal: { id: "user:engineer" },
      window: window(60_000),
      holds: [{ policyId: "hold-changes", group: "dba" }],
      reason: "the shop is down",
    },
  });
  await audit.settled();
}, 30_000);
afterAll(async () => {
  await audit?.stop();
  await nc?.close();
  await nats?.stop();
  await engine?.remove();
});

const rows = (sql: string): Promise<Record<string, unknown>[]> => engine.clickhouse.work.rows(sql);
const window = (lastsMs: number) => ({
  principalId: "user:engineer",
  connection: "orders",
  database: "orders",
  seconds: 60,
  untilMs: lastsMs === 0 ? 0 : START_MS + lastsMs,
});

async function say(id: string, cause: string, fact: object): Promise<void> {
  const version = (versions.get(id) ?? 0) + 1;
  versions.set(id, version);
  const head = {
    id: `${id}-${version}`,
    atMs: START_MS,
    service: "approval",
    aggregate: `request/${id}`,
    version,
    cause,
  };
  const event = Event.fromPartial({ ...head, fact: fact as NonNullable<Event["fact"]> });
  await jetstream(nc).publish(subjectOf("approval", "request", id), Event.encode(event).finish());
}
const asked = (approvalId: string): Promise<void> =>
  say(approvalId, "user:engineer", {
    $case: "approvalRequested",
    value: {
      approvalId,
      principal: { id: "user:engineer" },
      connection: "orders",
      database: "orders",
      holds: [{ policyId: "window-for-production", group: "dba", quorum: 1 }],
      expiresAtMs: START_MS + 900_000,
      reason: "ticket 7",
      window: window(0),
    },
  });
const granted = (approvalId: string): Promise<void> =>
  say(approvalId, "user:dba", {
    $case: "approvalGranted",
    value: { approvalId, approver: "user:dba", policyIds: [], complete: true, comment: "", window: window(60_000) },
  });

test("view-approvals: access for a time, with its reason, its end and who ended it", async () => {
  const found = await rows(
    "SELECT approval_id, kind, requester, connection, database, outcome, reason, request_reason, seconds, access_until, ended_by, policies FROM log.approvals ORDER BY approval_id",
  );
  const until = "2026-11-22 09:01:00.000";
  const common = { requester: "user:engineer", connection: "orders", database: "orders", seconds: 60 };
  const one = { ...common, kind: "window", request_reason: "ticket 7", policies: ["window-for-production"] };
  expect(found).toEqual([
    {
      ...one,
      approval_id: "w-back",
      outcome: "withdrawn",
      reason: "enough",
      access_until: until,
      ended_by: "user:dba",
    },
    { ...one, approval_id: "w-ended", outcome: "ended", reason: "ticket 7", access_until: until, ended_by: "" },
    { ...one, approval_id: "w-open", outcome: "granted", reason: "ticket 7", access_until: until, ended_by: "" },
    { ...one, approval_id: "w-pending", outcome: "pending", reason: "ticket 7", access_until: null, ended_by: "" },
    { ...one, approval_id: "w-unanswered", outcome: "expired", reason: "ticket 7", access_until: null, ended_by: "" },
    {
      ...common,
      approval_id: "z-glass",
      kind: "break-glass",
      outcome: "granted",
      reason: "the shop is down",
      request_reason: "the shop is down",
      access_until: until,
      ended_by: "",
      policies: ["hold-changes"],
    },
  ]);
});

test("view-incident_timeline: who asked for access and why, who broke glass, who took it back", async () => {
  const lines = await rows(
    "SELECT what, principal, connection, detail FROM log.incident_timeline WHERE ref IN ('w-back', 'z-glass') ORDER BY ref, what",
  );
  expect(lines).toEqual([
    { what: "approval granted", principal: "user:dba", connection: "orders", detail: "w-back" },
    {
      what: "approval requested",
      principal: "user:engineer",
      connection: "orders",
      detail: "access held by window-for-production for 60 s: ticket 7",
    },
    { what: "approval withdrawn", principal: "user:dba", connection: "orders", detail: "w-back" },
    {
      what: "break glass used",
      principal: "user:engineer",
      connection: "orders",
      detail: "lifted hold-changes for 60 s: the shop is down",
    },
  ]);
});
