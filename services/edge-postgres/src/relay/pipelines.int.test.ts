import { createLogger } from "@sallyport/runtime";
import { serialize } from "pg-protocol";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { CommandCompleted_Status as Status, RecordBody } from "@sallyport/proto/record";
import { eventually } from "@sallyport/runtime/testing";
import { Outcome } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { reportsOf, rowsOf, statusOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
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

test("a cancel takes back what waits for its acknowledgement: it is never forwarded, and the session lives on", async () => {
  const relay = await relayed();
  const { client, bus, facts, recorded } = relay;
  await client.query("BEGIN");
  bus.automatic = false;
  client.send(serialize.query("INSERT INTO t VALUES (2)"));
  await recorded("commandAdmitted", 2);
  relay.relay.cancel("192.0.2.1");
  bus.automatic = true;
  bus.ackAll();
  const cancelled = await client.until("Z");
  expect(typesOf(cancelled)).toBe("EZ");
  expect(reportsOf(cancelled)[0]).toMatchObject({ C: "57014", H: "Nothing was sent to the target." });
  expect(statusOf(cancelled)).toBe("E");
  await client.query("ROLLBACK");
  await recorded("commandCompleted", 3);
  expect(facts("commandForwarded").map(({ command }) => command)).toEqual([1, 3]);
  expect(facts("commandCompleted").filter(({ command }) => command === 2)).toMatchObject([
    { status: Status.STATUS_CANCELLED },
  ]);
  expect(relay.cancels()).toBe(0);
  expect(postgres.log()).not.toContain("INSERT INTO t VALUES (2)");
});

test("a cancel while policy is asked refuses what would have been sent", async () => {
  let decided = (): void => {};
  const asked = new Promise<void>((resolve) => (decided = resolve));
  const relay = await relayed({
    decide: async ({ command }) => (command?.text === "SELECT 0" ? {} : (await asked, {})),
  });
  const { client, questions } = relay;
  await client.query("SELECT 0");
  client.send(serialize.query("INSERT INTO t VALUES (3)"));
  await eventually(() => questions.length === 2);
  relay.relay.cancel("192.0.2.1");
  decided();
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "57014" });
  expect(relay.facts("commandForwarded")).toHaveLength(1);
  expect(rowsOf(await client.query("SELECT count(*) FROM t"))).toEqual([["0"]]);
});

test("what is decided after its pipeline has failed is skipped, as the server skips it", async () => {
  let decided = (): void => {};
  const asked = new Promise<void>((resolve) => (decided = resolve));
  const { client, questions, recorded } = await relayed({
    decide: async ({ command }) => (command?.text.startsWith("INSERT") ? (await asked, {}) : {}),
  });
  client.send(run("SELECT 1/id FROM generate_series(0, 0) id"), run("INSERT INTO t VALUES (4)"), sync);
  await eventually(() => questions.some(({ command }) => command?.text.startsWith("INSERT")));
  await recorded("commandCompleted", 2);
  decided();
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "22012" });
  expect(rowsOf(await client.query("SELECT count(*) FROM t"))).toEqual([["0"]]);
});

test("a client that sends more small messages than are kept, without a Sync between them, gets all its answers", async () => {
  const relay = await relayed();
  const { client, bus, recorded } = relay;
  await client.query("SELECT 0");
  bus.automatic = false;
  client.send(parse("SELECT 1"), bind());
  await recorded("commandAdmitted", 3);
  const describe = serialize.describe({ type: "P", name: "" });
  const many = 30_000;
  client.send(Buffer.concat(Array.from({ length: many }, () => describe)), sync);
  bus.automatic = true;
  bus.ackAll();
  const answer = await client.until("Z");
  expect(answer.filter(({ type }) => type === "T")).toHaveLength(many);
});

test("a COPY in many small messages is not held up by their number", async () => {
  const { client, bus, recorded } = await relayed();
  client.send(serialize.query("COPY t FROM STDIN"));
  await client.until("G");
  bus.automatic = false;
  // each in a chunk of its own, so that none is joined with the next
  for (let i = 0; i < 6_000; i++) client.send(serialize.copyData(Buffer.from("9\n")));
  client.send(serialize.copyDone());
  await recorded("frameFromClient", 1);
  bus.automatic = true;
  bus.ackAll();
  expect(tagsOf(await client.until("Z"))).toEqual(["COPY 6000"]);
  await postgres.query("TRUNCATE t");
});

test("a COPY that fails while data of it waits to be recorded does not hold up what comes behind", async () => {
  const { client, bus, facts } = await relayed();
  const records = async (kind: string, count: number): Promise<void> => {
    await eventually(() => facts(kind).length >= count);
  };
  client.send(serialize.query("COPY t FROM STDIN"));
  await client.until("G");
  bus.automatic = false;
  const shown = facts("frameToClient").length;
  const before = bus.published.length;
  client.send(serialize.copyData(Buffer.from("no number\n")));
  await records("frameFromClient", 1);
  client.send(serialize.copyData(Buffer.from("2\n")));
  await records("frameFromClient", 2);
  bus.ack(bus.published[before]!.no);
  await records("frameToClient", shown + 1);
  // Nobody has asked for this any more, and the server will not answer to what still waits before it.
  client.send(serialize.copyData(Buffer.from("3\n")), serialize.copyDone(), serialize.query("SELECT 'behind'"));
  await new Promise((resolve) => setImmediate(resolve));
  bus.automatic = true;
  bus.ackAll();
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "22P02" });
  expect(rowsOf(await client.until("Z"))).toEqual([["behind"]]);
});

test("what cannot be read is told to the client alone: no value of it is in the log or in a public record", async () => {
  const canary = "4111-1111-1111-1111";
  const lines: string[] = [];
  const log = createLogger(
    { service: "test", instance: "test", log: { level: "trace" } },
    { write: (line) => void lines.push(line) },
  );
  const relay = await relayed({ log });
  const { client, bus } = relay;
  const query = (bytes: Buffer): Buffer => {
    const message = Buffer.concat([Buffer.from([0x51, 0, 0, 0, 0]), bytes, Buffer.from([0])]);
    message.writeUInt32BE(message.length - 1, 1);
    return message;
  };
  client.send(query(Buffer.concat([Buffer.from(`SELECT '${canary}`), Buffer.from([0xff]), Buffer.from("'")])));
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "22021" });
  client.send(parse("SELECT 1", `${canary}${"x".repeat(64)}`), sync);
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42622" });
  client.send(parse(`SELEC '${canary}'`), sync);
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42601" });
  await client.query(`INSERT INTO t VALUES ('${canary}')`);
  // a Bind whose parts are longer than it says ends the session
  const broken = Buffer.concat([Buffer.from([0x42, 0, 0, 0, 0]), Buffer.from(`\0\0${canary}`)]);
  broken.writeUInt32BE(broken.length - 1, 1);
  client.send(broken);
  await eventually(() => relay.live.signal.aborted);
  await relay.stop();
  expect(lines.join("")).toContain("broke the protocol");
  expect(lines.join("")).not.toContain(canary);
  // texts and frames are sensitive, and carry it; nothing else does
  const carries = bus.records().filter(({ body }) => JSON.stringify(RecordBody.toJSON(body)).includes(canary));
  expect(new Set(carries.map(({ kind }) => kind))).toEqual(new Set(["commandAdmitted"]));
});
