import type { Script } from "../compare.ts";
import type { Message } from "../messages.ts";

const S: Message = ["S"];
const H: Message = ["H"];
const run = (sql: string, ...parameters: (string | null)[]): Message[] => [
  ["P", "", sql],
  ["B", "", "", parameters],
  ["D", "P", ""],
  ["E", ""],
];
const script = (name: string, ...turns: Message[][]): Script => ({ name, turns: turns.map((say) => ({ say })) });

const READ = "SELECT id, word FROM things ORDER BY id";
const TYPES = "SELECT id, word, amount, flag, made, data, doc, tags, share FROM things WHERE id < 30 ORDER BY id";

/** The extended protocol: names, formats, limits, pipelines, errors inside them. */
export const extended: readonly Script[] = [
  script("one of each", [...run("SELECT $1::integer + 1 AS sum, $2 AS word", "41", "x"), S]),
  script("no result, no row, an empty text", [
    ...run("BEGIN"),
    ...run("SELECT 1 WHERE false"),
    ...run(""),
    ...run("ROLLBACK"),
    S,
  ]),
  script(
    "a description of a statement",
    [["P", "s", "SELECT id, word FROM things WHERE id = $1 AND word <> $2"], ["D", "S", "s"], S],
    [["P", "n", "DELETE FROM changing WHERE id = $1"], ["D", "S", "n"], ["D", "S", "s"], S],
    [["D", "S", "nobody"], S],
    [["D", "P", "nobody"], S],
  ),
  script(
    "types that the client names",
    [["P", "", "SELECT $1, $2", 23, 1043], ["D", "S", ""], ["B", "", "", ["7", "x"]], ["D", "P", ""], ["E", ""], S],
    [["P", "", "SELECT $1", 999_999], S],
    [["P", "", "SELECT $1"], ["D", "S", ""], S],
    [["P", "", "SELECT $2::text"], ["D", "S", ""], S],
  ),
  script(
    "a named statement, bound often",
    [["P", "often", "SELECT word FROM things WHERE id = $1"], S],
    [["B", "", "often", ["1"]], ["E", ""], ["B", "", "often", ["2"]], ["E", ""], S],
    [["B", "", "often", [null]], ["D", "P", ""], ["E", ""], S],
    [["C", "S", "often"], S],
    [["B", "", "often", ["1"]], S],
  ),
  script(
    "a name twice",
    [["P", "twice", "SELECT 1"], S],
    [["P", "twice", "SELECT 2"], S],
    [["B", "", "twice"], ["E", ""], S],
  ),
  script("Close of what is not there", [
    ["C", "S", "nothing"],
    ["C", "P", "nothing"],
    ["C", "S", ""],
    ["C", "P", ""],
    S,
  ]),
  script("binary results", [["P", "", TYPES], ["B", "", "", [], [], [1]], ["D", "P", ""], ["E", ""], S]),
  script("mixed result formats", [
    ["P", "", TYPES],
    ["B", "", "", [], [], [0, 1, 0, 1, 0, 1, 0, 1, 0]],
    ["D", "P", ""],
    ["E", ""],
    S,
  ]),
  script(
    "too few, too many and unknown formats",
    [["P", "", TYPES], ["B", "", "", [], [], [1, 0]], S],
    [["P", "", "SELECT 1"], ["B", "", "", [], [], [1, 1]], S],
  ),
  script(
    "binary parameters",
    [
      ["P", "", "SELECT $1::integer, $2::text, $3::bytea, $4::bigint", 23, 25, 17, 20],
      ["B", "", "", [{ hex: "0000002a" }, { hex: "c3a4" }, { hex: "00ff00" }, { hex: "00000000000000ff" }], [1], [1]],
      ["D", "P", ""],
      ["E", ""],
      S,
    ],
    [
      ["P", "", "SELECT $1::integer, $2::text", 23, 25],
      ["B", "", "", [{ hex: "00000007" }, "t"], [1, 0]],
      ["E", ""],
      S,
    ],
    [["P", "", "SELECT $1::integer", 23], ["B", "", "", [{ hex: "00002a" }], [1]], S],
  ),
  script(
    "wrong parameters",
    [["P", "p2", "SELECT $1::integer, $2::integer"], S],
    [["B", "", "p2", ["1"]], S],
    [["B", "", "p2", ["1", "2", "3"]], S],
    [["B", "", "p2", ["1", "x"]], S],
    [["B", "", "p2", ["1", "2"]], ["E", ""], S],
  ),
  script("a portal with a limit", [["P", "", READ], ["B", "", ""], ["E", "", 10], ["E", "", 10], ["E", "", 0], S]),
  script(
    "a portal with limits over turns in a transaction",
    [["Q", "BEGIN"]],
    [["P", "", READ], ["B", "part", ""], ["D", "P", "part"], ["E", "part", 3], S],
    [["E", "part", 200], S],
    [["E", "part", 200], ["E", "part", 5], S],
    [["C", "P", "part"], ["E", "part"], S],
    [["Q", "ROLLBACK"]],
  ),
  script("a limit that is the number of rows", [
    ["P", "", "SELECT n FROM generate_series(1, 4) n"],
    ["B", "", ""],
    ["E", "", 4],
    ["E", "", 4],
    ["E", "", 1],
    S,
  ]),
  script("a negative limit", [["P", "", "SELECT n FROM generate_series(1, 4) n"], ["B", "", ""], ["E", "", -1], S]),
  script(
    "limits of what is no query",
    [["Q", "BEGIN"]],
    [
      ["P", "", "UPDATE changing SET word = 'l' WHERE id < 5 RETURNING id"],
      ["B", "", ""],
      ["E", "", 2],
      ["E", "", 0],
      S,
    ],
    [["P", "", "INSERT INTO changing VALUES (70)"], ["B", "", ""], ["E", "", 1], ["E", "", 1], S],
    [["Q", "ROLLBACK"]],
  ),
  script(
    "Execute of a finished portal",
    [...run("SELECT 1"), ["E", ""], S],
    [["Q", "BEGIN"]],
    [["P", "", "SHOW timezone"], ["B", "u", ""], ["E", "u"], ["E", "u"], S],
    [["Q", "ROLLBACK"]],
  ),
  script(
    "a portal is gone with its transaction",
    [["P", "", READ], ["B", "gone", ""], ["E", "gone", 2], S],
    [["E", "gone", 2], S],
    [["Q", "SELECT 1"]],
  ),
  script("several portals interleaved", [
    ["P", "", READ],
    ["B", "a", ""],
    ["B", "b", ""],
    ["E", "a", 2],
    ["E", "b", 3],
    ["E", "a", 2],
    ["D", "P", "b"],
    ["C", "P", "a"],
    ["E", "b", 1],
    S,
  ]),
  script(
    "a portal's name twice",
    [["P", "", READ], ["B", "same", ""], ["B", "same", ""], S],
    [["B", "", ""], ["B", "", ""], ["E", "", 1], S],
  ),
  script(
    "a portal over a cursor of SQL",
    [["Q", "BEGIN; DECLARE sqlc CURSOR FOR SELECT id FROM things ORDER BY id"]],
    [["D", "P", "sqlc"], S],
    [["Q", "ROLLBACK"]],
  ),
  script("an error at Parse skips to Sync", [
    ["P", "", "SELEC 1"],
    ["B", "", ""],
    ["E", ""],
    H,
    S,
    ...run("SELECT 2"),
    S,
  ]),
  script(
    "errors of names skip to Sync",
    [["P", "", "SELECT * FROM no_such_table"], ["B", "", ""], ["D", "P", ""], ["E", ""], S],
    [...run("SELECT 1"), S],
  ),
  script(
    "an error at Bind skips to Sync",
    [["P", "x", "SELECT $1::integer"], ["B", "", "x", ["no"]], ["E", ""], ["P", "y", "SELECT 1"], S],
    [["B", "", "y"], S],
    [["B", "", "x", ["3"]], ["E", ""], S],
  ),
  script("an error at Execute skips to Sync", [
    ...run("SELECT 1"),
    ...run("SELECT 10 / (3 - id) FROM things WHERE id < 6 ORDER BY id"),
    ...run("SELECT 2"),
    S,
    ...run("SELECT 3"),
    S,
  ]),
  script(
    "an implicit transaction is one up to Sync",
    [...run("INSERT INTO changing VALUES (80)"), ...run("SELECT count(*) FROM changing"), ...run("SELECT 1 / 0"), S],
    [["Q", "SELECT count(*) FROM changing WHERE id = 80"]],
  ),
  script("a transaction inside a pipeline", [
    ...run("BEGIN"),
    ...run("INSERT INTO changing VALUES (81)"),
    ...run("ROLLBACK"),
    ...run("SELECT count(*) FROM changing WHERE id = 81"),
    S,
  ]),
  script(
    "a failed transaction over Syncs",
    [...run("BEGIN"), S],
    [...run("SELECT 1 / 0"), S],
    [...run("SELECT 1"), S],
    [["P", "", "SELECT 1"], S],
    [["B", "", ""], S],
    [...run("ROLLBACK"), S],
    [...run("SELECT 2"), S],
  ),
  script(
    "savepoints in a pipeline",
    [...run("BEGIN"), ...run("SAVEPOINT a"), ...run("SELECT 1 / 0"), S],
    [...run("ROLLBACK TO SAVEPOINT a"), ...run("SELECT 5"), S],
    [...run("COMMIT"), S],
  ),
  {
    name: "Flush",
    turns: [
      { say: [["P", "f", READ], H], until: "1" },
      { say: [["D", "S", "f"], H], until: "T" },
      { say: [["B", "", "f"], H], until: "2" },
      { say: [["E", "", 2], H], until: "s" },
      { say: [["E", "", 1], H], until: "s" },
      { say: [S] },
    ],
  },
  {
    name: "Flush after an error",
    turns: [
      { say: [["P", "", "SELECT 1 / 0"], ["B", "", ""], ["E", ""], H], until: "E" },
      { say: [["P", "", "SELECT 1"], H, ["B", "", ""], S] },
    ],
  },
  { name: "Sync alone, and many", turns: [{ say: [S] }, { say: [S, S, S] }, { say: [H, S] }] },
  {
    name: "cycles without waiting",
    turns: [
      {
        say: Array.from({ length: 50 }, (_, i): Message[] => [
          ["P", "", "SELECT $1::integer * 2"],
          ["B", "", "", [String(i)]],
          ["D", "P", ""],
          ["E", ""],
          S,
        ]).flat(),
      },
    ],
  },
  {
    name: "cycles without waiting, every third fails",
    turns: [
      {
        say: Array.from({ length: 45 }, (_, i): Message[] => [
          ...run("SELECT fails($1)", String(i)),
          ...run("SELECT 'behind'"),
          S,
        ]).flat(),
      },
    ],
  },
  {
    name: "a thousand statements in one cycle",
    turns: [
      {
        say: [
          ...Array.from({ length: 1000 }, (_, i): Message[] => [
            ["P", "", "SELECT $1::integer"],
            ["B", "", "", [String(i)]],
            ["E", ""],
          ]).flat(),
          S,
        ],
      },
    ],
  },
  script(
    "simple and extended mixed",
    [["P", "m", "SELECT 1"], ["Q", "SELECT 2"], ["B", "", "m"], ["E", ""], S],
    [["B", "pp", "m"], ["Q", "SELECT 3"], ["E", "pp"], S],
  ),
  script(
    "a simple query ends an extended pipeline",
    [...run("INSERT INTO changing VALUES (90)"), ["Q", "ROLLBACK"], S],
    [["Q", "SELECT count(*) FROM changing WHERE id = 90; DELETE FROM changing WHERE id = 90"]],
  ),
  script(
    "a simple query takes the unnamed statement",
    [["P", "", "SELECT 1"], S],
    [["Q", "SELECT 2"]],
    [["B", "", ""], S],
  ),
  script(
    "an SQL EXECUTE of a protocol statement, and DEALLOCATE",
    [["P", "shared", "SELECT $1::integer + 1"], S],
    [["Q", "EXECUTE shared(4)"]],
    [["Q", "DEALLOCATE shared"]],
    [["B", "", "shared", ["1"]], S],
  ),
  script("several statements in a Parse", [["P", "", "SELECT 1; SELECT 2"], S], [...run("SELECT 1;"), S]),
  script(
    "settings and notices in a pipeline",
    [
      ...run("SET timezone = 'Asia/Tokyo'"),
      ...run("SELECT made FROM things WHERE id = 2"),
      ...run("SELECT say('in a pipeline')"),
      S,
    ],
    [...run("RESET timezone"), ...run("SHOW timezone"), S],
  ),
  script("an isolation level in a pipeline", [
    ...run("BEGIN"),
    ...run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
    ...run("SELECT count(*) FROM things"),
    ...run("COMMIT"),
    S,
  ]),
  script("definitions in a pipeline", [
    ...run("BEGIN"),
    ...run("CREATE TABLE piped (a integer)"),
    ...run("INSERT INTO piped VALUES (1), (2)"),
    ...run("SELECT count(*) FROM piped"),
    ...run("ROLLBACK"),
    S,
  ]),
  script(
    "a plan that changes its result",
    [["Q", "BEGIN; CREATE TEMP TABLE shape (a integer)"]],
    [["P", "st", "SELECT * FROM shape"], ["D", "S", "st"], S].slice(0, 1).concat([S]) as Message[],
    [["Q", "ALTER TABLE shape ADD b text"]],
    [["B", "", "st"], ["E", ""], S],
    [["Q", "ROLLBACK"]],
  ),
  script(
    "large parameters",
    [["P", "", "SELECT length($1), md5($1)"], ["B", "", "", ["x".repeat(3_000_000)]], ["E", ""], S],
    [["P", "", "SELECT length($1::bytea)", 17], ["B", "", "", [{ hex: "00".repeat(2_000_000) }], [1]], ["E", ""], S],
  ),
  script("many parameters", [
    ["P", "", `SELECT ${Array.from({ length: 500 }, (_, i) => `$${i + 1}::integer`).join(" + ")}`],
    ["B", "", "", Array.from({ length: 500 }, (_, i) => String(i))],
    ["E", ""],
    S,
  ]),
  script("a set-returning function and a procedure", [
    ...run("SELECT * FROM several($1)", "3"),
    ...run("CALL proceeds($1)", "1"),
    S,
  ]),
  script("CREATE TABLE AS and SELECT INTO", [
    ...run("BEGIN"),
    ...run("CREATE TEMP TABLE x1 AS SELECT id FROM things"),
    ...run("SELECT id INTO TEMP x2 FROM things WHERE id < 5"),
    ...run("ROLLBACK"),
    S,
  ]),
  {
    name: "a cancelled portal",
    turns: [
      { say: [...run("SELECT pg_sleep(30), 'cancel-me-3'"), ...run("SELECT 1"), S], cancelWhen: "cancel-me-3" },
      { say: [...run("SELECT 2"), S] },
    ],
  },
  script("Terminate in a pipeline", [["Q", "SELECT 1"]]),
];

/** Fast-path calls (section 54.2.6). */
export const functionCalls: readonly Script[] = [
  script("a function call in text", [["F", 1397, ["-5"], [], 0]], [["F", 871, ["abc"], [0], 0]]),
  script("a function call in binary", [["F", 1397, [{ hex: "fffffffb" }], [1], 1]], [["F", 871, [null], [], 1]]),
  script(
    "function calls that fail",
    [["F", 999_999, [], [], 0]],
    [["F", 1397, ["x"], [], 0]],
    [["F", 1397, [], [], 0]],
    [["Q", "SELECT 1"]],
  ),
  script(
    "function calls in a transaction and pipelined",
    [["Q", "BEGIN"]],
    [
      ["F", 1397, ["-7"]],
      ["F", 1397, ["y"]],
      ["F", 1397, ["-8"]],
      ["Q", "SELECT 1"],
    ],
    [["Q", "ROLLBACK"]],
  ),
];
