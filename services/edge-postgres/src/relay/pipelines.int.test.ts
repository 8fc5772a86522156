import { serialize } from "pg-protocol";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { CommandCompleted_Status as Status } from "@sallyport/proto/record";
import { eventually } from "@sallyport/runtime/testing";
import { Outcome } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { reportsOf, rowsOf, typesOf } from "../../testing/raw-client.ts";
import { startSteppedRelay, type SteppedOptions, type SteppedRelay } from "../../testing/stepped-relay.ts";

/** What a pipeline's commands become while others of it wait for their acknowledgement or decision. */
let postgres: TestPostgres;

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE t (id int);
    ALTER TABLE t OWNER TO app;`);
});
afterAll(async () => {
  await postgres?.stop();
});

async function relayed(options: Omit<SteppedOptions, "port"> = {}): Promise<SteppedRelay> {
  const made = await startSteppedRelay({ port: postgres.port, ...options });
  onTestFinished(() => made.stop());
  return made;
}

const parse = (text: string, name = ""): Buffer => serialize.parse({ text, name });
const bind = (statement = "", portal = ""): Buffer => serialize.bind({ statement, portal });
const execute = (portal = "", rows = 0): Buffer => serialize.execute({ portal, rows });
const run = (text: string): Buffer => Buffer.concat([parse(text), bind(), execute()]);
const sync = serialize.sync();

/** Ends the statement that sleeps, with an error. */
const wake = async (): Promise<void> => {
  const sleeping = "FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'";
  await eventually(async () => (await postgres.query(`SELECT pg_cancel_backend(pid) ${sleeping}`)).rowCount === 1);
};

test("what an error skips is cancelled once and never forwarded, though a later cycle waits behind it", async () => {
  const { client, bus, facts, recorded } = await relayed();
  await client.query("SELECT 0");
  client.send(run("SELECT pg_sleep(60)"));
  await recorded("commandForwarded", 3);
  bus.automatic = false;
  client.send(run("INSERT INTO t VALUES (1)"), sync, run("SELECT 'next'"), sync);
  await recorded("commandAdmitted", 7);
  await wake();
  await recorded("commandCompleted", 5);
  bus.automatic = true;
  bus.ackAll();
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "57014" });
  expect(rowsOf(await client.until("Z"))).toEqual([["next"]]);
  await recorded("commandCompleted", 7);
  expect(facts("commandForwarded").map(({ command }) => command)).toEqual([1, 2, 3, 6, 7]);
  const cancelled = facts("commandCompleted").filter(({ status }) => status === Status.STATUS_CANCELLED);
  expect(cancelled.map(({ command }) => command)).toEqual([4, 5, 3]);
  expect((await postgres.query("SELECT FROM t")).rowCount).toBe(0);
});

const held = {
  outcome: Outcome.OUTCOME_HOLD,
  message: "Two must look.",
  holds: [{ policyId: "p", group: "dba", quorum: 1, withinSeconds: 60, message: "Two must look." }],
};

test("a Parse of a held statement leaves once it and its verdict are acknowledged", async () => {
  const { client, bus, facts, recorded } = await relayed({ decide: () => held });
  bus.automatic = false;
  client.send(parse("DELETE FROM t", "d"), sync);
  await recorded("commandAdmitted", 1);
  expect(bus.kinds().slice(-2)).toEqual(["verdictReached", "commandAdmitted"]);
  expect(facts("commandForwarded")).toEqual([]);
  bus.automatic = true;
  bus.ackAll();
  expect(typesOf(await client.until("Z"))).toBe("1Z");
  await recorded("commandCompleted", 1);
  expect(facts("commandForwarded")).toEqual([{ command: 1 }]);
  expect(facts("statementPrepared")).toMatchObject([{ command: 1, statementName: "d" }]);
  expect(facts("commandAdmitted")).toMatchObject([{ command: 1, unit: "parse", text: "DELETE FROM t" }]);
});
