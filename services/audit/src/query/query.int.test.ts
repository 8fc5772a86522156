import type { AppError } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClickHouse } from "../clickhouse/clickhouse.ts";
import type { ReaderDatabase } from "../clickhouse/views.ts";
import { openTestClickHouse } from "../../testing/start-audit.ts";
import { ask, type QueryLimits } from "./ask.ts";

const limits: QueryLimits = { maxRows: 1_000, maxResultBytes: 4 << 20, maxSeconds: 5, maxMemoryBytes: 256 << 20 };
let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let clickhouse: ClickHouse;

beforeAll(async () => {
  engine = await openTestClickHouse();
  clickhouse = engine.clickhouse;
});
afterAll(() => engine?.remove());

const asked = (
  sql: string,
  parameters: Record<string, string> = {},
  database: ReaderDatabase = "log",
  maxRows = 0,
  signal = new AbortController().signal,
) => ask(clickhouse, { sql, parameters, maxRows }, database, limits, signal);

/** Every one is a question that somebody may ask. */
const allowed: [name: string, sql: string][] = [
  ["select", "SELECT * FROM commands WHERE at > now() - INTERVAL 1 DAY ORDER BY at LIMIT 5"],
  ["semicolon at the end", "SELECT 1;"],
  ["comment", "SELECT 1 -- and nothing else"],
  ["own database named", "SELECT count() FROM log.sessions"],
  [
    "with",
    "WITH denied AS (SELECT * FROM commands WHERE status = 'denied') SELECT principal, count() FROM denied GROUP BY principal WITH TOTALS",
  ],
  ["recursive", "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r"],
  ["join", "SELECT c.statement, a.approver FROM commands c LEFT JOIN approvals a USING (approval_id)"],
  ["in a view", "SELECT * FROM commands WHERE session_id IN (SELECT session_id FROM sessions)"],
  ["window", "SELECT principal, row_number() OVER (PARTITION BY principal ORDER BY at) FROM commands QUALIFY 1"],
  ["array join", "SELECT policy, count() FROM commands ARRAY JOIN policies AS policy GROUP BY policy"],
  [
    "aggregate with suffix",
    "SELECT countIf(status = 'denied'), uniqExact(principal), quantilesExact(0.5, 0.9)(duration_us) FROM commands",
  ],
  ["union", "SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 2"],
  ["json", "SELECT JSONExtractString(data, 'unit') FROM event_log"],
  [
    "case, cast, interval",
    "SELECT CASE WHEN 1 THEN toDate(now()) - INTERVAL 3 DAY END, 1::String, [1, 2][1], (1, 2).1, if(1, 2, 3)",
  ],
  ["lambda", "SELECT arrayMap(x -> upper(x), actors) FROM sessions"],
  ["explain", "EXPLAIN SELECT * FROM commands"],
  ["explain pipeline", "EXPLAIN PIPELINE SELECT 1"],
  ["describe", "DESCRIBE TABLE commands"],
  ["describe shortly", "DESC commands"],
  ["show tables", "SHOW TABLES"],
  ["show some tables", "SHOW TABLES LIKE 'incident_%'"],
  ["columns but one", "SELECT * EXCEPT (statement) FROM commands"],
  ["numbers", "SELECT number FROM numbers(3)"],
  [
    "all the incident views",
    "SELECT (SELECT count() FROM incident_who), (SELECT count() FROM incident_path), (SELECT count() FROM incident_decisions), (SELECT count() FROM incident_evidence), (SELECT count() FROM incident_timeline)",
  ],
];
test.each(allowed)("query-allowed: %s", async (_name, sql) => {
  await expect(asked(sql)).resolves.toMatchObject({ truncated: false });
});

/** Ways out, and words that each refusal must say. */
const evasions: [name: string, sql: string, says: RegExp][] = [
  ["file()", "SELECT * FROM file('/etc/passwd', 'LineAsString')", /table function file/],
  ["file() as a value", "SELECT file('/etc/passwd')", /function file/],
  ["file() quoted", "SELECT * FROM `file`('/etc/passwd', 'LineAsString')", /table function file/],
  ["file() in other case", "SELECT * FROM File('/etc/passwd', 'LineAsString')", /table function File|not allowed/],
  ["file() after a comment", "SELECT * FROM /* x */ file /* y */ ('/etc/passwd')", /table function file/],
  [
    "file() below",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM file('/etc/passwd', 'LineAsString')))",
    /table function file/,
  ],
  [
    "file() in WITH",
    "WITH x AS (SELECT * FROM file('/etc/passwd', 'LineAsString')) SELECT * FROM x",
    /table function file/,
  ],
  ["file() in a scalar WITH", "WITH (SELECT file('/etc/passwd')) AS x SELECT x", /function file/],
  ["file() in UNION", "SELECT '' UNION ALL SELECT * FROM file('/etc/passwd', 'LineAsString')", /table function file/],
  ["file() in EXISTS", "SELECT EXISTS(SELECT * FROM file('/etc/passwd', 'LineAsString'))", /table function file/],
  [
    "file() in JOIN",
    "SELECT * FROM sessions JOIN file('/etc/passwd', 'LineAsString') AS f ON 1",
    /table function file/,
  ],
  ["file() in ON", "SELECT * FROM sessions a JOIN sessions b ON a.principal = file('/etc/passwd')", /function file/],
  ["file() in a window", "SELECT count() OVER (ORDER BY file('/etc/passwd')) FROM sessions", /function file/],
  ["file() in a lambda", "SELECT arrayMap(x -> file(x), ['/etc/passwd'])", /function file/],
  ["file() in WITH FILL", "SELECT 1 AS a ORDER BY a WITH FILL FROM 1 TO length(file('/etc/passwd'))", /function file/],
  ["file() in REPLACE", "SELECT * REPLACE (file('/etc/passwd') AS principal) FROM sessions", /not allowed/],
  ["APPLY", "SELECT * APPLY (x -> file('/etc/passwd')) FROM sessions", /not allowed/],
  ["COLUMNS APPLY", "SELECT COLUMNS('principal') APPLY file FROM sessions", /not allowed/],
  ["file() described", "DESCRIBE TABLE file('/etc/passwd', 'LineAsString')", /table function file/],
  ["file() explained", "EXPLAIN SELECT * FROM file('/etc/passwd', 'LineAsString')", /table function file/],
  ["EXPLAIN as a table", "SELECT * FROM (EXPLAIN SELECT * FROM file('/etc/passwd', 'LineAsString'))", /not allowed/],
  ["url()", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", /table function url/],
  ["remote()", "SELECT * FROM remote('127.0.0.1', 'storage.event_log')", /table function remote/],
  ["remoteSecure()", "SELECT * FROM remoteSecure('127.0.0.1', 'storage', 'event_log')", /table function/],
  ["merge()", "SELECT * FROM merge('storage', '.*')", /table function merge/],
  ["merge() with one argument", "SELECT * FROM merge('.*')", /table function merge/],
  ["view()", "SELECT * FROM view(SELECT * FROM storage.event_log)", /table function view/],
  ["executable()", "SELECT * FROM executable('x', 'TSV', 'a String')", /table function/],
  ["s3()", "SELECT * FROM s3('http://127.0.0.1/x')", /table function/],
  ["postgresql()", "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')", /table function/],
  ["sqlite()", "SELECT * FROM sqlite('/tmp/x.db', 't')", /table function/],
  ["mergeTreeIndex()", "SELECT * FROM mergeTreeIndex('storage', 'event_log')", /table function/],
  ["dictionary()", "SELECT * FROM dictionary('x')", /table function/],
  ["generateRandom()", "SELECT * FROM generateRandom('a UInt8')", /table function/],
  ["numbers with a table inside", "SELECT * FROM numbers((SELECT count() FROM storage.event_log))", /storage/],
  ["INTO OUTFILE", "SELECT 1 INTO OUTFILE '/tmp/sallyport-evasion'", /INTO OUTFILE/],
  [
    "INTO OUTFILE with more",
    "SELECT 1 INTO OUTFILE '/tmp/sallyport-evasion' TRUNCATE COMPRESSION 'gzip' FORMAT CSV",
    /INTO OUTFILE/,
  ],
  ["FORMAT", "SELECT 1 FORMAT CSV", /FORMAT/],
  ["SETTINGS", "SELECT 1 SETTINGS max_execution_time = 0", /SETTINGS|settings/],
  ["SETTINGS below", "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)", /SETTINGS|settings/],
  ["SETTINGS of DESCRIBE", "DESCRIBE TABLE commands SETTINGS max_threads = 9", /DESCRIBE|settings/],
  ["SETTINGS of EXPLAIN", "EXPLAIN SELECT 1 SETTINGS readonly = 0", /SETTINGS|settings/],
  ["SET", "SET readonly = 0", /only SELECT/],
  ["two statements", "SELECT 1; SELECT 2", /[Mm]ulti-statements/],
  ["two statements, hidden", "SELECT 1 /* ; */ ; DROP TABLE storage.event_log", /[Mm]ulti-statements/],
  ["after an empty line", "SELECT 1\n\nDROP TABLE storage.event_log", /[Ss]yntax error/],
  ["INSERT", "INSERT INTO storage.event_log (ord) VALUES (1)", /only SELECT|Cannot|not/],
  ["INSERT SELECT", "INSERT INTO storage.event_log (ord) SELECT 1", /only SELECT/],
  ["INSERT INTO FUNCTION", "INSERT INTO FUNCTION file('/tmp/sallyport-evasion') SELECT 1", /only SELECT/],
  ["CREATE", "CREATE TABLE t (a Int8) ENGINE = Memory", /only SELECT/],
  ["CREATE FUNCTION", "CREATE FUNCTION f AS x -> file(x)", /only SELECT/],
  ["ALTER", "ALTER TABLE storage.event_log DELETE WHERE 1", /only SELECT/],
  ["DELETE", "DELETE FROM storage.event_log WHERE 1", /only SELECT/],
  ["TRUNCATE", "TRUNCATE TABLE storage.event_log", /only SELECT/],
  ["DROP", "DROP TABLE storage.event_log", /only SELECT/],
  ["OPTIMIZE", "OPTIMIZE TABLE storage.event_log", /only SELECT/],
  ["SYSTEM", "SYSTEM SHUTDOWN", /only SELECT/],
  ["KILL", "KILL QUERY WHERE 1", /only SELECT/],
  ["BACKUP", "BACKUP DATABASE storage TO File('/tmp/sallyport-evasion')", /only SELECT/],
  ["ATTACH", "ATTACH TABLE t FROM '/tmp' (a Int8) ENGINE = File(CSV)", /only SELECT|[Ss]yntax/],
  ["USE", "USE storage", /only SELECT/],
  ["SHOW CREATE", "SHOW CREATE TABLE storage.event_log", /only SELECT/],
  ["SHOW TABLES FROM", "SHOW TABLES FROM storage", /SHOW TABLES/],
  ["SHOW DATABASES", "SHOW DATABASES", /SHOW TABLES/],
  ["SHOW CLUSTERS", "SHOW CLUSTERS", /SHOW TABLES/],
  ["SHOW SETTINGS", "SHOW CHANGED SETTINGS LIKE '%'", /SHOW TABLES/],
  ["SHOW DICTIONARIES", "SHOW DICTIONARIES", /SHOW TABLES/],
  ["SHOW TABLES with a question", "SHOW TABLES WHERE file('/etc/passwd') != ''", /SHOW TABLES/],
  ["SHOW PROCESSLIST", "SHOW PROCESSLIST", /only SELECT/],
  ["PARALLEL WITH", "SELECT 1 PARALLEL WITH DROP TABLE storage.event_log", /only SELECT/],
  ["EXPLAIN of a statement", "EXPLAIN AST DROP TABLE storage.event_log", /only SELECT/],
  ["EXPLAIN with settings", "EXPLAIN PLAN indexes = 1 SELECT 1", /EXPLAIN/],
  ["the storage", "SELECT * FROM storage.event_log", /storage/],
  ["the storage, quoted", "SELECT * FROM `storage`.`event_log`", /storage/],
  ["the storage, in double quotes", 'SELECT * FROM "storage"."event_log"', /storage/],
  ["the storage, with spaces", "SELECT * FROM storage . event_log", /storage/],
  ["the storage, as unicode", "SELECT * FROM `\\x73torage`.event_log", /storage/],
  ["the storage in IN", "SELECT 1 WHERE 1 IN storage.projection_positions", /storage/],
  ["the storage in GLOBAL NOT IN", "SELECT 1 WHERE 1 GLOBAL NOT IN (storage.projection_positions)", /storage/],
  ["the storage described", "DESCRIBE TABLE storage.event_log", /storage/],
  ["raw bodies", "SELECT body FROM event_log", /body|identifier/i],
  ["raw bodies through the view's source", "SELECT storage.event_log.body FROM event_log", /storage/],
  ["the other readers' database", "SELECT statement FROM log_revealed.commands", /log_revealed/],
  ["the other readers' database in IN", "SELECT 1 WHERE ('', 1) IN log_revealed.commands", /log_revealed/],
  ["a name as parameter", "SELECT * FROM {table:Identifier}", /parameter|[Ss]ubstitution/],
  ["a name as parameter, spaced", "SELECT * FROM { table : Identifier }", /parameter|[Ss]ubstitution/],
  ["system tables", "SELECT * FROM system.tables", /system/],
  ["system settings", "SELECT * FROM system.settings", /system/],
  ["system query log in IN", "SELECT 1 WHERE 'x' IN system.databases", /system/],
  ["information_schema", "SELECT * FROM information_schema.tables", /information_schema/],
  ["INFORMATION_SCHEMA", "SELECT * FROM INFORMATION_SCHEMA.TABLES", /INFORMATION_SCHEMA/],
  ["dictGet", "SELECT dictGet('x', 'y', 1)", /function dictGet/],
  ["joinGet", "SELECT joinGet('storage.event_log', 'body', 1)", /function joinGet/],
  ["hasColumnInTable", "SELECT hasColumnInTable('storage', 'event_log', 'body')", /function hasColumnInTable/],
  ["getSetting", "SELECT getSetting('readonly')", /function getSetting/],
  ["hostName", "SELECT hostName()", /function hostName/],
  ["a parameter of an aggregate", "SELECT quantile(length(file('/etc/passwd')))(1)", /function file/],
  ["sleep", "SELECT sleep(3)", /function sleep/],
  ["sleepEachRow", "SELECT sleepEachRow(1) FROM numbers(10)", /function sleepEachRow/],
  ["throwIf", "SELECT throwIf(1)", /function throwIf/],
  ["a name with line ends that look like nodes", "SELECT `x\n   Literal 'y'`, file('/etc/passwd')", /file|taken apart/],
  [
    "a name that closes its own node",
    "SELECT `x (children 1)\n    Literal 1` FROM file('/etc/passwd', 'LineAsString')",
    /file|taken apart/,
  ],
  ["an unknown function", "SELECT someFunctionOfTomorrow()", /someFunctionOfTomorrow/],
  ["nothing", "   ", /no question/],
];
test.each(evasions)("query-refused: %s", async (_name, sql, says) => {
  await expect(asked(sql)).rejects.toThrow(says);
});

test("query-refused: nothing was written on the way", async () => {
  const { existsSync } = await import("node:fs");
  expect(existsSync("/tmp/sallyport-evasion")).toBe(false);
  const tables = await clickhouse.work.rows("SELECT name FROM system.tables WHERE database = 'storage' ORDER BY name");
  expect(tables).toContainEqual({ name: "event_log" });
  expect(tables).not.toContainEqual({ name: "t" });
});

test("query-parameters: values, of this question only", async () => {
  const answer = await asked("SELECT {a:String} AS a, {n:UInt8} + 1 AS n", { a: "it's \\ {x}\n", n: "41" });
  expect(answer).toEqual({
    names: ["a", "n"],
    types: ["String", "UInt16"],
    rows: ['["it\'s \\\\ {x}\\n", 42]'],
    truncated: false,
  });
  await expect(asked("SELECT {a:String}")).rejects.toThrow(/ubstitution/);
  await expect(asked("SELECT 1", { "a = 1, b": "x" })).rejects.toThrow(/parameter's name/);
});

test("query-limits: rows, bytes, time and memory", async () => {
  expect(await asked("SELECT number FROM numbers(5000)")).toMatchObject({ truncated: true, rows: { length: 1_000 } });
  expect(await asked("SELECT number FROM numbers(5000)", {}, "log", 3)).toMatchObject({
    truncated: true,
    rows: ["[0]", "[1]", "[2]"],
  });
  await expect(asked("SELECT repeat('x', 100000) FROM numbers(900)")).rejects.toMatchObject({ code: "exhausted" });
  await expect(asked("SELECT uniqExact(number) FROM numbers(100000000)")).rejects.toMatchObject({
    code: expect.stringMatching(/exhausted|deadline/),
  });
  await expect(asked("SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3")).rejects.toMatchObject({
    code: "deadline",
  });
}, 30_000);

test("query-cancelled: a question whose reader went away runs no longer", async () => {
  const gone = new AbortController();
  const question = "SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3";
  const answer = asked(question, {}, "log", 0, gone.signal).catch((error: AppError) => error.code);
  const running = () =>
    clickhouse.read.rows("SELECT 1 FROM system.processes WHERE query LIKE '/* person%numbers(1000000000000)%'");
  await eventually(async () => (await running()).length > 0);
  gone.abort();
  expect(await answer).toBe("deadline");
  await eventually(async () => (await running()).length === 0);
});

test("query-errors: readable, without what is beneath", async () => {
  const error = await asked("SELECT nothing FROM commands").catch((e: Error) => e.message);
  expect(error).toContain("nothing");
  expect(error).not.toMatch(/storage\.|DB::Exception|version/);
});

test("query-databases: the same question, two readers", async () => {
  await clickhouse.work.run(
    `INSERT INTO storage.command_facts (session_id, command, at, admitted_at, unit, text, verdict_id) VALUES ('two', 1, now64(6), now64(6), 'simple-query', 'SELECT ''4000123412341234''', 'v')`,
  );
  await clickhouse.work.run(
    `INSERT INTO storage.verdict_facts (session_id, seq, verdict_id, outcome, normalized) VALUES ('two', 1, 'v', 'forward', 'SELECT $1')`,
  );
  const sql = "SELECT statement FROM commands WHERE session_id = 'two'";
  expect((await asked(sql)).rows).toEqual(['["SELECT $1"]']);
  expect((await asked(sql, {}, "log_revealed")).rows).toEqual(["[\"SELECT '4000123412341234'\"]"]);
});
