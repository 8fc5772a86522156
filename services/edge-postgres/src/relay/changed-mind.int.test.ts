import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ApprovalState } from "@sallyport/proto/approval";
import { ApprovalStatus } from "@sallyport/proto/approval";
import { DenyReason, Outcome } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { RawClient, reportsOf, rowsOf, statusOf, typesOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

/** The lease is lost between decision and acknowledgement, and the second decision is another. */
let postgres: TestPostgres;
let gateway: TestGateway;
let freshUntil = Number.POSITIVE_INFINITY;
let second: "deny" | "hold" = "deny";
let asked: string[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(
    "CREATE ROLE app LOGIN PASSWORD 'app-secret'; CREATE TABLE t (id int); ALTER TABLE t OWNER TO app",
  );
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    events: { follow: async () => ({ baseline: 0, freshUntil: () => freshUntil, stop: async () => {} }) },
    links: (links) => ({
      ...links,
      approval: {
        request: async () => ({ approvalId: "apr-1", expiresAtMs: Date.now() + 60_000 }),
        await: async function* () {
          yield { approvalId: "apr-1", status: ApprovalStatus.APPROVAL_STATUS_GRANTED } as ApprovalState;
        },
        use: async () => ({ asOf: 0 }),
        withdraw: async () => {},
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});
beforeEach(() => {
  asked = [];
  gateway.decide = ({ command }) => {
    const text = command?.text ?? "";
    if (!text.includes("race") || command?.approvalId !== "" || command.unit === "parse") return {};
    asked.push(text);
    if (asked.length === 1) {
      // this answer is good, but by the time that it is recorded there is no lease
      freshUntil = 0;
      setTimeout(() => (freshUntil = Number.POSITIVE_INFINITY), 100);
      return {};
    }
    return second === "deny"
      ? { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_POLICY, message: "Not any more." }
      : {
          outcome: Outcome.OUTCOME_HOLD,
          message: "Ask.",
          holds: [{ policyId: "p", group: "dba", quorum: 1, withinSeconds: 60, message: "Ask." }],
        };
  };
});

const login = (): Promise<RawClient> => RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders" });
const run = (text: string): Buffer =>
  Buffer.concat([serialize.parse({ text }), serialize.bind({}), serialize.execute({})]);
const sync = serialize.sync();

describe("a denial instead", () => {
  beforeEach(() => (second = "deny"));

  test("of a simple query", async () => {
    const client = await login();
    await client.query("SELECT 0");
    const answer = await client.query("SELECT 'race simple'");
    expect(asked.length).toBe(2);
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "42501", M: "Not any more." });
    expect(statusOf(answer)).toBe("I");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    expect(postgres.log()).not.toContain("race simple");
    client.end();
  });

  test("of a portal whose Sync was sent already, with another cycle behind it", async () => {
    const client = await login();
    await client.query("SELECT 0");
    // What came before is acknowledged: only the portal itself can meet the lost lease.
    client.send(
      serialize.parse({ text: "SELECT 'race portal'", name: "race" }),
      run("INSERT INTO t VALUES (1)"),
      serialize.flush(),
    );
    await client.until("C");
    const raced = Buffer.concat([serialize.bind({ statement: "race" }), serialize.execute({})]);
    client.send(raced, run("SELECT 'dropped'"), sync, run("SELECT 'next'"), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ M: "Not any more." });
    expect(rowsOf(await client.until("Z"))).toEqual([["next"]]);
    expect(rowsOf(await client.query("SELECT count(*) FROM t"))).toEqual([["0"]]);
    expect(postgres.log()).not.toContain("race portal'\n");
    expect(postgres.log()).not.toContain("execute <unnamed>: SELECT 'dropped'");
    client.end();
  });

  test("in a transaction, which fails", async () => {
    const client = await login();
    await client.query("BEGIN");
    expect(statusOf(await client.query("SELECT 'race in transaction'"))).toBe("E");
    expect(statusOf(await client.query("ROLLBACK"))).toBe("I");
    client.end();
  });
});

describe("a hold instead", () => {
  beforeEach(() => (second = "hold"));

  test("of a command that stands alone waits in its place, and runs when granted", async () => {
    const client = await login();
    await client.query("SELECT 0");
    const answer = await client.query("SELECT 'race held'");
    expect(typesOf(answer)).toBe("NTDCZ");
    expect(rowsOf(answer)).toEqual([["race held"]]);
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test("of one with others behind it is refused: they would be sent much later", async () => {
    const client = await login();
    await client.query("SELECT 0");
    client.send(serialize.query("SELECT 'race pipelined'"), serialize.query("SELECT 'behind'"));
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({
      C: "42501",
      M: expect.stringContaining("send it again"),
    });
    expect(rowsOf(await client.until("Z"))).toEqual([["behind"]]);
    client.end();
  });
});
