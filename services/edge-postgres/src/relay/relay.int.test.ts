import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Outcome } from "@sallyport/proto/verdict";
import { DenyReason } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { columnsOf, RawClient, reportsOf, rowsOf, statusOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    GRANT CREATE ON SCHEMA public TO app;
    GRANT CREATE ON DATABASE postgres TO app;
    CREATE TABLE t (id int PRIMARY KEY, name text);
    INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 100) i;
    ALTER TABLE t OWNER TO app;`);
  gateway = await startTestGateway({ connections: [appConnection(postgres.port)], logLevel: "debug" });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});
beforeEach(() => {
  gateway.decide = ({ command }) => {
    if (command?.text.includes("forbidden")) {
      return {
        outcome: Outcome.OUTCOME_DENY,
        reason: DenyReason.DENY_REASON_POLICY,
        message: "This is forbidden here.",
      };
    }
    return {};
  };
});

const login = (parameters: Record<string, string> = {}): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders", parameters });

const parse = (text: string, name = "", types: number[] = []): Buffer => serialize.parse({ name, text, types });
const bind = (statement = "", values: (string | null)[] = [], portal = ""): Buffer =>
  serialize.bind({ statement, portal, values });
const describePortal = (name = ""): Buffer => serialize.describe({ type: "P", name });
const execute = (portal = "", rows = 0): Buffer => serialize.execute({ portal, rows });
const sync = serialize.sync();
const flush = serialize.flush();
const run = (text: string): Buffer => Buffer.concat([parse(text), bind(), describePortal(), execute()]);

describe("simple queries", () => {
  test("rows, tags and the status come as the target sent them", async () => {
    const client = await login();
    const answer = await client.query("SELECT id, name FROM t ORDER BY id LIMIT 2");
    expect(typesOf(answer)).toBe("TDDCZ");
    expect(rowsOf(answer)).toEqual([
      ["1", "n1"],
      ["2", "n2"],
    ]);
    expect(columnsOf(answer)).toEqual(["id", "name"]);
    expect(tagsOf(answer)).toEqual(["SELECT 2"]);
    expect(statusOf(answer)).toBe("I");
    client.end();
  });

  test("several statements, an empty one, an error in the middle", async () => {
    const client = await login();
    expect(typesOf(await client.query("SELECT 1; SELECT 2; SELECT 3"))).toBe("TDCTDCTDCZ");
    expect(typesOf(await client.query(""))).toBe("IZ");
    const failed = await client.query("SELECT 1; SELECT 1/0; SELECT 3");
    expect(typesOf(failed)).toBe("TDCEZ");
    expect(reportsOf(failed)[0]).toMatchObject({ C: "22012", M: "division by zero" });
    client.end();
  });

  test("pipelined ones are answered in order", async () => {
    const client = await login();
    client.send(...Array.from({ length: 50 }, (_, i) => serialize.query(`SELECT ${i}`)));
    for (let i = 0; i < 50; i++) expect(rowsOf(await client.until("Z"))).toEqual([[String(i)]]);
    client.end();
  });

  test("a text that is not UTF-8 is refused, and the session lives on", async () => {
    const client = await login();
    client.send(Buffer.from([0x51, 0, 0, 0, 15, ...Buffer.from("SELECT '"), 0xff, 0x27, 0]));
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "22021" });
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test("input in single bytes is read the same", async () => {
    const client = await login();
    for (const byte of serialize.query("SELECT 'bytes'")) {
      client.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(rowsOf(await client.until("Z"))).toEqual([["bytes"]]);
    client.end();
  });
});

describe("extended protocol", () => {
  test("a pipeline of many, with one Sync at the end", async () => {
    const client = await login();
    const commands = Array.from({ length: 200 }, (_, i) =>
      Buffer.concat([parse("SELECT $1::int"), bind("", [String(i)]), describePortal(), execute()]),
    );
    client.send(...commands, sync);
    const answer = await client.until("Z");
    expect(rowsOf(answer).map(([v]) => Number(v))).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(typesOf(answer)).toBe(`${"12TDC".repeat(200)}Z`);
    client.end();
  });

  test("a named statement is prepared once and bound often, binary results too", async () => {
    const client = await login();
    client.send(
      parse("SELECT id FROM t WHERE id = $1", "byid", [23]),
      serialize.describe({ type: "S", name: "byid" }),
      sync,
    );
    expect(typesOf(await client.until("Z"))).toBe("1tTZ");
    for (const id of ["7", "8"]) {
      client.send(bind("byid", [id]), execute(), sync);
      const answer = await client.until("Z");
      expect(typesOf(answer)).toBe("2DCZ");
      expect(rowsOf(answer)).toEqual([[id]]);
    }
    client.send(serialize.bind({ statement: "byid", values: ["9"], binary: true }), execute(), sync);
    expect((await client.until("Z")).find((m) => m.type === "D")?.body).toEqual(
      Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 0, 9]),
    );
    client.end();
    const records = await gateway.recordsUntil((all) => all.some((r) => r.kind === "statementPrepared"));
    const prepared = records.find((r) => r.kind === "statementPrepared");
    expect(prepared?.fact).toMatchObject({ statementName: "byid", parameterTypes: [23] });
    const bound = records.filter(
      (r) => r.kind === "commandAdmitted" && r.fact.statementName === "byid" && r.fact.unit === "portal",
    );
    expect(bound.map((r) => String(r.fact.parameters[0].value))).toEqual(["7", "8", "9"]);
    expect(bound[0]?.fact.parameters[0].typeOid).toBe(23);
  });

  test("a portal is read in parts", async () => {
    const client = await login();
    client.send(serialize.query("BEGIN"));
    await client.until("Z");
    client.send(parse("SELECT id FROM t ORDER BY id"), bind("", [], "p"), execute("p", 40), sync);
    expect(typesOf(await client.until("Z"))).toBe(`12${"D".repeat(40)}sZ`);
    client.send(execute("p", 40), sync);
    expect(typesOf(await client.until("Z"))).toBe(`${"D".repeat(40)}sZ`);
    client.send(execute("p", 40), flush);
    expect(typesOf(await client.until("C"))).toBe(`${"D".repeat(20)}C`);
    client.send(serialize.close({ type: "P", name: "p" }), sync);
    expect(typesOf(await client.until("Z"))).toBe("3Z");
    client.end();
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "commandCompleted" && r.fact.rows === 100),
    );
    expect(records.length).toBeGreaterThan(0);
  });

  test("an error skips to Sync, at the target and here", async () => {
    const client = await login();
    client.send(run("SELECT 1"), run("SELECT 1/0"), run("SELECT 2"), sync, run("SELECT 3"), sync);
    const first = await client.until("Z");
    // PostgreSQL divides constants when it plans, at Bind
    expect(typesOf(first)).toBe("12TDC1EZ");
    expect(rowsOf(first)).toEqual([["1"]]);
    expect(rowsOf(await client.until("Z"))).toEqual([["3"]]);
    client.end();
  });

  test("Flush brings answers without a Sync", async () => {
    const client = await login();
    client.send(parse("SELECT 5"), flush);
    expect(typesOf(await client.until("1"))).toBe("1");
    client.send(bind(), execute(), flush);
    expect(rowsOf(await client.until("C"))).toEqual([["5"]]);
    client.send(sync);
    expect(statusOf(await client.until("Z"))).toBe("I");
    client.end();
  });

  test("a name that the server would cut is refused: it could mean another statement there", async () => {
    const client = await login();
    const long = "x".repeat(63);
    client.send(parse("SELECT 'kept'", long), parse("SELECT 'cut'", `${long}a`), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("1EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "42622" });
    client.send(serialize.close({ type: "S", name: `${long}b` }), sync);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42622" });
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test("names that nobody knows are refused as the server would", async () => {
    const client = await login();
    client.send(bind("nobody"), execute(), sync);
    let answer = await client.until("Z");
    expect(typesOf(answer)).toBe("EZ");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "26000" });
    client.send(execute("nobody"), sync);
    answer = await client.until("Z");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "34000" });
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test("a Parse that the target refuses leaves the statement before it, also for a Bind that is pipelined behind", async () => {
    const client = await login();
    client.send(parse("SELECT 'one'", "s"), sync);
    await client.until("Z");
    gateway.questions.length = 0;
    // the name is taken: the target keeps the old statement and refuses this one
    client.send(parse("SELECT 'two'", "s"), sync, bind("s"), execute(), sync);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42P05" });
    // what is sure: never "one", decided as "two"
    expect(rowsOf(await client.until("Z"))).toEqual([["one"]]);
    const decided = gateway.questions.map(({ command }) => `${command?.unit} ${command?.text}`);
    expect(decided).toEqual(["parse SELECT 'two'", "portal SELECT 'one'"]);
    client.end();
  });

  test("policy is told what an EXECUTE in SQL would run", async () => {
    const client = await login();
    client.send(parse("SELECT 'by protocol'", "byp"), sync);
    await client.until("Z");
    expect(rowsOf(await client.query("EXECUTE byp"))).toEqual([["by protocol"]]);
    expect(gateway.questions.at(-1)?.command?.named).toEqual([{ kind: 1, name: "byp", text: "SELECT 'by protocol'" }]);
    client.end();
  });

  test("a name that SQL has made is nothing any more once the protocol gives it to another text", async () => {
    gateway.decide = ({ command }) => {
      const [, name, text] = /^PREPARE (.) AS (.*)/.exec(command?.text ?? "") ?? [];
      return { facts: facts(name === undefined ? { verbs: ["execute"] } : { named: [{ kind: 1, name, text }] }) };
    };
    const client = await login();
    await client.query("PREPARE q AS SELECT 'from sql'");
    client.send(serialize.close({ type: "S", name: "q" }), parse("SELECT 'by protocol'", "q"), sync);
    expect(typesOf(await client.until("Z"))).toBe("31Z");
    expect(rowsOf(await client.query("EXECUTE q"))).toEqual([["by protocol"]]);
    expect(gateway.questions.at(-1)?.command?.named).toEqual([{ kind: 1, name: "q", text: "SELECT 'by protocol'" }]);
    // the server keeps the old one: then nobody is sure of either
    await client.query("PREPARE r AS SELECT 'kept'");
    client.send(parse("SELECT 'refused'", "r"), sync);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42P05" });
    client.send(bind("r"), execute(), sync);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "26000" });
    client.end();
  });

  test("a Close does not take the name from what was given it behind", async () => {
    const client = await login();
    client.send(parse("SELECT 'old'", "n"), sync);
    await client.until("Z");
    client.send(serialize.close({ type: "S", name: "n" }), parse("SELECT 'new'", "n"), bind("n"), execute(), sync);
    expect(rowsOf(await client.until("Z"))).toEqual([["new"]]);
    client.send(bind("n"), execute(), sync);
    expect(rowsOf(await client.until("Z"))).toEqual([["new"]]);
    client.end();
  });

  test("a statement that SQL has prepared can be bound", async () => {
    gateway.decide = ({ command }) =>
      command?.text.startsWith("PREPARE")
        ? { facts: facts({ named: [{ kind: 1, name: "q", text: "SELECT 'from sql'" }] }) }
        : {};
    const client = await login();
    await client.query("PREPARE q AS SELECT 'from sql'");
    client.send(bind("q"), execute(), sync);
    expect(rowsOf(await client.until("Z"))).toEqual([["from sql"]]);
    expect(gateway.questions.at(-1)?.command).toMatchObject({ unit: "portal", text: "SELECT 'from sql'" });
    client.end();
  });
});

const NO_FACTS = {
  actions: ["read"],
  verbs: [],
  relations: [],
  functions: [],
  hasWhere: true,
  statementCount: 1,
  opaque: false,
  defines: false,
  sessionEffect: false,
  userCode: false,
  named: [],
  normalized: "",
  fingerprint: "",
  transferColumns: [],
};
const facts = (change: Partial<typeof NO_FACTS> | Record<string, unknown>): never =>
  ({ ...NO_FACTS, ...change }) as never;

describe("a denial", () => {
  test("is an ERROR with 42501 and the sentence; the session lives on, and the target hears nothing", async () => {
    const client = await login();
    const answer = await client.query("SELECT 'forbidden idle'");
    expect(typesOf(answer)).toBe("EZ");
    expect(statusOf(answer)).toBe("I");
    expect(reportsOf(answer)[0]).toMatchObject({ S: "ERROR", C: "42501", M: "This is forbidden here." });
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    expect(postgres.log()).not.toContain("forbidden idle");
    client.end();
    const records = await gateway.recordsUntil((all) => all.some((r) => r.fact.text === "SELECT 'forbidden idle'"));
    const denied = records.find((r) => r.kind === "commandDenied");
    expect(denied?.fact).toMatchObject({ code: "42501", message: "This is forbidden here.", unit: "simple-query" });
  });

  test("fails the open transaction, as an error of the server does", async () => {
    const client = await login();
    await client.query("BEGIN");
    await client.query("UPDATE t SET name = 'changed' WHERE id = 1");
    const denied = await client.query("DELETE FROM t -- forbidden");
    expect(typesOf(denied)).toBe("EZ");
    expect(statusOf(denied)).toBe("E");
    expect(reportsOf(await client.query("SELECT 1"))[0]).toMatchObject({ C: "25P02" });
    expect(tagsOf(await client.query("COMMIT"))).toEqual(["ROLLBACK"]);
    expect(rowsOf(await client.query("SELECT name FROM t WHERE id = 1"))).toEqual([["n1"]]);
    client.end();
  });

  test("can be rolled back to a savepoint", async () => {
    const client = await login();
    await client.query("BEGIN");
    await client.query("SAVEPOINT before");
    expect(statusOf(await client.query("SELECT 'forbidden'"))).toBe("E");
    expect(statusOf(await client.query("ROLLBACK TO before"))).toBe("T");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test.each(["parse", "portal"])(
    "of a %s in the middle of a pipeline takes its place, and undoes what came before",
    async (unit) => {
      gateway.decide = ({ command }) =>
        command?.text.includes("forbidden") && command.unit === unit
          ? { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_POLICY, message: "No." }
          : {};
      const client = await login();
      client.send(
        run("UPDATE t SET name = 'pipelined' WHERE id = 2 RETURNING id"),
        run("SELECT 'forbidden'"),
        run("SELECT 'behind'"),
        sync,
      );
      const answer = await client.until("Z");
      expect(typesOf(answer)).toBe(unit === "parse" ? "12TDCEZ" : "12TDC1EZ");
      expect(reportsOf(answer)[0]).toMatchObject({ C: "42501", M: "No." });
      expect(statusOf(answer)).toBe("I");
      expect(rowsOf(await client.query("SELECT name FROM t WHERE id = 2"))).toEqual([["n2"]]);
      expect(postgres.log()).not.toContain("behind");
      client.end();
    },
  );

  test("comes with Flush as well, and holds until Sync", async () => {
    const client = await login();
    client.send(parse("SELECT 'forbidden'"), flush);
    expect(reportsOf(await client.until("E"))[0]).toMatchObject({ C: "42501" });
    client.send(run("SELECT 'skipped'"), flush);
    client.send(sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("Z");
    expect(postgres.log()).not.toContain("skipped");
    client.end();
  });

  test("between pipelined simple queries", async () => {
    const client = await login();
    client.send(serialize.query("SELECT 1"), serialize.query("SELECT 'forbidden'"), serialize.query("SELECT 3"));
    expect(rowsOf(await client.until("Z"))).toEqual([["1"]]);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42501" });
    expect(rowsOf(await client.until("Z"))).toEqual([["3"]]);
    client.end();
  });

  test("a fast-path function call is put to policy as something that nobody can read", async () => {
    gateway.decide = ({ command }) =>
      command?.unit === "function-call"
        ? { outcome: Outcome.OUTCOME_DENY, reason: DenyReason.DENY_REASON_NOT_UNDERSTOOD, message: "Not understood." }
        : {};
    const client = await login();
    // abs(int4) is 1397
    const call = Buffer.concat([
      Buffer.from([0x46, 0, 0, 0, 22]),
      Buffer.from([0, 0, 0x05, 0x75, 0, 0, 0, 1, 0, 0, 0, 2]),
      Buffer.from("-5"),
      Buffer.from([0, 0, 0, 0]).subarray(0, 2),
    ]);
    call.writeUInt32BE(call.length - 1, 1);
    client.send(call);
    const denied = await client.until("Z");
    expect(typesOf(denied)).toBe("EZ");
    client.end();
    gateway.decide = () => ({});
    const other = await login();
    other.send(call);
    const allowed = await other.until("Z");
    expect(typesOf(allowed)).toBe("VZ");
    expect(allowed[0]?.body.subarray(4).toString()).toBe("5");
    other.end();
  });
});

test("what is left of a COPY that has failed is never taken for messages", async () => {
  const client = await login();
  await client.query("CREATE TABLE target_of_copy (id int)");
  const smuggled = serialize.query("DROP TABLE target_of_copy");
  const data = Buffer.concat([Buffer.alloc(70_000, "x"), smuggled, smuggled]);
  const message = Buffer.concat([Buffer.from([0x64, 0, 0, 0, 0]), data]);
  message.writeUInt32BE(message.length - 1, 1);
  client.send(serialize.query("COPY target_of_copy FROM STDIN"));
  await client.until("G");
  // the header and some of it; then the COPY fails at the target, and only then comes the rest
  client.send(serialize.copyData(Buffer.from("not a number\n")), message.subarray(0, 69_000));
  expect(typesOf(await client.until("Z"))).toBe("EZ");
  client.send(message.subarray(69_000), serialize.copyDone());
  expect(rowsOf(await client.query("SELECT count(*) FROM target_of_copy"))).toEqual([["0"]]);
  expect(postgres.log()).not.toContain("DROP TABLE target_of_copy");
  client.end();
});

describe("the session's state", () => {
  test("search_path and role are asked for again after what may change them, and after a rollback", async () => {
    gateway.decide = ({ command }) =>
      (command?.text ?? "").startsWith("SET") ? { facts: facts({ sessionEffect: true }) } : {};
    const paths = async (client: RawClient, sql: string): Promise<readonly string[] | undefined> => {
      await client.query(sql);
      return gateway.questions.at(-1)?.command?.searchPath;
    };
    const client = await login();
    await client.query("CREATE SCHEMA IF NOT EXISTS other");
    expect(await paths(client, "SELECT 'a'")).toEqual(["pg_catalog", "public"]);
    await client.query("SET search_path = other");
    expect(await paths(client, "SELECT 'b'")).toEqual(["pg_catalog", "other"]);
    await client.query("BEGIN");
    await client.query("SET search_path = public, other");
    expect(await paths(client, "SELECT 'c'")).toEqual(["pg_catalog", "public", "other"]);
    await client.query("ROLLBACK");
    expect(await paths(client, "SELECT 'd'")).toEqual(["pg_catalog", "other"]);
    expect(gateway.questions.at(-1)?.command).toMatchObject({
      role: "app",
      settings: { standard_conforming_strings: "on", client_encoding: "UTF8" },
    });
    client.end();
  });

  test.each([
    ["SET search_path = other", { sessionEffect: true }, ["pg_catalog", "other"]],
    [
      "CREATE TEMP TABLE gone (id int)",
      { sessionEffect: true, defines: true },
      [expect.stringMatching(/^pg_temp/), "pg_catalog", "public"],
    ],
  ])("after a rollback that is pipelined, what %s did is not believed any more", async (effect, change, inside) => {
    gateway.decide = ({ command }) => (command?.text === effect ? { facts: facts(change) } : {});
    const client = await login();
    await client.query("SELECT 'before'");
    const asked = (text: string): unknown =>
      gateway.questions.findLast(({ command }) => command?.text === text)?.command;
    const before = asked("SELECT 'before'");
    client.send(serialize.query("BEGIN"), serialize.query(effect), serialize.query("SELECT 'inside'"));
    client.send(serialize.query("ROLLBACK"), serialize.query("SELECT 'after'"));
    for (let i = 0; i < 5; i++) await client.until("Z");
    expect(asked("SELECT 'inside'")).toMatchObject({ searchPath: inside, schemaTouched: "defines" in change });
    expect(before).toMatchObject({ searchPath: ["pg_catalog", "public"], schemaTouched: false });
    expect(asked("SELECT 'after'")).toMatchObject({ searchPath: ["pg_catalog", "public"] });
    client.end();
  });

  test("what the server reports when a transaction fails counts there, where nothing can be asked", async () => {
    gateway.decide = ({ command }) =>
      command?.text.startsWith("SET") ? { facts: facts({ sessionEffect: true }) } : {};
    const client = await login();
    const strings = async (sql: string): Promise<string | undefined> => {
      await client.query(sql);
      return gateway.questions.at(-1)?.command?.settings["standard_conforming_strings"];
    };
    await client.query("BEGIN");
    await client.query("SET standard_conforming_strings = off");
    expect(await strings("SELECT 'changed'")).toBe("off");
    // the server takes the setting back at the error, and says so
    expect(statusOf(await client.query("SELECT 1/0"))).toBe("E");
    expect(await strings("SELECT 'failed'")).toBe("on");
    await client.query("ROLLBACK");
    expect(await strings("SELECT 'behind'")).toBe("on");
    client.end();
  });

  test("in a pipeline too, without ending its implicit transaction", async () => {
    gateway.decide = ({ command }) =>
      (command?.text ?? "").startsWith("SET") ? { facts: facts({ sessionEffect: true }) } : {};
    const client = await login();
    client.send(
      run("UPDATE t SET name = 'gone' WHERE id = 3"),
      run("SET search_path = other"),
      run("SELECT 'in the pipeline'"),
      run("SELECT 1/0"),
      sync,
    );
    const answer = await client.until("Z");
    expect(gateway.questions.find((q) => q.command?.text === "SELECT 'in the pipeline'")?.command?.searchPath).toEqual([
      "pg_catalog",
      "other",
    ]);
    expect(reportsOf(answer)[0]).toMatchObject({ C: "22012" });
    expect(rowsOf(await client.query("SELECT name FROM public.t WHERE id = 3"))).toEqual([["n3"]]);
    expect(gateway.questions.at(-1)?.command?.searchPath).toEqual(["pg_catalog", "public"]);
    client.end();
  });

  test("code that nobody looked into may have made a statement anew: the target is asked what it stands for", async () => {
    gateway.decide = ({ command }) =>
      (command?.text ?? "").startsWith("DO") ? { facts: facts({ opaque: true }) } : {};
    const client = await login();
    client.send(parse("SELECT 'mine'", "same"), parse("SELECT 'mine too'", "other"), sync);
    await client.until("Z");
    await client.query(`DO $$ BEGIN EXECUTE 'DEALLOCATE same'; EXECUTE 'PREPARE same AS SELECT ''not mine'''; END $$`);
    client.send(bind("same"), execute(), sync);
    const answer = await client.until("Z");
    expect(reportsOf(answer)[0]).toMatchObject({ C: "26000" });
    client.send(bind("other"), execute(), sync);
    expect(rowsOf(await client.until("Z"))).toEqual([["mine too"]]);
    client.end();
  });
});
