import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ColumnPlan, ColumnPlan_Action as Action } from "@sallyport/proto/masking";
import { CommandFacts } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { RawClient, reportsOf, rowsOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
let people: number;
/** what masking may not be asked any more */
let maskingDown = false;

const SECRET = "emil@example.com";
const BIGINT = 20;

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE people (id int, email text, note text);
    INSERT INTO people VALUES (1, '${SECRET}', 'a'), (2, NULL, E'tab\\there'), (3, 'x,"y"', NULL);
    CREATE TABLE plain (id int, word text);
    INSERT INTO plain VALUES (1, 'one');
    CREATE FUNCTION shout(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'got %', t; RETURN t; END $$;
    ALTER TABLE people OWNER TO app; ALTER TABLE plain OWNER TO app;`);
  people = (await postgres.query("SELECT 'people'::regclass::oid AS oid")).rows[0].oid as number;
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    links: (links) => ({
      ...links,
      masking: {
        // e-mails are column 2 of people, and hidden; anything without an origin that touches people is hidden too
        plan: async (result, asOf) => {
          if (maskingDown) throw new Error("down");
          const touches = result.relations.length > 0;
          const hides = result.hiddenClasses.length > 0;
          const hidden = (c: { tableOid: number; columnNumber: number }): boolean =>
            c.tableOid === 0 ? touches : c.tableOid === people && [0, 2].includes(c.columnNumber);
          return {
            planId: "plan",
            columns: result.columns.map((column) => {
              const is = hidden(column);
              return ColumnPlan.fromPartial({
                action:
                  !is || !hides
                    ? Action.ACTION_PASS
                    : column.name === "scanned"
                      ? Action.ACTION_SCAN
                      : column.typeOid === BIGINT
                        ? Action.ACTION_NULL
                        : Action.ACTION_REDACT,
                class: is ? "email" : "",
                reason: column.tableOid === 0 ? "no origin" : "classified",
              });
            }),
            scrubText: hides && touches,
            asOf,
            staleSchema: false,
            disagreement: result.columns.some(({ name }) => name === "odd") ? "They differ." : "",
          };
        },
        cells: async (_, __, cells) => ({
          cells: cells.map((c) => Buffer.from(`<${c.length}>`)),
          changed: cells.length,
        }),
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});

beforeEach(() => {
  maskingDown = false;
  // Everybody has e-mails hidden but the dba.
  gateway.decide = ({ session, command }) => {
    const text = command?.text ?? "";
    const verbs = /^(\/\*.*\*\/ )?copy.*to/i.test(text)
      ? ["copy-to"]
      : /^copy/i.test(text)
        ? ["copy-from"]
        : ["select"];
    const plainCopy = /^COPY (people|plain) TO/i.exec(text)?.[1];
    return {
      hiddenClasses: session.principal?.name === "dba" ? [] : ["email"],
      facts: CommandFacts.fromPartial({
        actions: ["read"],
        verbs,
        relations: text.includes("people") ? [{ schema: "public", name: "people", oid: people }] : [],
        transferColumns:
          plainCopy === "people" ? ["id", "email", "note"] : plainCopy === undefined ? [] : ["id", "word"],
        lineage: text.includes("followed") ? [{ statement: 0, outputs: [{ sources: [{ number: 2 }] }] }] : [],
        statementCount: 1,
        hasWhere: true,
      }),
    };
  };
});

const login = (user = "engineer"): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders", user });
const sync = serialize.sync();
const parse = (text: string, name = ""): Buffer => serialize.parse({ name, text });
const everything = (client: RawClient): string => Buffer.concat(client.said.map((m) => m.body)).toString("latin1");

describe("rows", () => {
  test("of a simple query", async () => {
    const client = await login();
    const answer = await client.query("SELECT * FROM people ORDER BY id");
    expect(rowsOf(answer)).toEqual([
      ["1", "[redacted]", "a"],
      ["2", null, "tab\there"],
      ["3", "[redacted]", null],
    ]);
    expect(tagsOf(answer)).toEqual(["SELECT 3"]);
    expect(rowsOf(await client.query("SELECT upper(email), email AS scanned, id FROM people WHERE id = 1"))).toEqual([
      ["[redacted]", "[redacted]".length > 0 ? `<${SECRET.length}>` : "", "1"],
    ]);
    expect(everything(client)).not.toContain(SECRET);
    client.end();
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "resultMasked" && r.fact.rows === 3),
    );
    expect(records.find((r) => r.kind === "resultMasked" && r.fact.rows === 3)?.fact).toMatchObject({
      maskedCells: 2,
      columns: [{ index: 1, name: "email", class: "email", transform: "redact" }],
    });
    expect(JSON.stringify(records.filter((r) => r.kind === "frameToClient"))).not.toContain(SECRET);
    const first = records.find((r) => r.kind === "frameToClient" && r.fact.columns.length > 0);
    expect(first?.fact.columns[0]).toMatchObject({ class: "email" });
  });

  test("of many chunks, local and remote", async () => {
    await postgres.query(
      "CREATE TABLE IF NOT EXISTS many AS SELECT i AS id, 'secret-' || i AS email FROM generate_series(1, 20000) i; ALTER TABLE many OWNER TO app",
    );
    const client = await login();
    const answer = await client.query(
      "SELECT id, email || '' AS e, email || '' AS scanned /* people */ FROM many ORDER BY id",
    );
    const rows = rowsOf(answer);
    expect(rows.length).toBe(20_000);
    expect(rows.every((r, i) => r[1] === "[redacted]" && r[2] === `<${`secret-${i + 1}`.length}>`)).toBe(true);
    expect(everything(client)).not.toContain("secret-");
    client.end();
  });

  test("nothing is hidden from the dba, and the log says what was seen in clear", async () => {
    const client = await login("dba");
    expect(rowsOf(await client.query("SELECT email FROM people WHERE id = 1"))).toEqual([[SECRET]]);
    client.end();
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "resultMasked" && r.header.principalId === "user:dba"),
    );
    expect(
      records.find((r) => r.kind === "resultMasked" && r.header.principalId === "user:dba")?.fact.columns,
    ).toMatchObject([{ class: "email", transform: "pass" }]);
  });

  test("of a portal that the client did not describe: the edge asks, and swallows the answer", async () => {
    const client = await login();
    client.send(parse("SELECT id, email FROM people ORDER BY id"), serialize.bind({}), serialize.execute({}), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("12DDDCZ");
    expect(rowsOf(answer)[0]).toEqual(["1", "[redacted]"]);
    client.end();
  });

  test("of a portal that somebody who sees everything did not describe: later readers of the log are told its classes", async () => {
    const client = await login("dba");
    const read = (text: string): void => client.send(parse(text), serialize.bind({}), serialize.execute({}), sync);
    read("SELECT id, email FROM people /* followed */");
    expect(typesOf(await client.until("Z"))).toBe("12DDDCZ");
    // Nothing that is stored is in it: nobody asks.
    read("SELECT 1 AS one");
    expect(typesOf(await client.until("Z"))).toBe("12DCZ");
    client.end();
    const records = await gateway.recordsUntil(
      (all) => all.findLast((r) => r.kind === "sessionClosed")?.header.principalId === "user:dba",
    );
    const session = records.findLast((r) => r.kind === "sessionClosed")?.header.sessionId;
    const told = records.filter(
      (r) => r.kind === "frameToClient" && r.header.sessionId === session && r.fact.columns.length > 0,
    );
    expect(told.map((r) => r.fact.columns)).toMatchObject([
      [
        { index: 0, name: "id", class: "" },
        { index: 1, name: "email", class: "email", transform: "pass" },
      ],
    ]);
  });

  test("of a portal in parts, binary, and in a pipeline with another", async () => {
    const client = await login();
    await client.query("BEGIN");
    client.send(
      parse("SELECT email FROM people ORDER BY id", "e"),
      serialize.bind({ statement: "e", portal: "p", binary: true }),
      serialize.describe({ type: "P", name: "p" }),
      serialize.execute({ portal: "p", rows: 1 }),
      parse("SELECT word FROM plain"),
      serialize.bind({}),
      serialize.execute({}),
      serialize.execute({ portal: "p", rows: 0 }),
      sync,
    );
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("12TDs12DCDDCZ");
    expect(rowsOf(answer)).toEqual([["[redacted]"], ["one"], [null], ["[redacted]"]]);
    client.end();
  });

  test("a statement that is bound again after the schema moved under it is described again", async () => {
    await postgres.query(
      "DROP TABLE IF EXISTS moving; CREATE TABLE moving (a text, b text); INSERT INTO moving VALUES ('open', 'x'); ALTER TABLE moving OWNER TO app",
    );
    const client = await login();
    client.send(parse("SELECT a FROM moving", "m"), sync);
    await client.until("Z");
    client.send(serialize.bind({ statement: "m" }), serialize.execute({}), sync);
    expect(rowsOf(await client.until("Z"))).toEqual([["open"]]);
    // the same name now stands for people's e-mails
    await postgres.query(
      "ALTER TABLE moving RENAME TO moved; ALTER TABLE people RENAME TO moving; ALTER TABLE moving RENAME email TO a",
    );
    try {
      client.send(serialize.bind({ statement: "m" }), serialize.execute({}), sync);
      expect(rowsOf(await client.until("Z"))[0]).toEqual(["[redacted]"]);
    } finally {
      await postgres.query("ALTER TABLE moving RENAME a TO email; ALTER TABLE moving RENAME TO people");
    }
    client.end();
  });

  test("masking that cannot be reached ends the session, and nothing is shown", async () => {
    const client = await login();
    maskingDown = true;
    const answer = await client.query("SELECT email FROM people -- down");
    expect(rowsOf(answer)).toEqual([]);
    expect(reportsOf(answer)[0]).toMatchObject({ S: "FATAL" });
    expect(everything(client)).not.toContain(SECRET);
  });
});

describe("columns that are masked whole, for they have no origin", () => {
  const told = (answer: Parameters<typeof reportsOf>[0]): (string | undefined)[] =>
    reportsOf(answer, "N").map((notice) => notice["M"]);
  const whole = (columns: string): unknown => expect.stringContaining(`masked whole (${columns}): `);

  test("are told of before the rows, in a frame that is on record", async () => {
    const client = await login();
    const answer = await client.query("SELECT count(*), id FROM people GROUP BY id ORDER BY id");
    expect(typesOf(answer)).toBe("TNDDDCZ");
    expect(rowsOf(answer)[0]).toEqual([null, "1"]);
    expect(reportsOf(answer, "N")).toMatchObject([{ S: "NOTICE", C: "00000", M: whole("count") }]);
    client.end();
    const records = await gateway.recordsUntil((all) => all.some((r) => r.kind === "sessionClosed"));
    expect(
      records.some((r) => r.kind === "frameToClient" && (r.fact.data as Buffer).includes("masked whole (count)")),
    ).toBe(true);
  });

  test("once for each result of a simple query", async () => {
    const client = await login();
    const answer = await client.query(
      "SELECT count(*) FROM people; SELECT upper(email) AS u, count(*) FROM people GROUP BY 1",
    );
    expect(told(answer)).toEqual([whole("count"), whole("u, count")]);
    client.end();
  });

  test("once for a portal, in however many parts it is read", async () => {
    const client = await login();
    await client.query("BEGIN");
    client.send(
      parse("SELECT count(*) FROM people GROUP BY id"),
      serialize.bind({ portal: "p" }),
      serialize.execute({ portal: "p", rows: 1 }),
      serialize.execute({ portal: "p", rows: 1 }),
      serialize.execute({ portal: "p", rows: 0 }),
      sync,
    );
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("12NDsDsDCZ");
    expect(rowsOf(answer)).toEqual([[null], [null], [null]]);
    client.end();
  });

  test("nothing is said where they pass, where the columns have an origin, or where no row came", async () => {
    const client = await login();
    for (const sql of [
      "SELECT count(*) FROM plain",
      "SELECT * FROM people",
      "SELECT count(*) FROM people HAVING false",
    ]) {
      expect(told(await client.query(sql)), sql).toEqual([]);
    }
    client.end();
    const dba = await login("dba");
    const answer = await dba.query("SELECT count(*) FROM people");
    expect(rowsOf(answer)).toEqual([["3"]]);
    expect(told(answer)).toEqual([]);
    dba.end();
  });
});

describe("texts beside rows", () => {
  test("an error keeps its SQLSTATE, and loses its words", async () => {
    const client = await login();
    for (const sql of [
      "SELECT email::int FROM people",
      "SELECT id FROM people WHERE email::date IS NULL",
      "INSERT INTO people SELECT id, email, 1/(id-1) FROM people",
    ]) {
      const [error] = reportsOf(await client.query(sql));
      expect(error).toMatchObject({ S: "ERROR", M: expect.stringMatching(/^[a-z_]+ at the target$/) });
    }
    const [error] = reportsOf(await client.query("SELECT email::int FROM people"));
    expect(error).toMatchObject({ C: "22P02" });
    expect(everything(client)).not.toContain("emil");
    client.end();
  });

  test("errors that touch nothing hidden stay as they are", async () => {
    const client = await login();
    expect(reportsOf(await client.query("SELECT * FROM nowhere"))[0]).toMatchObject({
      C: "42P01",
      M: 'relation "nowhere" does not exist',
    });
    client.send(parse("SELECT emial FROM people"), sync);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42703", M: 'column "emial" does not exist' });
    client.end();
  });

  test("a notice, also one that is raised at Bind", async () => {
    const client = await login();
    const answer = await client.query("SELECT shout(email) FROM people WHERE id = 1");
    expect(typesOf(answer)).toContain("N");
    client.send(
      parse(`SELECT shout('${SECRET.split("").toReversed().join("")}'), id FROM people`),
      serialize.bind({}),
      serialize.execute({}),
      sync,
    );
    const bound = await client.until("Z");
    expect(typesOf(bound)).toContain("N");
    expect(everything(client)).not.toContain("got");
    client.end();
    const open = await login("dba");
    expect(reportsOf(await open.query("SELECT shout(email) FROM people WHERE id = 1"), "N")[0]?.["M"]).toBe(
      `got ${SECRET}`,
    );
    open.end();
  });

  test("a reported setting, and a notification", async () => {
    const client = await login();
    await client.query("LISTEN leak");
    await client.query("SELECT set_config('application_name', (SELECT email FROM people WHERE id = 1), false)");
    await client.query("SELECT pg_notify('leak', (SELECT email FROM people WHERE id = 1))");
    await client.query("SELECT 1");
    const notification = client.said.find((m) => m.type === "A");
    expect(notification?.body.toString("latin1").slice(4)).toBe("leak\0\0");
    expect(everything(client)).not.toContain(SECRET);
    client.end();
  });
});

describe("COPY TO STDOUT", () => {
  const copied = (client: RawClient): string =>
    client.said.flatMap((m) => (m.type === "d" ? [m.body.toString()] : [])).join("");

  test.each([
    ["text", "COPY people TO STDOUT", "1\t[redacted]\ta\n2\t\\N\ttab\\there\n3\t[redacted]\t\\N\n"],
    [
      "csv",
      "COPY people TO STDOUT WITH (FORMAT csv, HEADER)",
      "id,email,note\n1,[redacted],a\n2,,tab\there\n3,[redacted],\n",
    ],
  ])("of a table, as %s, is masked column by column", async (_, sql, expected) => {
    const client = await login();
    const answer = await client.query(sql);
    expect(tagsOf(answer)).toEqual(["COPY 3"]);
    expect(copied(client)).toBe(expected);
    client.end();
  });

  test.each([
    "COPY (SELECT email FROM people) TO STDOUT",
    "/* followed */ COPY (SELECT email FROM nowhere, people) TO STDOUT",
    "/* followed */ COPY (SELECT email AS odd FROM people) TO STDOUT",
    "COPY people TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
  ])("%s is refused before it runs", async (sql) => {
    const client = await login();
    const answer = await client.query(sql);
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "42501", M: expect.stringContaining("SELECT") });
    expect(postgres.log()).not.toContain(sql);
    client.end();
  });

  test.each([
    ["text", "", "1\t<16>\t\\N\t[redacted]\n"],
    ["csv", "(FORMAT csv, HEADER)", "id,scanned,up,n\n1,<16>,,[redacted]\n"],
  ])("of a query that was followed, as %s, is masked column by column", async (_, options, expected) => {
    const client = await login();
    const query =
      "SELECT id, email AS scanned, length(email)::bigint AS up, count(*) || ')' AS n FROM people WHERE id = 1";
    const answer = await client.query(`/* followed */ COPY (${query} GROUP BY 1, 2) TO STDOUT ${options}`);
    expect(tagsOf(answer)).toEqual(["COPY 1"]);
    expect(copied(client)).toBe(expected);
    client.end();
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "sessionClosed" && r.header.sessionId),
    );
    expect(JSON.stringify(records.filter((r) => r.kind === "frameToClient"))).not.toContain(SECRET);
  });

  test.each([
    ["a table", "COPY people TO STDOUT (FORMAT binary)", 3],
    ["a query", "/* followed */ COPY (SELECT id, email, note FROM people) TO STDOUT WITH BINARY", 3],
  ])("of %s, binary, is masked field by field", async (_, sql, rows) => {
    const client = await login();
    expect(tagsOf(await client.query(sql))).toEqual([`COPY ${rows}`]);
    const data = Buffer.concat(client.said.flatMap((m) => (m.type === "d" ? [m.body] : [])));
    client.end();
    expect(data.subarray(0, 19).toString("latin1")).toBe("PGCOPY\n\u00ff\r\n\0\0\0\0\0\0\0\0\0");
    // int32 `1` and the mask in one row of three fields
    expect(data.subarray(19, 29).toString("hex")).toBe("00030000000400000001");
    expect(data.toString("latin1", 29, 43)).toBe("\0\0\0\u000a[redacted]");
    expect(data.includes(SECRET)).toBe(false);
    expect(data.subarray(-2)).toEqual(Buffer.from([0xff, 0xff]));
  });

  test("of what hides nothing passes in every format", async () => {
    const client = await login();
    expect(tagsOf(await client.query("COPY plain TO STDOUT"))).toEqual(["COPY 1"]);
    expect(copied(client)).toBe("1\tone\n");
    expect(typesOf(await client.query("COPY (SELECT word FROM plain) TO STDOUT (FORMAT binary)"))).toMatch(/^Hd+cCZ$/);
    client.end();
  });

  test("in clear for the dba", async () => {
    const client = await login("dba");
    await client.query("COPY people TO STDOUT");
    expect(copied(client)).toContain(SECRET);
    client.end();
  });
});
