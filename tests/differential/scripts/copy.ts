import type { Script } from "../compare.ts";
import type { Message } from "../messages.ts";

const S: Message = ["S"];
const query = (...texts: string[]): Message[] => texts.map((sql): Message => ["Q", sql]);
const single = (name: string, ...texts: string[]): Script => ({
  name,
  turns: query(...texts).map((message) => ({ say: [message] })),
});
const extended = (sql: string): Message[] => [
  ["P", "", sql],
  ["B", "", ""],
  ["D", "P", ""],
  ["E", ""],
];

const INTO = "COPY changing FROM STDIN";
const lines = (from: number, count: number): Message[] =>
  Array.from({ length: count }, (_, i): Message => ["d", `${from + i}\tcopied\n`]);
/** Signature, flags, no extension; one row of an int4 and a text; the trailer. */
const BINARY =
  "5047434f50590aff0d0a00" +
  "00000000" +
  "00000000" +
  "0002" +
  "00000004" +
  "000003e7" +
  "00000003" +
  "626164" +
  "ffff";

/** A COPY FROM in a transaction that is rolled back. */
const into = (name: string, data: Message[], sql = INTO): Script => ({
  name,
  turns: [
    { say: query("BEGIN") },
    { say: query(sql), until: "G" },
    { say: data, until: "Z" },
    { say: query("SELECT count(*), max(word) FROM changing") },
    { say: query("ROLLBACK") },
  ],
});

const piped = (name: string, data: Message[], sql = INTO): Script => ({
  name,
  turns: [
    { say: query("BEGIN") },
    { say: [...extended(sql), ["H"]], until: "G" },
    { say: data, until: "Z" },
    { say: query("SELECT count(*), max(word) FROM changing") },
    { say: query("ROLLBACK") },
  ],
});

/** COPY both ways, in every format, with failures of either side. */
export const copy: readonly Script[] = [
  single(
    "to stdout as text",
    "COPY things TO STDOUT",
    "COPY (SELECT id, word FROM things ORDER BY id) TO STDOUT (NULL 'none', DELIMITER '|')",
  ),
  single(
    "to stdout as csv",
    "COPY things TO STDOUT (FORMAT csv, HEADER)",
    "COPY (SELECT word, tags FROM things) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
  ),
  single(
    "to stdout as binary",
    "COPY things TO STDOUT (FORMAT binary)",
    "COPY (SELECT made, doc FROM things) TO STDOUT BINARY",
  ),
  single(
    "to stdout, nothing and nobody",
    "COPY (SELECT 1 WHERE false) TO STDOUT",
    "COPY no_such_table TO STDOUT",
    "COPY things TO STDOUT (FORMAT nonsense)",
    "SELECT 1",
  ),
  single(
    "to stdout, failing after rows",
    "COPY (SELECT fails(id) FROM things ORDER BY id) TO STDOUT",
    "COPY (SELECT 10 / (5 - id) FROM things WHERE id < 9 ORDER BY id) TO STDOUT (FORMAT binary)",
    "SELECT 1",
  ),
  single("to stdout among others", "SELECT 1; COPY (SELECT 2) TO STDOUT; SELECT 3; COPY (SELECT 4) TO STDOUT"),
  single(
    "to stdout, returning",
    "BEGIN",
    "COPY (UPDATE changing SET word = 'r' WHERE id < 4 RETURNING id, word) TO STDOUT",
    "ROLLBACK",
  ),
  single("to stdout, much", "COPY (SELECT n, repeat('z', 200) FROM generate_series(1, 20000) n) TO STDOUT"),
  {
    name: "to stdout in the extended protocol",
    turns: [
      { say: [...extended("COPY changing TO STDOUT"), S] },
      { say: [["P", "", "COPY changing TO STDOUT (FORMAT binary)"], ["B", "", "", [], [], [1]], ["E", "", 3], S] },
      { say: [...extended("COPY (SELECT fails(id) FROM things ORDER BY id) TO STDOUT"), ...extended("SELECT 1"), S] },
    ],
  },
  {
    name: "to stdout, cancelled",
    turns: [
      { say: query("COPY (SELECT pg_sleep(30), 'cancel-me-4') TO STDOUT"), cancelWhen: "cancel-me-4" },
      ...query("SELECT 1").map((message) => ({ say: [message] })),
    ],
  },
  into("from stdin", [...lines(200, 3), ["c"]]),
  into("from stdin, nothing", [["c"]]),
  into("from stdin with the old end", [["d", "210\tx\n\\.\n"], ["c"]]),
  into("from stdin in strange pieces", [
    ["d", "22"],
    ["d", ""],
    ["d", "0\tco"],
    ["d", "pied\n221\ttwo\n222\tthr"],
    ["d", "ee\n"],
    ["c"],
  ]),
  into("from stdin without a last line feed", [["d", "223\tlast"], ["c"]]),
  into(
    "from stdin, csv",
    [["d", 'id,word\n230,"a ""quoted"" one"\n231,"two\nlines"\n'], ["c"]],
    "COPY changing FROM STDIN (FORMAT csv, HEADER)",
  ),
  into("from stdin, binary", [["d", { hex: BINARY }], ["c"]], "COPY changing FROM STDIN (FORMAT binary)"),
  into(
    "from stdin, binary and wrong",
    [["d", "this is not binary at all"], ["c"]],
    "COPY changing FROM STDIN (FORMAT binary)",
  ),
  into(
    "from stdin with columns and a condition",
    [["d", "240\n241\n"], ["c"]],
    "COPY changing (id) FROM STDIN WHERE id > 240",
  ),
  into(
    "from stdin, ignoring errors",
    [["d", "a\tb\n250\tgood\nc\td\n"], ["c"]],
    "COPY changing FROM STDIN (ON_ERROR ignore, LOG_VERBOSITY verbose)",
  ),
  into("from stdin, the client gives up", [...lines(260, 2), ["f", "I have changed my mind: ä"]]),
  into("from stdin, the client gives up at once", [["f", ""]]),
  into("from stdin, the server gives up at the end", [["d", "1\tduplicate\n"], ["c"]]),
  into("from stdin, the server gives up in the middle", [
    ["d", "270\tgood\n"],
    ["d", "not a number\tx\n"],
    ...lines(271, 5),
    ["c"],
  ]),
  into("from stdin, the server gives up, then the client does", [
    ["d", "not a number\tx\n"],
    ["f", "late"],
  ]),
  into("from stdin, too many columns", [["d", "280\ta\tb\n"], ["c"]]),
  into("from stdin, not UTF-8", [["d", { hex: "32383109ff0a" }], ["c"]]),
  into("from stdin with Flush and Sync between", [["d", "290\tx\n"], ["H"], S, ["d", "291\ty\n"], ["c"]]),
  into("from stdin, much", [
    ...Array.from({ length: 200 }, (_, i): Message => [
      "d",
      Array.from({ length: 200 }, (__, k) => `${1000 + i * 200 + k}\t${"w".repeat(30)}\n`).join(""),
    ]),
    ["c"],
  ]),
  piped("from stdin in the extended protocol", [...lines(300, 3), ["c"], S]),
  piped("from stdin in the extended protocol, the client gives up", [...lines(310, 2), ["f", "no"], S]),
  piped("from stdin in the extended protocol, the server gives up", [["d", "bad\tx\n"], ...lines(320, 2), ["c"], S]),
  piped("from stdin in the extended protocol, then more of the pipeline", [
    ...lines(330, 2),
    ["c"],
    ...extended("SELECT 'behind'"),
    S,
  ]),
  piped("from stdin in the extended protocol, failed, and more of the pipeline", [
    ["f", "no"],
    ...extended("SELECT 'skipped'"),
    S,
  ]),
  {
    name: "from stdin, all in one write",
    turns: [
      { say: query("BEGIN") },
      { say: [["Q", INTO], ...lines(340, 3), ["c"], ["Q", "SELECT count(*) FROM changing"]], until: "ZZ" },
      { say: query("ROLLBACK") },
    ],
  },
  {
    name: "from stdin, all in one write, refused by the server",
    turns: [
      { say: query("BEGIN") },
      { say: [["Q", "COPY no_such_table FROM STDIN"], ...lines(350, 3), ["c"], ["Q", "SELECT 1"]], until: "ZZ" },
      { say: query("ROLLBACK") },
    ],
  },
  {
    name: "from stdin, extended, all in one write",
    turns: [
      { say: query("BEGIN") },
      {
        say: [...extended(INTO), ...lines(360, 3), ["c"], S, ...extended("SELECT count(*) FROM changing"), S],
        until: "ZZ",
      },
      { say: query("ROLLBACK") },
    ],
  },
  {
    name: "from stdin, extended, Sync behind Execute before the data",
    turns: [
      { say: query("BEGIN") },
      { say: [...extended(INTO), S], until: "G" },
      { say: [...lines(370, 2), ["c"], S], until: "Z" },
      { say: query("SELECT count(*) FROM changing", "ROLLBACK") },
    ],
  },
  {
    name: "from stdin among others",
    turns: [
      { say: query("BEGIN") },
      { say: query("SELECT 1; COPY changing FROM STDIN; SELECT 2; COPY changing FROM STDIN; SELECT 3"), until: "G" },
      { say: [["d", "380\ta\n"], ["c"]], until: "G" },
      { say: [["d", "381\tb\n"], ["c"]], until: "Z" },
      { say: query("ROLLBACK") },
    ],
  },
  {
    name: "from stdin among others, the first fails",
    turns: [
      { say: query("BEGIN") },
      { say: query("COPY changing FROM STDIN; SELECT 2"), until: "G" },
      { say: [["f", "no"]], until: "Z" },
      { say: query("ROLLBACK") },
    ],
  },
  {
    name: "data that nobody has asked for",
    turns: [{ say: [["d", "stray\n"], ["c"], ["f", "x"], ["Q", "SELECT 1"]] }, { say: [["c"], S] }],
  },
];
