import { once } from "node:events";
import pg from "pg";
import { bearer, call } from "@sallyport/cli/api";
import { ApprovalStatus, type ApprovalState } from "@sallyport/proto/approval";
import { DEMO_CUSTOMERS } from "../demo-data.ts";
import { finish, psql, startPsql, type ClientResult } from "./clients.ts";
import type { Row } from "./log.ts";
import { expectThat, profileOf, type Scene, type Step, type Tell } from "./scene.ts";

/** The incident, step by step. Every client is a real one; every line in a table is read back from the log. */

const EMAIL = /[a-z]+\.[a-z]+\d+@example\.com/;
const CARD = /4000\d{12}/;

export const STEPS: readonly Step[] = [
  {
    title: "Without the gateway: the nightly job dumps the customer table",
    async play(scene, tell) {
      const { target } = scene.stack;
      const client = new pg.Client({
        host: target.host,
        port: target.port,
        user: target.appUser,
        password: target.appPassword,
        database: "orders",
      });
      await client.connect();
      const { rows } = await client.query<{ email: string }>("SELECT email FROM customers");
      await client.end();
      expectThat(rows.length === DEMO_CUSTOMERS && EMAIL.test(rows[0]!.email), "the job reads everything in clear");
      tell.does("the job connects straight to PostgreSQL with the shared password and reads the table");
      tell.shows(`${rows.length} rows read in clear. Who, how, decided by what, read what: nothing is known.`);
    },
  },
  {
    title: "Through the gateway: ordinary work, masked",
    async play(scene, tell) {
      const sql = "SELECT id, name, email, card_number, notes FROM customers WHERE id IN (4, 6) ORDER BY id";
      tell.does(`engineer$ psql … -c "${sql}"`);
      const result = await asPerson(scene, "engineer", sql);
      expectThat(result.code === 0, "engineer's SELECT answers", result.err);
      expectThat(
        !EMAIL.test(result.out) && !/\w@example\.org/.test(result.out),
        "no e-mail address is shown",
        result.out,
      );
      expectThat(!CARD.test(result.out.replaceAll(" ", "")), "no card number is shown", result.out);
      tell.shows(result.out.trimEnd());
      const rows = await scene.log.askUntil(
        `SELECT at, principal, statement, verdict, rows FROM commands
         WHERE principal = 'user:engineer' AND statement LIKE '%card_number%' AND at >= {since:DateTime64(6)} ORDER BY at`,
        { since: since(scene) },
        (found) => filled(found, "verdict", "rows"),
      );
      expectThat(
        rows.length === 1 && filled(rows, "verdict", "rows"),
        "the log knows the command and its verdict",
        rows,
      );
      tell.rows(rows);
      const exposed = await scene.log.askUntil(
        `SELECT principal, relation, column, class, rows, shown FROM exposures
         WHERE principal = 'user:engineer' AND at >= {since:DateTime64(6)} ORDER BY column`,
        { since: since(scene) },
        (found) => found.length >= 3,
      );
      expectThat(
        exposed.length >= 3 && exposed.every((row) => row["shown"] === "masked"),
        "everything was masked",
        exposed,
      );
      tell.rows(exposed);
    },
  },
  {
    title: "The dump: the job uses the contractor's token",
    async play(scene, tell) {
      tell.does(`nightly-export$ psql … -c "COPY customers TO STDOUT"   (token made by contractor)`);
      const result = await psql(
        scene.stack,
        { user: "contractor", token: scene.nightlyToken, connection: "orders" },
        "COPY customers TO STDOUT",
      );
      expectThat(result.code !== 0 && result.out === "", "the dump yields nothing", result.out.slice(0, 200));
      tell.shows(result.err.trimEnd());
      const rows = await scene.log.askUntil(
        `SELECT at, principal, actors, statement, verdict, status FROM commands
         WHERE has(actors, 'workload:nightly-export') AND at >= {since:DateTime64(6)} ORDER BY at`,
        { since: since(scene) },
        (found) => found.some((row) => row["status"] === "denied") && filled(found, "verdict"),
      );
      expectThat(rows.length === 1 && rows[0]!["status"] === "denied", "held, and refused as nobody answered", rows);
      tell.rows(rows);
    },
  },
  {
    title: "A risky command: held for a second person",
    async play(scene, tell) {
      const [order, other] = await newestOrders(scene, tell);
      const statement = `DELETE FROM orders WHERE id = ${order}`;
      tell.does(`engineer$ psql … -c "${statement}"`);
      const running = finish(startPerson(scene, "engineer", statement));
      const request = await pendingRequest(scene, "user:engineer");
      tell.shows(`held: ${request.principalId} on ${request.connection}/${request.database}: ${request.text}`);
      const ownAnswer = await decide(scene, "engineer", request.approvalId).catch((error: Error) => error);
      expectThat(ownAnswer instanceof Error, "nobody approves their own request");
      tell.does(`dba$ sallyport approve ${request.approvalId}`);
      await decide(scene, "dba", request.approvalId);
      const result = await running;
      expectThat(
        result.code === 0 && result.out.includes("DELETE 1"),
        "the granted command ran",
        result.err + result.out,
      );
      tell.shows(result.out.trimEnd());
      const again = await decide(scene, "dba", request.approvalId).catch((error: Error) => error);
      expectThat(again instanceof Error, "a grant is used up");

      const own = `DELETE FROM orders WHERE id = ${other}`;
      tell.does(`dba$ psql … -c "${own}"   and approves it himself`);
      const ownRun = startPerson(scene, "dba", own);
      const ownDone = finish(ownRun);
      const ownRequest = await pendingRequest(scene, "user:dba");
      const refusal = await decide(scene, "dba", ownRequest.approvalId).catch((error: Error) => error);
      expectThat(refusal instanceof Error, "dba's own delete cannot be granted by dba");
      tell.shows(refusal.message);
      ownRun.kill("SIGINT");
      await ownDone;
      const outcomes = await scene.log.askUntil(
        `SELECT at, requester, statement, approver, outcome FROM approvals WHERE at >= {since:DateTime64(6)} ORDER BY at`,
        { since: since(scene) },
        (found) => found.filter((row) => row["outcome"] !== "pending").length >= 3,
      );
      const seen = outcomes.map((row) => row["outcome"]);
      expectThat(
        ["expired", "used", "withdrawn"].every((outcome) => seen.includes(outcome)),
        "the log knows how each ended",
        outcomes,
      );
      tell.rows(outcomes);
    },
  },
  {
    title: "Dangerous commands: refused before they reach the server",
    async play(scene, tell) {
      for (const statement of [
        "DROP TABLE customers",
        "DELETE FROM orders",
        "DO $$ BEGIN DELETE FROM orders; END $$",
      ]) {
        tell.does(`engineer$ psql … -c "${statement}"`);
        const result = await asPerson(scene, "engineer", statement);
        expectThat(
          result.code !== 0 && result.err.includes("ERROR"),
          `${statement} is refused`,
          result.out + result.err,
        );
        tell.shows(result.err.trimEnd());
      }
      const rows = await scene.log.askUntil(
        `SELECT at, principal, statement, verdict, policies FROM commands
         WHERE status = 'denied' AND principal = 'user:engineer' AND at >= {since:DateTime64(6)} ORDER BY at`,
        { since: since(scene) },
        (found) => found.length >= 3 && filled(found, "verdict", "policies"),
      );
      expectThat(
        rows.length >= 3 && filled(rows, "verdict", "policies"),
        "the log holds the three refusals and why",
        rows,
      );
      tell.rows(rows);
    },
  },
  {
    title: "Offboarding: access ends while it is being used",
    async play(scene, tell) {
      const contractor = profileOf(scene, "contractor");
      const session = startPsql(scene.stack, {
        user: "contractor",
        token: contractor.token,
        connection: "orders",
        args: ["-At"],
      });
      const done = finishOpen(session);
      session.stdin?.write("SELECT 'contractor is working';\n");
      await until(() => done.out().includes("contractor is working"), "contractor's session answers");
      tell.does("security$ sallyport revoke --principal user:contractor --reason 'contract ended'");
      const started = performance.now();
      await call(
        scene.api.access,
        scene.api.access.revoke,
        { what: { $case: "principalId", value: "user:contractor" }, reason: "contract ended" },
        bearer(profileOf(scene, "security").token),
      );
      scene.profiles.delete("contractor");
      session.stdin?.write("SELECT pg_sleep(5);\n");
      const result = await done.ended;
      const took = performance.now() - started;
      expectThat(took < 3_000, "the session ended at once", `${took} ms`);
      tell.shows(result.err.trimEnd().split("\n")[0] ?? "");
      const refused = await psql(
        scene.stack,
        { user: "contractor", token: scene.nightlyToken, connection: "orders" },
        "SELECT 1",
      );
      expectThat(refused.code !== 0, "the job's token is refused from now on", refused.out);
      tell.shows(refused.err.trimEnd());
      const ended = await scene.log.askUntil(
        `SELECT at, principal, actors, state, cause FROM sessions WHERE principal = 'user:contractor' AND at >= {since:DateTime64(6)} ORDER BY at`,
        { since: since(scene) },
        (found) => found.some((row) => row["cause"] === "revoked") && filled(found, "cause"),
      );
      expectThat(
        ended.some((row) => row["cause"] === "revoked"),
        "the log says why the session ended",
        ended,
      );
      tell.rows(ended);
    },
  },
  {
    title: "The four questions, answered by the log",
    async play(scene, tell) {
      const questions = [
        ["Who performed the action?", "incident_who"],
        ["How did the request reach the target?", "incident_path"],
        ["Which policy decisions allowed or stopped it?", "incident_decisions"],
        ["What evidence is there?", "incident_evidence"],
      ] as const;
      for (const [question, view] of questions) {
        tell.does(`${question}   sallyport sql "SELECT * FROM ${view} WHERE …"`);
        const rows = await scene.log.askUntil(
          `SELECT * FROM ${view} WHERE has(actors, 'workload:nightly-export') AND at >= {since:DateTime64(6)} ORDER BY at LIMIT 6`,
          { since: since(scene) },
          (found) => filled(found),
        );
        expectThat(rows.length > 0, `${view} has an answer`, rows);
        tell.rows(rows);
      }
    },
  },
  {
    title: "Replay: engineer's session as the client saw it",
    async play(scene, tell) {
      const rows = await scene.log.ask(
        `SELECT session_id FROM sessions WHERE principal = 'user:engineer' AND at >= {since:DateTime64(6)} ORDER BY at LIMIT 1`,
        { since: since(scene) },
      );
      const sessionId = rows[0]?.["session_id"];
      expectThat(typeof sessionId === "string", "the log knows engineer's session", rows);
      tell.does(`security$ sallyport replay ${sessionId}`);
      const result = await sallyport(scene, "security", "replay", sessionId);
      expectThat(
        result.code === 0 && result.out.includes("SELECT 2"),
        "the replay shows the answer",
        result.err + result.out,
      );
      expectThat(!EMAIL.test(result.out), "the replay shows no e-mail address");
      tell.shows(result.out.trimEnd());
    },
  },
];

/**
 * There are rows, and none has an empty cell in these columns: a command is in the log before its verdict is, for they
 * come from different services.
 */
function filled(rows: readonly Row[], ...columns: readonly string[]): boolean {
  return rows.length > 0 && rows.every((row) => columns.every((column) => !isEmpty(row[column])));
}

function isEmpty(cell: unknown): boolean {
  return cell === undefined || cell === null || cell === "" || (Array.isArray(cell) && cell.length === 0);
}

function since(scene: Scene): string {
  return scene.startedAt.toISOString().replace("T", " ").replace("Z", "");
}

function startPerson(scene: Scene, name: string, ...statements: string[]) {
  const profile = profileOf(scene, name);
  return startPsql(scene.stack, {
    user: profile.user,
    token: profile.token,
    connection: "orders",
    args: statements.flatMap((statement) => ["-c", statement]),
  });
}

async function asPerson(scene: Scene, name: string, ...statements: string[]): Promise<ClientResult> {
  return finish(startPerson(scene, name, ...statements));
}

async function decide(scene: Scene, name: string, approvalId: string): Promise<void> {
  const { approvals } = scene.api;
  await call(
    approvals,
    approvals.decide,
    { approvalId, grant: true, reason: "" },
    bearer(profileOf(scene, name).token),
  );
}

/** Looked up, because an earlier play of the story has deleted some. */
async function newestOrders(scene: Scene, tell: Tell): Promise<[string, string]> {
  const sql = "SELECT id FROM orders ORDER BY id DESC LIMIT 2";
  tell.does(`engineer$ psql -At … -c "${sql}"`);
  const { user, token } = profileOf(scene, "engineer");
  const result = await psql(scene.stack, { user, token, connection: "orders", args: ["-At"] }, sql);
  const [first, second] = result.out.trim().split("\n");
  expectThat(/^\d+$/.test(first ?? "") && /^\d+$/.test(second ?? ""), "there are orders", result.err + result.out);
  return [first!, second!];
}

/** Waits on the approvals stream, as a person with `sallyport approvals --watch` would. */
async function pendingRequest(scene: Scene, requester: string): Promise<ApprovalState> {
  const stream = scene.api.approvals.watch({}, bearer(profileOf(scene, "dba").token));
  const timer = setTimeout(() => stream.cancel(), 15_000);
  try {
    for await (const state of stream) {
      const request = state as ApprovalState;
      if (request.principalId === requester && request.status === ApprovalStatus.APPROVAL_STATUS_PENDING)
        return request;
    }
  } finally {
    clearTimeout(timer);
    stream.on("error", () => undefined);
    stream.cancel();
  }
  throw new Error(`not as told: a request of ${requester} should be waiting`);
}

/** A client that stays open while its output is watched. */
function finishOpen(child: ReturnType<typeof startPsql>): { out: () => string; ended: Promise<ClientResult> } {
  let out = "";
  let err = "";
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()));
  child.stdin?.on("error", () => undefined);
  const ended = once(child, "close").then(([code]) => ({ code: (code as number | null) ?? 1, out, err }));
  return { out: () => out, ended };
}

async function until(condition: () => boolean, told: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    expectThat(Date.now() < deadline, told);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function sallyport(scene: Scene, profile: string, ...args: string[]): Promise<ClientResult> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, [CLI, "--profile", profile, ...args], {
    env: { ...process.env, SALLYPORT_HOME: scene.stack.layout.root, NODE_NO_WARNINGS: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  return finish(child);
}

const CLI = new URL("../../../../services/cli/src/main.ts", import.meta.url).pathname;
