import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ColumnPlan, ColumnPlan_Action as Action } from "@sallyport/proto/masking";
import { CommandCompleted_Status as Status, ResultRefused_Cause as Cause } from "@sallyport/proto/record";
import { CommandFacts, NamedStatement_Kind, Outcome, RowLimit, RowLimit_Per } from "@sallyport/proto/verdict";
import type { Verdict } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { RawClient, reportsOf, rowsOf, statusOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
let limits: RowLimit[] = [];
let hidden: string[] = [];

const limit = (maxRows: number, per: RowLimit["per"] = RowLimit_Per.PER_RESULT, holds = false): RowLimit =>
  RowLimit.fromPartial({ policyId: `p-${per}`, maxRows, per, holds, message: `Enough (${per}).` });
const cursor = (name: string, text: string) => ({
  kind: NamedStatement_Kind.KIND_CURSOR,
  name,
  text,
});

/** As much of policy's analysis as these tests need. */
function factsOf(text: string): CommandFacts {
  const declared = /DECLARE (\w+) .*?CURSOR FOR (.*)/.exec(text);
  const fetched = /FETCH .* FROM (\w+)/.exec(text);
  return CommandFacts.fromPartial({
    actions: [/INSERT/.test(text) ? "write" : "read"],
    verbs: [text.startsWith("COPY") ? "copy-to" : "select"],
    relations: [{ schema: "public", name: "t", oid: 1 }],
    hasWhere: true,
    statementCount: 1,
    transferColumns: text.startsWith("COPY t ") ? ["id", "word"] : [],
    named: declared === null ? [] : [cursor(declared[1] as string, declared[2] as string)],
    executes: fetched === null ? [] : [{ ...cursor(fetched[1] as string, ""), normalized: "" }],
  });
}

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE t (id int, word text);
    INSERT INTO t SELECT i, 'word ' || i FROM generate_series(1, 25) i;
    CREATE TABLE log (id int);
    ALTER TABLE t OWNER TO app; ALTER TABLE log OWNER TO app;`);
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    links: (links) => ({
      ...links,
      masking: {
        plan: async ({ columns, hiddenClasses }, asOf) => ({
          planId: "plan",
          columns: columns.map(({ name }) => {
            const masked = hiddenClasses.length > 0 && name === "word";
            return ColumnPlan.fromPartial(
              masked ? { action: Action.ACTION_REDACT, class: "word" } : { action: Action.ACTION_PASS },
            );
          }),
          scrubText: false,
          asOf,
          staleSchema: false,
          disagreement: "",
        }),
        cells: () => Promise.reject(new Error("nothing here needs it")),
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});

beforeEach(() => {
  limits = [];
  hidden = [];
  gateway.decide = ({ command }): Partial<Verdict> => ({
    facts: factsOf(command?.text ?? ""),
    limits: /FROM t|COPY|FETCH|RETURNING|series/.test(command?.text ?? "") ? limits : [],
    hiddenClasses: hidden,
  });
});

let users = 0;
const login = (user = `user-${++users}`): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders", user });
const sync = serialize.sync();
const { bind, execute, flush } = serialize;
const parse = (text: string, name = ""): Buffer => serialize.parse({ text, name });
const told = [{ S: "ERROR", C: "53400", M: "Enough (1)." }];
const ids = (from: number, to: number): (string | null)[][] =>
  Array.from({ length: to - from + 1 }, (_, i) => [String(from + i)]);
const lives = async (client: RawClient): Promise<void> =>
  expect(rowsOf(await client.query("SELECT 'alive'"))).toEqual([["alive"]]);
const logged = async (): Promise<number> =>
  (await postgres.query("SELECT count(*)::int AS n FROM log")).rows[0].n as number;

describe("a result is cut off", () => {
  beforeEach(() => (limits = [limit(10)]));

  test("of a simple query: so many rows, an error, and the session lives on", async () => {
    const client = await login();
    const answer = await client.query("SELECT id FROM t ORDER BY id");
    expect(typesOf(answer)).toBe(`T${"D".repeat(10)}EZ`);
    expect(rowsOf(answer)).toEqual(ids(1, 10));
    expect(reportsOf(answer)).toMatchObject(told);
    expect(reportsOf(answer)[0]?.["D"]).toContain("cut off after 10 rows");
    expect(statusOf(answer)).toBe("I");
    await lives(client);
    client.end();
    const session = (await gateway.recordsUntil((all) => all.some((r) => r.kind === "sessionClosed"))).at(-1);
    const records = await gateway.records(session?.header.sessionId);
    expect(records.filter((r) => r.kind === "resultRefused").map((r) => r.fact)).toMatchObject([
      {
        command: 1,
        cause: Cause.CAUSE_ROW_LIMIT,
        reason: "Enough (1).",
        rows: 10,
        policyIds: ["p-1"],
      },
    ]);
    expect(records.find((r) => r.kind === "commandCompleted" && r.fact.command === 1)?.fact).toMatchObject({
      status: Status.STATUS_ERROR,
      code: "53400",
      rows: 10,
    });
    // Nobody finds in the log what the client was not shown.
    const frames = records.filter((r) => r.kind === "frameToClient" && r.fact.command === 1);
    expect(Buffer.concat(frames.map((r) => r.fact.data as Buffer)).toString("latin1")).not.toContain("\x0211");
  });

  test("not when there are exactly so many rows", async () => {
    const client = await login();
    const answer = await client.query("SELECT id FROM t WHERE id <= 10 ORDER BY id");
    expect(typesOf(answer)).toBe(`T${"D".repeat(10)}CZ`);
    client.end();
  });

  test("of several statements in one text: each is a result, and nothing behind the cut one is shown", async () => {
    const client = await login();
    const answer = await client.query(
      "SELECT id FROM t WHERE id <= 8; SELECT id FROM t WHERE id <= 9; SELECT id FROM t; SELECT id FROM t WHERE id = 3",
    );
    expect(typesOf(answer)).toBe(`T${"D".repeat(8)}CT${"D".repeat(9)}CT${"D".repeat(10)}EZ`);
    expect(reportsOf(answer)).toMatchObject(told);
    await lives(client);
    client.end();
  });

  test("that never ends: the target is cancelled, and what comes next is not", async () => {
    const client = await login();
    client.send(
      serialize.query("SELECT generate_series(1, 1000000000)"),
      serialize.query("SELECT pg_sleep(0.3), 'next'"),
    );
    const answer = await client.until("Z");
    expect(rowsOf(answer)).toEqual(ids(1, 10));
    expect(reportsOf(answer)).toMatchObject(told);
    expect(rowsOf(await client.until("Z"))).toEqual([["", "next"]]);
    const running =
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%1000000000%'";
    expect((await postgres.query(`${running} AND pid <> pg_backend_pid()`)).rows).toEqual([{ n: 0 }]);
    client.end();
  });

  test("of rows that are slow to come: the target is not waited for", async () => {
    limits = [limit(2)];
    const client = await login();
    const answer = await client.query(
      "SELECT i, repeat('x', 9000), pg_sleep(CASE WHEN i > 4 THEN 60 ELSE 0 END) FROM generate_series(1, 10) i",
    );
    expect(rowsOf(answer)).toHaveLength(2);
    await lives(client);
    client.end();
  });

  test("of rows that are long, in the middle of their bytes", async () => {
    limits = [limit(2)];
    const client = await login();
    const answer = await client.query("SELECT repeat(i::text, 300000) FROM generate_series(1, 5) i");
    expect(rowsOf(answer).map(([cell]) => cell?.slice(0, 3))).toEqual(["111", "222"]);
    expect(reportsOf(answer)).toMatchObject(told);
    await lives(client);
    client.end();
  });

  test("of masked rows", async () => {
    hidden = ["word"];
    const client = await login();
    const answer = await client.query("SELECT id, word FROM t ORDER BY id");
    expect(rowsOf(answer)).toEqual(ids(1, 10).map(([id]) => [id, "[redacted]"]));
    expect(reportsOf(answer)).toMatchObject(told);
    await lives(client);
    client.end();
  });

  test("in a transaction that stays, or has failed: what ReadyForQuery says", async () => {
    const client = await login();
    await client.query("BEGIN");
    expect("TE").toContain(statusOf(await client.query("SELECT id FROM t")));
    expect(statusOf(await client.query("ROLLBACK"))).toBe("I");
    client.end();
  });

  test("of a limit of none: not one row", async () => {
    limits = [limit(0)];
    const client = await login();
    const answer = await client.query("SELECT id FROM t");
    expect(typesOf(answer)).toBe("TEZ");
    expect(typesOf(await client.query("SELECT id FROM t WHERE false"))).toBe("TCZ");
    client.end();
  });
});

describe("a portal", () => {
  beforeEach(() => (limits = [limit(10)]));

  test("is cut off, and what stands behind it up to the Sync is skipped, at the target too", async () => {
    const before = await logged();
    const client = await login();
    client.send(parse("INSERT INTO log VALUES (1)"), bind({}), execute({}));
    client.send(parse("SELECT id FROM t ORDER BY id"), bind({}), execute({}));
    client.send(parse("INSERT INTO log VALUES (2)"), bind({}), execute({}), sync);
    client.send(parse("SELECT 'next'"), bind({}), execute({}), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe(`12C12${"D".repeat(10)}EZ`);
    expect(reportsOf(answer)).toMatchObject(told);
    expect(rowsOf(await client.until("Z"))).toEqual([["next"]]);
    expect(await logged()).toBe(before);
    client.end();
  });

  test("that is read in parts is one result", async () => {
    const client = await login();
    await client.query("BEGIN");
    client.send(parse("SELECT id FROM t ORDER BY id"), bind({ portal: "p" }), execute({ portal: "p", rows: 6 }), sync);
    expect(typesOf(await client.until("Z"))).toBe(`12${"D".repeat(6)}sZ`);
    client.send(execute({ portal: "p", rows: 6 }), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe(`${"D".repeat(4)}EZ`);
    expect(reportsOf(answer)).toMatchObject(told);
    expect(statusOf(await client.query("ROLLBACK"))).toBe("I");
    client.end();
  });

  test("that is read with the client's own limit of rows, which is smaller, is not", async () => {
    const client = await login();
    client.send(parse("SELECT id FROM t ORDER BY id"), bind({}), execute({ rows: 10 }), sync);
    expect(typesOf(await client.until("Z"))).toBe(`12${"D".repeat(10)}sZ`);
    client.end();
  });

  test("without a Sync behind it is cut off all the same", async () => {
    const client = await login();
    client.send(parse("SELECT id FROM t ORDER BY id"), bind({}), execute({}), flush());
    expect(reportsOf(await client.until("E"))).toMatchObject(told);
    client.send(parse("SELECT 'skipped'"), bind({}), execute({}), sync);
    expect(typesOf(await client.until("Z"))).toBe("Z");
    await lives(client);
    client.end();
  });

  test("of an INSERT with RETURNING in a transaction that the client rolls back leaves nothing", async () => {
    const before = await logged();
    const client = await login();
    await client.query("BEGIN");
    client.send(
      parse("INSERT INTO log SELECT * FROM generate_series(1, 20) RETURNING id"),
      bind({}),
      execute({}),
      sync,
    );
    const answer = await client.until("Z");
    expect(reportsOf(answer)[0]).toMatchObject({
      C: "53400",
      D: expect.stringContaining("may stand at the target"),
    });
    await client.query("ROLLBACK");
    expect(await logged()).toBe(before);
    client.end();
  });
});

describe("COPY TO STDOUT", () => {
  beforeEach(() => (limits = [limit(10)]));
  const lines = (said: Awaited<ReturnType<RawClient["query"]>>): string =>
    Buffer.concat(said.filter(({ type }) => type === "d").map(({ body }) => body)).toString();

  test("is cut off", async () => {
    const client = await login();
    const answer = await client.query("COPY (SELECT id FROM t ORDER BY id) TO STDOUT");
    expect(typesOf(answer)).toBe(`H${"d".repeat(10)}EZ`);
    expect(lines(answer)).toBe(
      ids(1, 10)
        .map(([id]) => `${id}\n`)
        .join(""),
    );
    expect(reportsOf(answer)).toMatchObject(told);
    await lives(client);
    client.end();
  });

  test("of exactly so many rows passes, with a header and in binary", async () => {
    const client = await login();
    await client.query("CREATE TEMPORARY TABLE ten AS SELECT id FROM t WHERE id <= 10");
    await client.query("CREATE TEMPORARY TABLE eleven AS SELECT id FROM t WHERE id <= 11");
    const some = "ten";
    expect(typesOf(await client.query(`COPY ${some} TO STDOUT WITH (FORMAT csv, HEADER)`))).toBe(
      `H${"d".repeat(11)}cCZ`,
    );
    expect(typesOf(await client.query(`COPY ${some} TO STDOUT WITH (FORMAT binary)`))).toBe(`H${"d".repeat(11)}cCZ`);
    const more = "eleven";
    expect(typesOf(await client.query(`COPY ${more} TO STDOUT WITH (FORMAT csv, HEADER)`))).toBe(
      `H${"d".repeat(11)}EZ`,
    );
    expect(typesOf(await client.query(`COPY ${more} TO STDOUT WITH (FORMAT binary)`))).toBe(`H${"d".repeat(10)}EZ`);
    client.end();
  });

  test("of the extended protocol is cut off, and the target is cancelled", async () => {
    const client = await login();
    client.send(parse("COPY (SELECT generate_series(1, 1000000000)) TO STDOUT"), bind({}), execute({}), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe(`12H${"d".repeat(10)}EZ`);
    await lives(client);
    client.end();
  });
});

describe("a cursor", () => {
  beforeEach(() => (limits = [limit(10)]));

  test("is one result, in however many parts it is fetched; declared anew, it is another", async () => {
    const client = await login();
    await client.query("BEGIN");
    await client.query("DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY id");
    expect(rowsOf(await client.query("FETCH 6 FROM c"))).toEqual(ids(1, 6));
    await client.query("SAVEPOINT s");
    const answer = await client.query("FETCH 6 FROM c");
    expect(rowsOf(answer)).toEqual(ids(7, 10));
    expect(reportsOf(answer)).toMatchObject(told);
    await client.query("ROLLBACK TO s");
    expect(typesOf(await client.query("FETCH 6 FROM c"))).toBe("TEZ");
    await client.query("ROLLBACK");
    await client.query("BEGIN");
    await client.query("DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY id");
    expect(tagsOf(await client.query("FETCH 6 FROM c"))).toEqual(["FETCH 6"]);
    client.end();
  });
});

describe("what is counted over more than one result", () => {
  test("a session's rows", async () => {
    limits = [limit(12, RowLimit_Per.PER_SESSION)];
    const client = await login("somebody");
    expect(rowsOf(await client.query("SELECT id FROM t WHERE id <= 8"))).toHaveLength(8);
    const answer = await client.query("SELECT id FROM t");
    expect(rowsOf(answer)).toHaveLength(4);
    expect(reportsOf(answer)).toMatchObject([{ C: "53400", M: "Enough (2)." }]);
    expect(typesOf(await client.query("SELECT id FROM t"))).toBe("TEZ");
    client.end();
    const again = await login("somebody");
    expect(rowsOf(await again.query("SELECT id FROM t WHERE id <= 8"))).toHaveLength(8);
    again.end();
  });

  test("an hour's rows, over all of somebody's sessions and of nobody else's", async () => {
    limits = [limit(12, RowLimit_Per.PER_HOUR)];
    const [one, two, other] = [await login("eager"), await login("eager"), await login("patient")];
    expect(rowsOf(await one.query("SELECT id FROM t WHERE id <= 8"))).toHaveLength(8);
    const answer = await two.query("SELECT id FROM t");
    expect(rowsOf(answer)).toHaveLength(4);
    expect(reportsOf(answer)).toMatchObject([{ C: "53400", M: "Enough (3)." }]);
    expect(rowsOf(await other.query("SELECT id FROM t WHERE id <= 8"))).toHaveLength(8);
    for (const client of [one, two, other]) client.end();
  });

  test("used up, with people who can lift it: the command is put to them", async () => {
    limits = [limit(12, RowLimit_Per.PER_SESSION, true)];
    const plain = gateway.decide;
    gateway.decide = async (question) => {
      const verdict = await plain(question);
      const used = question.session.counts?.limits[0]?.session ?? 0;
      if (used < 12 || (verdict.limits ?? []).length === 0) return verdict;
      const hold = { policyId: "p-2", group: "dba", quorum: 1, withinSeconds: 60, message: "Ask." };
      return { ...verdict, outcome: Outcome.OUTCOME_HOLD, message: "Ask.", holds: [hold] };
    };
    const client = await login();
    const first = await client.query("SELECT id FROM t");
    expect(rowsOf(first)).toHaveLength(12);
    expect(reportsOf(first)[0]?.["H"]).toContain("Run it again to ask");
    // There is nobody to ask in this world.
    expect(reportsOf(await client.query("SELECT id FROM t"))[0]?.["M"]).toContain("needs approval");
    await lives(client);
    client.end();
  });
});
