import { afterAll, beforeAll, expect, test } from "vitest";
import { startGateway, type Gateway } from "../harness/gateway.ts";
import { auditLog, type AuditLog } from "./audit-log.ts";
import { streamEnds } from "./bus.ts";
import { disagreements, faultsOfLog, recordedCommands } from "./evidence.ts";
import { Load, LOAD_TABLE } from "./load.ts";
import { arrivedAt, asSuperuser, logStatements } from "./target.ts";
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

/** The load rests; then everything that was sent must be accounted for. */
async function wrongNow(): Promise<readonly string[]> {
  const { stack } = gateway;
  await load.rest();
  try {
    const written = await asSuperuser(stack.target, "sandbox", (client) =>
      client.query<{ id: string }>(`SELECT id FROM ${LOAD_TABLE}`),
    );
    const wrong = await untilNothing(async () => [
      ...disagreements({
        sent: load.sent,
        recorded: await recordedCommands(log),
        arrived: arrivedAt(stack.target),
        written: written.rows.map(({ id }) => id),
      }),
      ...(await faultsOfLog(log, await streamEnds(stack))),
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
  await until(`${victim} is back`, () => (isBack() ? true : undefined), 90_000);
}

test("undisturbed, the log and the target agree", async () => {
  await load.progress(60, true);
  expect(await wrongNow()).toEqual([]);
  expect(load.told).toEqual([]);
});

test.each(["audit", "masking", "approval", "identity", "policy", "nats-server", "edge-postgres"])(
  "kill -9 %s during load",
  async (victim) => {
    const t0 = Date.now();
    const told = load.told.length;
    const sentBefore = load.sent.size;
    await killAndWait(victim);
    console.log(victim, "back", Date.now() - t0);
    await load.progress(40, true);
    console.log(victim, "progress", Date.now() - t0);
    console.log(
      JSON.stringify([...new Set(load.told.slice(told).map((t) => `${t.when} ${t.code} ${t.message}`))]),
      JSON.stringify([
        ...new Set([...load.sent.values()].slice(sentBefore).map((s) => `${s.outcome} ${s.code} ${s.message}`)),
      ]),
    );
    expect(await wrongNow()).toEqual([]);
    console.log(victim, "verified", Date.now() - t0, load.sent.size);
  },
);
