import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bearer, call } from "@sallyport/cli/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { libpq, psqlAs, run } from "../harness/clients.ts";
import { auditLog, type AuditLog } from "./audit-log.ts";
import { startGuarded, type GuardedGateway } from "./guarded.ts";
import { query, RawClient } from "./raw-client.ts";
import { asSuperuser } from "./target.ts";
import { until } from "./until.ts";

let guarded: GuardedGateway;
let log: AuditLog;
beforeAll(async () => {
  guarded = await startGuarded();
  log = auditLog(guarded.gateway.api, guarded.profile("security"));
  const { target } = guarded.gateway.stack;
  await asSuperuser(target, "sandbox", (client) =>
    client.query(`CREATE TABLE notes (id int, note text); INSERT INTO notes VALUES (1, 'a'), (2, 'b');
      GRANT ALL ON notes TO ${target.appUser}`),
  );
});
afterAll(() => guarded?.stop());

const psql = (who: string, sql: string) => psqlAs(guarded.address, who, "guarded", sql, "-At");
const enter = (who: string, token = guarded.profile(who).token): Promise<RawClient> => {
  const { ports, ca } = guarded.address;
  return RawClient.login({ port: ports.edgePostgres, ca, user: who, token }, "guarded");
};
/** Statements with this text that the target is working on. */
const running = (text: string): Promise<number> =>
  asSuperuser(guarded.gateway.stack.target, "sandbox", async (client) => {
    const sql = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1 || '%'";
    return (await client.query<{ n: number }>(sql, [text])).rows[0]!.n;
  });

/** Somebody is in, with a statement that takes longer than any test. */
async function busy(who: string, seconds: number): Promise<{ client: RawClient; text: string }> {
  const client = await enter(who);
  expect(client.report).toBeUndefined();
  const text = `SELECT pg_sleep(${seconds})`;
  client.send(query(text));
  await until("it runs at the target", async () => ((await running(text)) === 1 ? true : undefined));
  return { client, text };
}

/** Ends, told why, and nothing of it runs on; ms since `from`. */
async function ends({ client, text }: { client: RawClient; text: string }, from: () => number): Promise<number> {
  await client.end();
  const took = Date.now() - from();
  expect(client.report).toMatchObject({ severity: "FATAL", code: "57P01" });
  await until("its statement is cancelled", async () => ((await running(text)) === 0 ? true : undefined), 3_000);
  return took;
}

test("without a window nobody is let in, and is told how to ask", async () => {
  const refused = await psql("engineer", "SELECT 1");
  expect(refused.code).toBe(2);
  expect(refused.err).toContain("Guarded data is entered for a time.");
  expect(refused.err).toContain('sallyport request guarded --for 1h --reason "…"');
  expect((await psql("dba", "SELECT 1")).out).toBe("1\n");
});

test("asked for with a reason, granted by two, it lets in who asked and nobody else; taken back, it ends within a second", async () => {
  const asked = await guarded.sallyport(
    "engineer",
    "--format",
    "json",
    "request",
    "guarded",
    "--for",
    "30m",
    "--reason",
    "ticket 7",
  );
  expect(asked.err).toContain("It waits for dba");
  const [{ id }] = JSON.parse(asked.out) as [{ id: string }];
  const own = await guarded.sallyport("engineer", "approve", id);
  expect([own.code, own.err]).toEqual([4, expect.stringContaining("Nobody answers their own request")]);
  const listed = await guarded.sallyport("dba", "--format", "json", "approvals");
  expect(JSON.parse(listed.out)).toMatchObject([
    { id, principal: "user:engineer", command: "connect for 30m", reason: "ticket 7", needs: ["2 of dba"] },
  ]);
  expect((await guarded.sallyport("dba", "approve", id)).code).toBe(0);
  expect((await guarded.sallyport("dba", "approve", id)).err).toContain("a person counts once");
  expect((await psql("engineer", "SELECT 1")).code).toBe(2);
  expect((await guarded.sallyport("dba2", "approve", id)).out).toContain("granted");

  expect((await psql("engineer", "SELECT count(*) FROM notes")).out).toBe("2\n");
  expect((await psql("contractor", "SELECT 1")).code).toBe(2);
  const session = await busy("engineer", 61);
  let acknowledged = 0;
  const taken = guarded.sallyport("dba2", "deny", id, "--reason", "enough").then(() => (acknowledged = Date.now()));
  await session.client.end();
  await taken;
  // The command line ends later than the service has answered: the session must be gone by then.
  expect(await ends(session, () => acknowledged)).toBeLessThan(1_000);
  expect(session.client.report?.message).toContain("Your time on this connection is over.");
  expect((await psql("engineer", "SELECT 1")).code).toBe(2);

  const [row] = await log.find(
    "the window in the log",
    `SELECT kind, outcome, request_reason, reason, ended_by, approvers FROM approvals WHERE approval_id = '${id}'`,
    (rows) => (rows[0]?.["outcome"] === "withdrawn" ? rows : undefined),
  );
  expect(row).toMatchObject({ kind: "window", request_reason: "ticket 7", reason: "enough", ended_by: "user:dba2" });
  expect((row!["approvers"] as string[]).toSorted()).toEqual(["user:dba", "user:dba2"]);
  const decisions = await log.find(
    "the session's commands in the log",
    `SELECT statement, access_kind, access_reason FROM incident_decisions WHERE access_id = '${id}'`,
    (rows) => (rows.length > 1 && rows[0]!["access_kind"] !== "" ? rows : undefined),
  );
  expect(decisions[0]).toMatchObject({ access_kind: "window", access_reason: "ticket 7" });
});

test("when the window ends, so do its sessions, with what runs in them; a longer window goes on", async () => {
  const first = await guarded.letIn("engineer", 8);
  const session = await busy("engineer", 62);
  const longer = await guarded.letIn("engineer", 12);
  await until("the first one is over", () => (Date.now() > first.window!.untilMs + 1_000 ? true : undefined));
  expect(session.client.ended).toBe(false);
  expect(await ends(session, () => longer.window!.untilMs)).toBeLessThan(1_000);
  expect((await psql("engineer", "SELECT 1")).code).toBe(2);
});

test("a personal token comes in by its owner's window", async () => {
  const { api } = guarded.gateway;
  const request = { label: "ci", ttlSeconds: 600, actor: "" };
  const made = await call(api.access, api.access.createToken, request, bearer(guarded.profile("engineer").token));
  const { token } = made.token!;
  expect((await enter("engineer", token)).report).toMatchObject({ severity: "FATAL", code: "42501" });
  const { approvalId } = await guarded.letIn("engineer", 600);
  const client = await enter("engineer", token);
  expect(client.report).toBeUndefined();
  await guarded.decide("dba", approvalId, false);
  await client.end();
});

test("broken glass lifts what its policies say, at once and for its user alone; everything says so; it ends when taken back", async () => {
  const bare = await guarded.sallyport("engineer", "break-glass", "guarded");
  expect(bare.code).toBe(2);
  expect((await guarded.sallyport("contractor", "break-glass", "guarded", "--reason", "x")).code).toBe(4);
  const broken = await guarded.sallyport(
    "engineer",
    "--format",
    "json",
    "break-glass",
    "guarded",
    "--reason",
    "shop down",
  );
  expect(broken.err).toContain("an alarm was raised");
  const [{ id }] = JSON.parse(broken.out) as [{ id: string }];
  const listed = await guarded.sallyport("dba", "--format", "json", "approvals");
  expect(JSON.parse(listed.out)).toMatchObject([{ id, command: "BREAK-GLASS for 30m", reason: "shop down" }]);

  expect((await psql("engineer", "DELETE FROM notes WHERE id = 1")).out).toBe("DELETE 1\n");
  expect((await psql("contractor", "SELECT 1")).code).toBe(2);
  const { api, stack } = guarded.gateway;
  const as = bearer(guarded.profile("engineer").token);
  const made = await call(api.access, api.access.createToken, { label: "ci", ttlSeconds: 600, actor: "" }, as);
  expect((await enter("engineer", made.token!.token)).report).toMatchObject({ code: "42501" });
  const glass = { connection: "guarded", database: "", seconds: 60, reason: "a job" };
  const byJob = call(api.approvals, api.approvals.breakGlass, glass, bearer(made.token!.token));
  await expect(byJob).rejects.toMatchObject({ code: "not-permitted" });

  const alarm = readFileSync(join(stack.layout.logs, "approval.log"), "utf8");
  expect(alarm).toContain("somebody broke glass");
  expect(alarm).not.toContain("shop down");
  const metrics = await (await fetch(`http://127.0.0.1:${stack.ports.metrics.approval}/metrics`)).text();
  expect(metrics).toMatch(/sallyport_break_glass\w*\{[^}]*connection="guarded"[^}]*\} 1/);
  const [decision] = await log.find(
    "the command in the log",
    `SELECT verdict, policies, approval_kind, approval_reason FROM incident_decisions WHERE approval_id = '${id}'`,
    // The log follows: a command may be there before its verdict.
    (rows) => (rows[0]?.["verdict"] === "forward" && rows[0]["approval_kind"] !== "" ? rows : undefined),
  );
  expect(decision).toMatchObject({ verdict: "forward", approval_kind: "break-glass", approval_reason: "shop down" });
  expect(decision!["policies"]).toContain("hold-changes-in-guarded");

  const session = await busy("engineer", 63);
  const returned = await guarded.decide("engineer", id, false);
  const acknowledged = Date.now();
  expect(returned.status).toBe(6);
  expect(await ends(session, () => acknowledged)).toBeLessThan(1_000);
  expect((await psql("engineer", "SELECT 1")).code).toBe(2);
});

test("a command that two must grant runs in its transaction when two have; refused by one it fails it", async () => {
  const { approvalId } = await guarded.letIn("engineer", 600);
  const client = await enter("engineer");
  const say = async (sql: string): Promise<string> => {
    client.send(query(sql));
    await client.until("Z");
    return client.messages.at(-1)!.body.toString();
  };
  const held = async (sql: string): Promise<string> => {
    client.send(query(sql));
    await client.until("N");
    const notice = client.messages.findLast(({ type }) => type === "N")!.body.toString();
    return /approval ([\w-]+)\)/.exec(notice)![1]!;
  };
  expect(await say("BEGIN")).toBe("T");
  const first = await held("UPDATE notes SET note = 'c' WHERE id = 2");
  await guarded.decide("dba", first);
  await expect(guarded.decide("dba", first)).rejects.toMatchObject({ code: "already-exists" });
  await expect(guarded.decide("engineer", first)).rejects.toMatchObject({ code: "not-permitted" });
  expect(client.messages.at(-1)!.type).toBe("N");
  const answered = client.until("Z");
  await guarded.decide("dba2", first);
  await answered;
  expect(client.messages.at(-1)!.body.toString()).toBe("T");
  expect(await say("COMMIT")).toBe("I");

  expect(await say("BEGIN")).toBe("T");
  const second = await held("UPDATE notes SET note = 'd' WHERE id = 2");
  await guarded.decide("dba", second);
  const refused = client.until("Z");
  await guarded.decide("dba2", second, false);
  await refused;
  expect(client.report).toMatchObject({ severity: "ERROR", code: "42501" });
  expect(client.messages.at(-1)!.body.toString()).toBe("E");
  expect(await say("ROLLBACK")).toBe("I");
  client.vanish();
  await guarded.decide("dba", approvalId, false);
  const left = await asSuperuser(guarded.gateway.stack.target, "sandbox", (direct) =>
    direct.query("SELECT note FROM notes WHERE id = 2"),
  );
  expect(left.rows).toEqual([{ note: "c" }]);
});

test("the statement_timeout that psql has set ends the wait of a held command, and the session lives on", async () => {
  const { approvalId } = await guarded.letIn("engineer", 600);
  const result = await run("psql", ["-X", "-v", "VERBOSITY=verbose"], {
    env: libpq(guarded.address, "engineer", "guarded"),
    input: "SET statement_timeout = '400ms';\nUPDATE notes SET note = 'never-7411';\nSELECT 'still here';\n",
  });
  expect(result.err).toContain("57014: canceling statement due to statement timeout");
  expect(result.out).toContain("still here");
  await guarded.decide("dba", approvalId, false);
});
