import { bearer, call } from "@sallyport/cli/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { auditLog, type AuditLog } from "./audit-log.ts";
import { streamEnds } from "./bus.ts";
import { disagreements, faultsOfLog, recordedCommands } from "./evidence.ts";
import { Load, LOAD_TABLE } from "./load.ts";
import { query, RawClient } from "./raw-client.ts";
import { arrivedAt, asSuperuser, logStatements, marker } from "./target.ts";
import { until, untilNothing } from "./until.ts";

let gateway: Gateway;
let load: Load;
let log: AuditLog;

beforeAll(async () => {
  gateway = await startGateway();
  const { stack, profiles } = gateway;
  await asSuperuser(stack.target, "sandbox", (client) =>
    client.query(`CREATE TABLE ${LOAD_TABLE} (id text); GRANT ALL ON ${LOAD_TABLE} TO ${stack.target.appUser}`),
  );
  await logStatements(stack.target);
  log = auditLog(gateway.api, profiles.get("security")!);
  load = new Load({
    port: stack.ports.edgePostgres,
    ca: stack.pki.ca,
    profile: profiles.get("dba")!,
    clients: 4,
  });
});

afterAll(async () => {
  await load?.stop();
  await gateway?.stop();
});

async function disagreementsNow(): Promise<string[]> {
  const { target } = gateway.stack;
  const written = await asSuperuser(target, "sandbox", (client) =>
    client.query<{ id: string }>(`SELECT id FROM ${LOAD_TABLE}`),
  );
  return disagreements({
    sent: load.sent,
    recorded: await recordedCommands(log),
    arrived: arrivedAt(target),
    written: written.rows.map(({ id }) => id),
  });
}

/** The load rests; then everything that was sent must be accounted for. */
async function wrongNow(): Promise<readonly string[]> {
  await load.rest();
  try {
    const wrong = await untilNothing(async () => [
      ...(await disagreementsNow()),
      ...(await faultsOfLog(log, await streamEnds(gateway.stack))),
    ]);
    return wrong.slice(0, 20);
  } finally {
    load.goOn();
  }
}

/** Ends a process as nothing can end it more suddenly, and waits until the supervisor has brought it back. */
async function killAndWait(victim: string): Promise<void> {
  const { supervisor } = gateway.stack;
  const before = supervisor.pid(victim);
  supervisor.kill(victim, "SIGKILL");
  const isBack = (): boolean => supervisor.pid(victim) !== before && supervisor.states().get(victim) === "ready";
  await until(`${victim} is back`, () => (isBack() ? true : undefined), 100_000);
}

function enter(account: string, database: string): Promise<RawClient> {
  const { stack, profiles } = gateway;
  const { user, token } = profiles.get(account)!;
  return RawClient.login({ port: stack.ports.edgePostgres, ca: stack.pki.ca, user, token }, database);
}

test("undisturbed, nobody is told of anything, and the log and the target agree", async () => {
  await load.progress(60, true);
  expect(await wrongNow()).toEqual([]);
  expect(load.told).toEqual([]);
  expect([...load.sent.values()].filter(({ outcome }) => outcome === "refused")).toEqual([]);
});

/** What clients may be told while a part is away. 58000: not now; 57P01, 08006: connect again. */
const tolerable: Readonly<Record<string, readonly string[]>> = {
  "nats-server": ["statement 58000", "statement 57P01", "idle 57P01", "login 08006"],
  audit: [],
  policy: ["statement 58000", "login 08006"],
  masking: ["statement 58000"],
  approval: [],
  identity: ["login 08006"],
  catalog: ["login 08006"],
};

test.each(Object.keys(tolerable))("kill -9 %s during load", async (victim) => {
  const told = load.told.length;
  const sent = load.sent.size;
  await killAndWait(victim);
  await load.progress(40, true);
  expect(await wrongNow()).toEqual([]);
  const refused = [...load.sent.values()].slice(sent).filter(({ outcome }) => outcome === "refused");
  const heard = [
    ...load.told.slice(told),
    ...refused.map(({ code, message }) => ({ when: "statement", code, message })),
  ];
  expect(heard.filter(({ when, code }) => !tolerable[victim]!.includes(`${when} ${code}`))).toEqual([]);
});

test("kill -9 edge-postgres during load: what ran just then is said to be unknown", async () => {
  const running = await enter("dba", "sandbox");
  running.send(query(`SELECT pg_sleep(3) ${marker("under-way")}`));
  const { target } = gateway.stack;
  await until("it runs", () => (arrivedAt(target).has("under-way") ? true : undefined));
  const told = load.told.length;
  const sent = load.sent.size;
  await killAndWait("edge-postgres");
  await running.end();
  await load.progress(40, true);
  expect(await wrongNow()).toEqual([]);
  const statuses = (await recordedCommands(log)).filter(({ id }) => id === "under-way").map(({ status }) => status);
  expect(statuses).toEqual(["unknown"]);
  const sql =
    "SELECT state, closed_at IS NOT NULL AS over FROM sessions WHERE client_address = '" + running.address + "'";
  expect(await log.ask(sql)).toMatchObject([{ state: "lost" }]);
  // A dead process says nothing: clients hear it from their sockets, and in no other way.
  expect([...load.sent.values()].slice(sent).filter(({ outcome }) => outcome === "refused")).toEqual([]);
  const said = new Set(load.told.slice(told).map(({ code }) => code));
  const fromSockets = ["ECONNRESET", "ECONNREFUSED", "EPIPE", "Connection terminated unexpectedly"];
  expect([...said].filter((code) => !fromSockets.includes(code))).toEqual([]);
  expect(said.size).toBeGreaterThan(0);
});

test("kill -9 approval while a command is held: it goes on waiting, and runs once it is granted", async () => {
  const client = await enter("engineer", "orders");
  client.send(query(`UPDATE orders SET status = 'paid' WHERE id = 4711 ${marker("held")}`));
  await client.until("N");
  const notice = client.messages.findLast(({ type }) => type === "N")!.body.toString();
  const approvalId = /approval ([\w-]+)\)/.exec(notice)?.[1] ?? "";
  expect(approvalId).not.toBe("");
  await killAndWait("approval");
  expect(client.messages.filter(({ type }) => type === "E" || type === "C")).toEqual([]);
  const { api, profiles } = gateway;
  const { approvals } = api;
  const decision = { approvalId, grant: true, reason: "after the restart" };
  await call(approvals, approvals.decide, decision, bearer(profiles.get("dba")!.token));
  await until("its end", () => client.messages.find(({ type }) => type === "C" || type === "E"));
  expect(client.report).toBeUndefined();
  client.vanish();
  await log.find("the grant in the log", `SELECT outcome FROM approvals WHERE approval_id = '${approvalId}'`, (rows) =>
    rows[0]?.["outcome"] === "used" ? true : undefined,
  );
  expect(await wrongNow()).toEqual([]);
});

test("a statement that went past the gateway would be noticed", async () => {
  await load.stop();
  const { target } = gateway.stack;
  await asSuperuser(target, "sandbox", (client) => client.query(`SELECT 1 ${marker("past-the-gateway")}`));
  await until("it is written down", () => (arrivedAt(target).has("past-the-gateway") ? true : undefined));
  expect(await disagreementsNow()).toEqual(["past-the-gateway reached the target and was not admitted"]);
});
