import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ensureStreams } from "@sallyport/runtime";
import { eventually, startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CARD, playIncident, SELECT, SELECT_NORMALIZED, verdictKey } from "../../testing/incident.ts";
import { openTestClickHouse, startTestAudit, type TestAudit } from "../../testing/start-audit.ts";
import { readViews } from "../clickhouse/views.ts";
import { projectionFiles } from "./projector.ts";

let nats: TestNats;
let nc: NatsConnection;
let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let audit: TestAudit;

beforeAll(async () => {
  [nats, engine] = await Promise.all([startNatsServer(), openTestClickHouse()]);
  nc = await connect({ servers: nats.url });
  await ensureStreams(nc, { maxFramesBytes: 64 * 1024 * 1024 });
  audit = await startTestAudit(nats.url, engine.clickhouse, {}, new Map([["k1", verdictKey]]));
  await playIncident(nc);
  await audit.settled();
  await eventually(async () => (await rows("SELECT 1 FROM log.sessions WHERE state = 'lost'")).length === 1);
  await audit.settled();
}, 30_000);
afterAll(async () => {
  await audit?.stop();
  await nc?.close();
  await nats?.stop();
  await engine?.remove();
});

const rows = (sql: string): Promise<Record<string, unknown>[]> => engine.clickhouse.work.rows(sql);

test("view-sessions: each way in which a session stands", async () => {
  expect(
    await rows(
      "SELECT session_id, principal, actors, state, cause, commands, denied, held, client_address, edge FROM log.sessions ORDER BY at",
    ),
  ).toMatchObject([
    {
      session_id: "s-engineer",
      principal: "user:engineer",
      state: "closed",
      cause: "client",
      commands: 3,
      denied: 1,
      held: 1,
      edge: "edge-1",
    },
    {
      session_id: "s-nightly",
      principal: "user:contractor",
      actors: ["workload:nightly-export"],
      state: "closed",
      cause: "revoked",
      commands: 1,
      denied: 1,
      held: 1,
    },
    { session_id: "s-refused", state: "refused", cause: "unauthenticated", client_address: "203.0.113.5:1" },
    { session_id: "s-dying", state: "lost", commands: 1 },
    { session_id: "s-open", state: "open", cause: "" },
  ]);
});

test("view-commands: what was asked, decided and became of it", async () => {
  const sql =
    "SELECT session_id, command, statement, verdict, policies, status, code, tag, rows, duration_us, approval_id FROM log.commands ORDER BY session_id DESC, command";
  expect(await rows(sql)).toMatchObject([
    {
      session_id: "s-nightly",
      statement: "COPY customers TO STDOUT",
      verdict: "hold",
      policies: ["dump-needs-dba"],
      status: "denied",
      code: "42501",
      rows: null,
      approval_id: "a2",
    },
    {
      session_id: "s-engineer",
      command: 1,
      statement: SELECT_NORMALIZED,
      verdict: "forward",
      policies: ["engineers-read"],
      status: "ok",
      tag: "SELECT 2",
      rows: 2,
      duration_us: 900,
    },
    { session_id: "s-engineer", command: 2, statement: "DROP TABLE customers", verdict: "deny", status: "denied" },
    {
      session_id: "s-engineer",
      command: 3,
      statement: "DELETE FROM orders WHERE id = $1",
      verdict: "hold",
      policies: ["delete-needs-dba"],
      status: "ok",
      approval_id: "a1",
    },
    { session_id: "s-dying", command: 1, status: "unknown", rows: null, duration_us: null },
  ]);
  expect(
    await rows("SELECT statement FROM log_revealed.commands WHERE session_id = 's-engineer' AND command = 1"),
  ).toEqual([{ statement: SELECT }]);
});

test("view-verdicts: provenance, and whether the signature holds", async () => {
  expect(
    await rows(
      "SELECT verdict_id, outcome, reason, message, determining, shadow, policy_set, engine, parser, as_of, mac_valid, inputs, length(inputs_sha256) AS h FROM log.verdicts WHERE verdict_id IN ('v1', 'v2') ORDER BY verdict_id",
    ),
  ).toEqual([
    {
      verdict_id: "v1",
      outcome: "forward",
      reason: "",
      message: "",
      determining: ["engineers-read"],
      shadow: [],
      policy_set: "sha256:set-1",
      engine: "cedar 4.8",
      parser: "libpg-query 17",
      as_of: 2,
      mac_valid: "true",
      inputs: "",
      h: 64,
    },
    {
      verdict_id: "v2",
      outcome: "deny",
      reason: "policy",
      message: "Tables are not dropped by hand.",
      determining: ["no-drop"],
      shadow: ["stricter"],
      policy_set: "sha256:set-1",
      engine: "cedar 4.8",
      parser: "libpg-query 17",
      as_of: 2,
      mac_valid: "false",
      inputs: "",
      h: 64,
    },
  ]);
  expect(await rows("SELECT inputs FROM log_revealed.verdicts WHERE verdict_id = 'v1'")).toEqual([
    { inputs: `{"text":"${CARD}"}` },
  ]);
});

test("view-approvals", async () => {
  expect(
    await rows(
      "SELECT approval_id, requester, actors, statement, outcome, approver, approvers, groups, policies, session_id, command FROM log.approvals ORDER BY approval_id",
    ),
  ).toEqual([
    {
      approval_id: "a1",
      requester: "user:engineer",
      actors: [],
      statement: "DELETE FROM orders WHERE id = $1",
      outcome: "used",
      approver: "user:dba",
      approvers: ["user:dba"],
      groups: ["dba"],
      policies: ["delete-needs-dba"],
      session_id: "s-engineer",
      command: 3,
    },
    {
      approval_id: "a2",
      requester: "user:contractor",
      actors: ["workload:nightly-export"],
      statement: "COPY customers TO STDOUT",
      outcome: "expired",
      approver: "",
      approvers: [],
      groups: ["dba"],
      policies: ["dump-needs-dba"],
      session_id: "s-nightly",
      command: 1,
    },
  ]);
  expect(await rows("SELECT statement FROM log_revealed.approvals WHERE approval_id = 'a1'")).toEqual([
    { statement: "DELETE FROM orders WHERE id = 7" },
  ]);
});

test("view-exposures: which columns, in clear or masked", async () => {
  expect(
    await rows("SELECT principal, relation, column, class, rows, shown FROM log.exposures ORDER BY column"),
  ).toEqual([
    {
      principal: "user:engineer",
      relation: "public.customers",
      column: "card_number",
      class: "payment-card",
      rows: 2,
      shown: "masked",
    },
    {
      principal: "user:engineer",
      relation: "public.customers",
      column: "name",
      class: "person-name",
      rows: 2,
      shown: "clear",
    },
  ]);
});

test("view-frames", async () => {
  expect(await rows("SELECT session_id, command, direction, bytes > 50 AS some FROM log.frames")).toEqual([
    { session_id: "s-engineer", command: 1, direction: "to-client", some: 1 },
  ]);
});

test("view-identities, view-tokens, view-token_lineage: after the offboarding", async () => {
  expect(
    await rows("SELECT principal, kind, groups, state, offboarded_by, reason, tokens, subject FROM log.identities"),
  ).toEqual([
    {
      principal: "user:contractor",
      kind: "user",
      groups: ["contractors"],
      state: "offboarded",
      offboarded_by: "user:security",
      reason: "contract ended",
      tokens: 1,
      subject: "",
    },
  ]);
  expect(
    await rows(
      "SELECT token_id, kind, label, principal, actors, created_by, state, revoked_by, reason FROM log.tokens",
    ),
  ).toEqual([
    {
      token_id: "t-nightly",
      kind: "personal",
      label: "nightly-export",
      principal: "user:contractor",
      actors: ["workload:nightly-export"],
      created_by: ["user:contractor"],
      state: "revoked",
      revoked_by: "user:security",
      reason: "offboarded: contract ended",
    },
  ]);
  expect(await rows("SELECT depth, behind, origin FROM log.token_lineage ORDER BY behind")).toEqual([
    { depth: 1, behind: "principal", origin: "user:contractor" },
    { depth: 1, behind: "token", origin: "t-login" },
  ]);
});

test("view-policy_sets: what was in force from when to when", async () => {
  expect(
    await rows(
      "SELECT digest, applied_by, changes, connections, classifications, length(policies) AS files, isNull(until) AS current FROM log.policy_sets ORDER BY at",
    ),
  ).toEqual([
    {
      digest: "sha256:c1",
      applied_by: "user:dba",
      changes: ["+ connection orders"],
      connections: ["orders"],
      classifications: 1,
      files: 1,
      current: 0,
    },
    {
      digest: "sha256:c2",
      applied_by: "user:dba",
      changes: ["~ policy base.cedar"],
      connections: ["orders"],
      classifications: 0,
      files: 0,
      current: 1,
    },
  ]);
});

test("view-gaps: the session that was lost", async () => {
  expect(await rows("SELECT kind, edge, epoch, session_id FROM log.gaps")).toEqual([
    { kind: "session-lost", edge: "edge-1", epoch: 1_000, session_id: "s-dying" },
  ]);
});

test("view-event_log: sensitive fields in one database only, bytes in none", async () => {
  const sql = (database: string): string =>
    `SELECT data, sensitive FROM ${database}.event_log WHERE session_id = 's-engineer' AND seq = 3`;
  expect(await rows(sql("log"))).toMatchObject([{ sensitive: "" }]);
  expect((await rows(sql("log_revealed")))[0]?.["sensitive"]).toBe(JSON.stringify({ text: SELECT }));
  for (const view of readViews()) {
    const { name } = view;
    const everything = JSON.stringify(await rows(`SELECT * FROM log.${name}`));
    expect(everything, name).not.toContain(CARD);
    expect(everything, name).not.toContain("sealed");
    for (const bytes of ["header", "body"]) expect(view.columns.map((column) => column.name)).not.toContain(bytes);
  }
});

test("view-incident_who, incident_path: for the job", async () => {
  const job = "has(actors, 'workload:nightly-export')";
  expect(
    await rows(
      `SELECT principal, kind, groups, token_label, token_kind, created_by, mfa, client_application, state, cause FROM log.incident_who WHERE ${job}`,
    ),
  ).toEqual([
    {
      principal: "user:contractor",
      kind: "user",
      groups: ["contractors"],
      token_label: "nightly-export",
      token_kind: "personal",
      created_by: ["user:contractor"],
      mfa: 1,
      client_application: "pg_dump",
      state: "closed",
      cause: "revoked",
    },
  ]);
  expect(
    await rows(
      `SELECT client_address, tls, edge, protocol, connection, database, target, target_role, target_tls, durability FROM log.incident_path WHERE ${job}`,
    ),
  ).toEqual([
    {
      client_address: "10.0.0.9:50000",
      tls: "TLSv1.3 TLS_AES_256_GCM_SHA384",
      edge: "edge-1",
      protocol: "postgresql",
      connection: "orders",
      database: "orders",
      target: "db.internal:5432",
      target_role: "app",
      target_tls: "TLSv1.3",
      durability: "process",
    },
  ]);
});

test("view-incident_decisions, incident_evidence", async () => {
  expect(
    await rows(
      "SELECT command, verdict, status, reason, message, policies, approval_id, approval, approvers, mac_valid FROM log.incident_decisions WHERE session_id = 's-engineer' ORDER BY command",
    ),
  ).toEqual([
    {
      command: 1,
      verdict: "forward",
      status: "ok",
      reason: "",
      message: "",
      policies: ["engineers-read"],
      approval_id: "",
      approval: "",
      approvers: [],
      mac_valid: "true",
    },
    {
      command: 2,
      verdict: "deny",
      status: "denied",
      reason: "policy",
      message: "Tables are not dropped by hand.",
      policies: ["no-drop"],
      approval_id: "",
      approval: "",
      approvers: [],
      mac_valid: "false",
    },
    {
      command: 3,
      verdict: "hold",
      status: "ok",
      reason: "",
      message: "",
      policies: ["delete-needs-dba"],
      approval_id: "a1",
      approval: "used",
      approvers: ["user:dba"],
      mac_valid: "true",
    },
  ]);
  expect(
    await rows(
      "SELECT command, status, rows, seen_clear, seen_masked, first_seq, last_seq FROM log.incident_evidence WHERE session_id = 's-engineer' AND command = 1",
    ),
  ).toEqual([
    {
      command: 1,
      status: "ok",
      rows: 2,
      seen_clear: ["public.customers.name (person-name)"],
      seen_masked: ["public.customers.card_number (payment-card)"],
      first_seq: 3,
      last_seq: 7,
    },
  ]);
});

test("view-incident_timeline: everything in one order", async () => {
  const lines = await rows(
    "SELECT at, principal, what, detail FROM log.incident_timeline WHERE session_id IN ('s-nightly', '') ORDER BY at, what",
  );
  expect(lines.map(({ principal, what, detail }) => [principal, what, detail].join(" | "))).toEqual(
    [
      "user:dba | configuration applied | + connection orders",
      "user:contractor | token issued | personal token nightly-export for user:contractor",
      "user:dba | approval granted | a1",
      " | approval requested | COPY customers TO STDOUT held for dba",
      " | approval expired | a2",
      "user:security | principal offboarded | user:contractor: contract ended",
      "user:dba | configuration applied | ~ policy base.cedar",
      "user:contractor | session opened | user:contractor from 10.0.0.9:50000 (pg_dump) to orders/orders at db.internal:5432 as app, with token nightly-export made by user:contractor",
      "user:contractor | command: hold | COPY customers TO STDOUT [dump-needs-dba]: Nobody approved in time.",
      "user:contractor | session closed | cause: revoked: access was withdrawn",
    ].map((line) => line.replace(/^ \| approval requested/, "user:contractor | approval requested")),
  );
  const all = await rows("SELECT DISTINCT what FROM log.incident_timeline");
  for (const what of [
    "session lost",
    "login refused",
    "data seen",
    "command ok",
    "command unknown",
    "command: deny",
    "approval used",
  ])
    expect(all).toContainEqual({ what });
});

test("view-audit_access: is there, and empty", async () => {
  expect(await rows("SELECT * FROM log.audit_access")).toEqual([]);
});

test("rebuild: what is folded again from the log is what was there", async () => {
  const snapshot = async (): Promise<string[]> =>
    Promise.all(
      readViews().map(
        async ({ name }) =>
          `${name} ${JSON.stringify((await rows(`SELECT * FROM log_revealed.${name}`)).map((row) => JSON.stringify(row)).toSorted())}`,
      ),
    );
  const before = await snapshot();
  expect(before.join("").length).toBeGreaterThan(10_000);
  await audit.projector.rebuild();
  expect(await snapshot()).toEqual(before);
  // and folding a part twice changes nothing either
  await engine.clickhouse.work.run("TRUNCATE TABLE storage.projection_positions");
  await audit.projector.open();
  await audit.projector.foldAll();
  expect(await snapshot()).toEqual(before);
});

test("projections: every file is folded", () => {
  expect(projectionFiles().map((file) => file.slice(0, -4))).toEqual([
    "commands",
    "events",
    "exposures",
    "losses",
    "sessions",
    "verdicts",
  ]);
});
