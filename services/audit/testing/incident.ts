/** A small incident as edges and services record it: what every view is tested on. */
import { createHmac } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import { type AggregateKind, event as eventSubject, type EventService, frames } from "@sallyport/proto/subjects";
import { DenyReason, Outcome, Verdict } from "@sallyport/proto/verdict";
import { TestLane, type TestRecord, TestSession } from "./lane-writer.ts";

export const verdictKey = Buffer.alloc(32, 7);
export const START_MS = Date.UTC(2026, 0, 15, 9, 0, 0);
export const CARD = "4000123412341234";

/** `VerdictReached` with a signature; `forged` is signed with another key. */
export function verdictFact(verdict: object, forged = false): { $case: "verdictReached"; value: object } {
  const bytes = Buffer.from(
    Verdict.encode(
      Verdict.fromPartial({
        policySet: "sha256:set-1",
        engine: "cedar 4.8",
        parser: "libpg-query 17",
        asOf: 2,
        ...verdict,
      }),
    ).finish(),
  );
  const mac = createHmac("sha256", forged ? Buffer.alloc(32, 8) : verdictKey)
    .update(bytes)
    .digest();
  return { $case: "verdictReached", value: { verdict: { verdict: bytes, mac, keyId: "k1" } } };
}

const message = (type: string, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};
const int16 = (n: number): Buffer => Buffer.from([n >> 8, n & 255]);
const int32 = (n: number): Buffer => Buffer.from([n >> 24, n >> 16, n >> 8, n]);
const cString = (text: string): Buffer => Buffer.from(`${text}\0`);

/** PostgreSQL's messages to a client. */
export const pg = {
  rowDescription: (names: string[], format = 0): Buffer =>
    message(
      "T",
      int16(names.length),
      ...names.flatMap((name) => [cString(name), int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(format)]),
    ),
  dataRow: (cells: (string | Buffer | null)[]): Buffer =>
    message(
      "D",
      int16(cells.length),
      ...cells.flatMap((cell) =>
        cell === null ? [int32(-1)] : [int32(Buffer.byteLength(cell)), Buffer.from(cell as string)],
      ),
    ),
  complete: (tag: string): Buffer => message("C", cString(tag)),
  ready: (): Buffer => message("Z", Buffer.from("I")),
  error: (fields: Record<string, string>): Buffer =>
    message("E", ...Object.entries(fields).map(([field, text]) => cString(field + text)), Buffer.from([0])),
  notice: (fields: Record<string, string>): Buffer =>
    message("N", ...Object.entries(fields).map(([field, text]) => cString(field + text)), Buffer.from([0])),
  copyData: (text: string): Buffer => message("d", Buffer.from(text)),
  notification: (text: string): Buffer => message("A", int32(1), cString("channel"), cString(text)),
  backendKey: (): Buffer => message("K", int32(1), int32(0x5ec2e7)),
  message,
};

const opened = (principal: object, more: object = {}): { $case: "sessionOpened"; value: object } => ({
  $case: "sessionOpened",
  value: {
    principal: {
      kind: 1,
      groups: ["engineers"],
      issuer: "https://idp.example",
      subject: "sub-1",
      authTimeMs: START_MS - 60_000,
      mfa: true,
      tokenId: "t-engineer",
      tokenKind: 1,
      ...principal,
    },
    connection: "orders",
    database: "orders",
    target: "db.internal:5432",
    targetRole: "app",
    targetVersion: "15.4",
    targetTls: "TLSv1.3",
    clientAddress: "10.0.0.7:40000",
    clientApplication: "psql",
    tls: "TLSv1.3 TLS_AES_256_GCM_SHA384",
    edge: "edge-1",
    gatewayVersion: "0.1.0",
    durability: "process",
    verdictId: "v-connect",
    traceId: "11111111111111111111111111111111",
    ...more,
  },
});

export const SELECT = `SELECT name, card_number FROM customers WHERE card_number = '${CARD}'`;
export const SELECT_NORMALIZED = "SELECT name, card_number FROM customers WHERE card_number = $1";

/** engineer reads (one column masked, one in clear), is denied a DROP, and deletes what dba granted. */
function engineer(session: TestSession): TestRecord[] {
  const record = session.record.bind(session);
  const facts = {
    actions: ["read"],
    verbs: ["select"],
    relations: [{ schema: "public", name: "customers" }],
    statementCount: 1,
    normalized: SELECT_NORMALIZED,
    fingerprint: "f1",
  };
  return [
    record(opened({ id: "user:engineer" })),
    record(
      verdictFact({
        id: "v1",
        outcome: Outcome.OUTCOME_FORWARD,
        determining: ["engineers-read"],
        facts,
        hiddenClasses: ["payment-card"],
        inputs: Buffer.from(`{"text":"${CARD}"}`),
      }),
    ),
    record({
      $case: "commandAdmitted",
      value: {
        command: 1,
        verdictId: "v1",
        unit: "simple-query",
        text: SELECT,
        traceId: "22222222222222222222222222222222",
      },
    }),
    record({ $case: "commandForwarded", value: { command: 1 } }),
    record({
      $case: "frameToClient",
      value: {
        command: 1,
        data: Buffer.concat([
          pg.rowDescription(["name", "card_number"]),
          pg.dataRow(["Ada", "[redacted]"]),
          pg.dataRow(["Bob", null]),
          pg.complete("SELECT 2"),
          pg.ready(),
        ]),
        columns: [
          { index: 0, name: "name", class: "person-name", transform: "pass", relation: "public.customers" },
          { index: 1, name: "card_number", class: "payment-card", transform: "redact", relation: "public.customers" },
        ],
      },
    }),
    record({
      $case: "resultMasked",
      value: {
        command: 1,
        planId: "p1",
        rows: 2,
        maskedCells: 1,
        columns: [
          {
            index: 0,
            name: "name",
            class: "person-name",
            transform: "pass",
            relation: "public.customers",
            tableOid: 16_400,
            columnNumber: 2,
          },
          {
            index: 1,
            name: "card_number",
            class: "payment-card",
            transform: "redact",
            relation: "public.customers",
            tableOid: 16_400,
            columnNumber: 5,
          },
        ],
      },
    }),
    record({
      $case: "commandCompleted",
      value: { command: 1, status: 1, tag: "SELECT 2", rows: 2, bytesToClient: 120, durationUs: 900, waitUs: 400 },
    }),
    record(
      verdictFact(
        {
          id: "v2",
          outcome: Outcome.OUTCOME_DENY,
          reason: DenyReason.DENY_REASON_POLICY,
          message: "Tables are not dropped by hand.",
          determining: ["no-drop"],
          shadow: ["stricter"],
          facts: { actions: ["define"], verbs: ["drop-table"], normalized: "DROP TABLE customers" },
        },
        true,
      ),
    ),
    record({
      $case: "commandDenied",
      value: {
        command: 2,
        verdictId: "v2",
        unit: "simple-query",
        text: "DROP TABLE customers",
        code: "42501",
        message: "Tables are not dropped by hand.",
      },
    }),
    record(
      verdictFact({
        id: "v3",
        outcome: Outcome.OUTCOME_HOLD,
        determining: ["delete-needs-dba"],
        holds: [{ policyId: "delete-needs-dba", group: "dba", quorum: 1, withinSeconds: 900 }],
        facts: { actions: ["write"], verbs: ["delete"], normalized: "DELETE FROM orders WHERE id = $1" },
      }),
    ),
    record({
      $case: "commandHeld",
      value: { command: 3, verdictId: "v3", approvalId: "a1", digest: Buffer.from("d1") },
    }),
    record(
      verdictFact({
        id: "v4",
        outcome: Outcome.OUTCOME_FORWARD,
        determining: ["engineers-write"],
        approvalId: "a1",
        facts: { actions: ["write"], verbs: ["delete"], normalized: "DELETE FROM orders WHERE id = $1" },
      }),
    ),
    record({
      $case: "commandAdmitted",
      value: {
        command: 3,
        verdictId: "v4",
        approvalId: "a1",
        unit: "simple-query",
        text: "DELETE FROM orders WHERE id = 7",
      },
    }),
    record({ $case: "commandForwarded", value: { command: 3 } }),
    record({
      $case: "commandCompleted",
      value: { command: 3, status: 1, tag: "DELETE 1", rows: 1, bytesToClient: 20, durationUs: 500, waitUs: 9_000_000 },
    }),
    record({ $case: "sessionClosed", value: { cause: 1, commands: 3, bytesToClient: 500, bytesFromClient: 300 } }),
  ];
}

/** The job with the contractor's token: its dump is held and nobody answers. */
function nightly(session: TestSession): TestRecord[] {
  const record = session.record.bind(session);
  const principal = {
    id: "user:contractor",
    actors: [{ id: "workload:nightly-export", issuer: "" }],
    groups: ["contractors"],
    tokenId: "t-nightly",
    tokenKind: 2,
    tokenLabel: "nightly-export",
    createdBy: ["user:contractor"],
    subject: "sub-2",
  };
  return [
    record(opened(principal, { clientAddress: "10.0.0.9:50000", clientApplication: "pg_dump" })),
    record(
      verdictFact({
        id: "v5",
        outcome: Outcome.OUTCOME_HOLD,
        determining: ["dump-needs-dba"],
        holds: [{ policyId: "dump-needs-dba", group: "dba", quorum: 1 }],
        facts: { actions: ["transfer"], verbs: ["copy-to"], normalized: "COPY customers TO STDOUT" },
      }),
    ),
    record({
      $case: "commandHeld",
      value: { command: 1, verdictId: "v5", approvalId: "a2", digest: Buffer.from("d2") },
    }),
    record({
      $case: "commandDenied",
      value: {
        command: 1,
        verdictId: "v5",
        unit: "simple-query",
        text: "COPY customers TO STDOUT",
        code: "42501",
        message: "Nobody approved in time.",
        approvalId: "a2",
      },
    }),
    record({ $case: "sessionClosed", value: { cause: 3, error: "access was withdrawn", commands: 1 } }),
  ];
}

/** An edge that dies while a command runs. */
function dying(session: TestSession): TestRecord[] {
  const record = session.record.bind(session);
  return [
    record(opened({ id: "user:dba", groups: ["dba"], tokenId: "t-dba", subject: "sub-3" })),
    record(
      verdictFact({
        id: "v6",
        outcome: Outcome.OUTCOME_FORWARD,
        determining: ["dba-write"],
        facts: { actions: ["write"], normalized: "UPDATE orders SET status = $1" },
      }),
    ),
    record({
      $case: "commandAdmitted",
      value: { command: 1, verdictId: "v6", unit: "simple-query", text: "UPDATE orders SET status = 'x'" },
    }),
    record({ $case: "commandForwarded", value: { command: 1 } }),
  ];
}

function refused(session: TestSession): TestRecord[] {
  return [
    session.record({
      $case: "sessionRefused",
      value: {
        connection: "orders",
        claimedUser: "root",
        clientAddress: "203.0.113.5:1",
        edge: "edge-1",
        code: "unauthenticated",
        error: "the token is not valid",
      },
    }),
  ];
}

type Fact = NonNullable<Event["fact"]>;
interface Said {
  service: EventService;
  kind: AggregateKind;
  id: string;
  cause?: string;
  fact: { $case: Fact["$case"]; value: object };
}

const events: Said[] = [
  {
    service: "identity",
    kind: "principal",
    id: "user:contractor",
    fact: {
      $case: "principalSeen",
      value: {
        principalId: "user:contractor",
        kind: 1,
        issuer: "https://idp.example",
        subject: "sub-2",
        groups: ["contractors"],
        sealedRefreshToken: Buffer.from("sealed"),
      },
    },
  },
  {
    service: "catalog",
    kind: "configuration",
    id: "main",
    cause: "user:dba",
    fact: {
      $case: "configurationApplied",
      value: {
        digest: "sha256:c1",
        changes: ["+ connection orders"],
        configuration: {
          connections: [{ name: "orders", protocol: "postgresql" }],
          policies: [{ path: "base.cedar", text: "permit(principal, action, resource);" }],
          classifications: [{ class: "payment-card", column: "card*" }],
        },
      },
    },
  },
  {
    service: "identity",
    kind: "token",
    id: "t-nightly",
    cause: "user:contractor",
    fact: {
      $case: "tokenIssued",
      value: {
        tokenId: "t-nightly",
        kind: 2,
        principalId: "user:contractor",
        actors: [{ id: "workload:nightly-export" }],
        createdBy: ["user:contractor"],
        issuedWith: ["t-login"],
        label: "nightly-export",
        expiresAtMs: START_MS + 90 * 86_400_000,
        tokenHash: Buffer.from("hash"),
      },
    },
  },
  {
    service: "approval",
    kind: "request",
    id: "a1",
    cause: "user:engineer",
    fact: {
      $case: "approvalRequested",
      value: {
        approvalId: "a1",
        sessionId: "s-engineer",
        principal: { id: "user:engineer" },
        connection: "orders",
        database: "orders",
        command: 3,
        text: "DELETE FROM orders WHERE id = 7",
        normalized: "DELETE FROM orders WHERE id = $1",
        digest: Buffer.from("d1"),
        holds: [{ policyId: "delete-needs-dba", group: "dba", quorum: 1 }],
        expiresAtMs: START_MS + 900_000,
        verdictId: "v3",
      },
    },
  },
  {
    service: "approval",
    kind: "request",
    id: "a1",
    cause: "user:dba",
    fact: {
      $case: "approvalGranted",
      value: { approvalId: "a1", approver: "user:dba", policyIds: ["delete-needs-dba"], complete: true },
    },
  },
  {
    service: "approval",
    kind: "request",
    id: "a1",
    fact: { $case: "approvalUsed", value: { approvalId: "a1", sessionId: "s-engineer", command: 3 } },
  },
  {
    service: "approval",
    kind: "request",
    id: "a2",
    fact: {
      $case: "approvalRequested",
      value: {
        approvalId: "a2",
        sessionId: "s-nightly",
        principal: { id: "user:contractor", actors: [{ id: "workload:nightly-export" }] },
        connection: "orders",
        command: 1,
        text: "COPY customers TO STDOUT",
        normalized: "COPY customers TO STDOUT",
        holds: [{ policyId: "dump-needs-dba", group: "dba", quorum: 1 }],
        expiresAtMs: START_MS + 60_000,
        verdictId: "v5",
      },
    },
  },
  { service: "approval", kind: "request", id: "a2", fact: { $case: "approvalExpired", value: { approvalId: "a2" } } },
  {
    service: "identity",
    kind: "principal",
    id: "user:contractor",
    cause: "user:security",
    fact: {
      $case: "principalOffboarded",
      value: { principalId: "user:contractor", reason: "contract ended", tokenIds: ["t-nightly"] },
    },
  },
  {
    service: "catalog",
    kind: "configuration",
    id: "main",
    cause: "user:dba",
    fact: {
      $case: "configurationApplied",
      value: {
        digest: "sha256:c2",
        changes: ["~ policy base.cedar"],
        configuration: { connections: [{ name: "orders" }] },
      },
    },
  },
];

/** Publishes all of it. */
export async function playIncident(nc: NatsConnection): Promise<void> {
  const js = jetstream(nc);
  for (const [i, { service, kind, id, cause = "", fact }] of events.entries()) {
    const bytes = Event.encode(
      Event.fromPartial({
        id: `e${i}`,
        atMs: START_MS + i * 1_000,
        service,
        aggregate: `${kind}/${id}`,
        version: 1,
        cause,
        fact,
      }),
    ).finish();
    await js.publish(eventSubject(service, kind, id), bytes);
  }
  const lane = new TestLane("edge-1", 0, 1_000);
  const at = START_MS + 10_000;
  const parts = [
    engineer(new TestSession({ sessionId: "s-engineer", principalId: "user:engineer" }, at)),
    nightly(
      new TestSession(
        { sessionId: "s-nightly", principalId: "user:contractor", actors: ["workload:nightly-export"] },
        at + 1_000,
      ),
    ),
    refused(new TestSession({ sessionId: "s-refused", principalId: "" }, at + 2_000)),
    dying(new TestSession({ sessionId: "s-dying", principalId: "user:dba" }, at + 3_000)),
  ];
  for (const records of parts) await js.publish(frames(0, "edge-1", 0), lane.batch(records));
  const young = new TestLane("edge-1", 0, 2_000);
  await js.publish(
    frames(0, "edge-1", 0),
    young.batch([new TestSession({ sessionId: "s-open" }, at + 5_000).record(opened({ id: "user:engineer" }))]),
  );
}
