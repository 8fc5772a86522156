import { describe, expect, test } from "vitest";
import type { ColumnExecution, ResultMask } from "@sallyport/edge";
import { LinesMask } from "./copy-lines.ts";
import { BinaryMask } from "./copy-binary.ts";
import { copyFormatOf } from "./copy-options.ts";
import { copyQueryOf } from "./copy-query.ts";

const TAB = 9;
const text = { format: "text", delimiter: TAB, header: false };

describe("options that are understood", () => {
  test.each([
    ["COPY customers TO STDOUT", text],
    ["copy public.customers (id, email) to stdout;", text],
    ['COPY "Cus tomers" ("e mail") TO stdout', text],
    ["COPY t TO STDOUT WITH (FORMAT csv, HEADER)", { format: "csv", delimiter: 44, header: true }],
    [
      "COPY t TO STDOUT (FORMAT 'csv', HEADER false, DELIMITER ';', NULL 'nil')",
      { format: "csv", delimiter: 59, header: false },
    ],
    ["COPY t TO STDOUT CSV HEADER", { format: "csv", header: true }],
    ["COPY  t TO STDOUT with csv delimiter as '|' quote '''' escape '^'", { quote: 39, escape: 94, delimiter: 124 }],
    ["COPY t TO STDOUT (DELIMITER E'\\t')", text],
    ["COPY t TO STDOUT (ENCODING 'UTF8')", text],
    ["/* app='x' /* ; */ */ COPY t -- TO '/tmp/x'\n TO STDOUT /* */ CSV", { format: "csv" }],
    ["COPY t TO STDOUT BINARY", { format: "binary" }],
    ["COPY t TO STDOUT (FORMAT binary)", { format: "binary" }],
  ])("%s", (sql, expected) => expect(copyFormatOf(sql)).toMatchObject(expected));
});

describe("options that are not", () => {
  test.each([
    "COPY t TO STDOUT (FORMAT binary, HEADER)",
    "COPY t TO STDOUT (FORMAT binary, NULL '')",
    "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
    "COPY t TO STDOUT (ENCODING 'LATIN1')",
    "COPY t TO STDOUT (HEADER match)",
    "COPY t TO STDOUT (NULL E'\\x41')",
    "COPY t TO STDOUT; SELECT 1",
    "COPY t TO '/tmp/x'",
    "COPY t TO STDOUT -- (FORMAT csv)",
    "COPY t TO STDOUT /* CSV",
    "COPY t TO STDOUT (DELIMITER 'ab')",
    "COPY t TO STDOUT (QUOTE '|')",
    "SELECT 1",
  ])("%s", (sql) => expect(copyFormatOf(sql)).toBeUndefined());
});

const pass: ColumnExecution = { kind: "pass" };
const stars: ColumnExecution = {
  kind: "local",
  transform: (source, start, end, out) => {
    const hidden = "*".repeat(source.toString("utf8", start, end).length);
    out.reserve(hidden.length);
    return out.bytes.write(hidden, out.at);
  },
};
const echo: ColumnExecution = { kind: "remote" };
const mask = (...columns: ColumnExecution[]): ResultMask => ({
  planId: "p",
  passesAll: false,
  hasRemote: false,
  columns,
  classes: [],
  scrubText: true,
  staleSchema: false,
  disagreement: "",
  whole: [],
  everyColumn: [],
  remote: async (_, cells) => cells.map((c) => Buffer.from(`<${c.toString()}>`)),
});

const message = (payload: string | Buffer): Buffer => {
  const bytes = Buffer.concat([Buffer.from("d\0\0\0\0"), Buffer.from(payload)]);
  bytes.writeUInt32BE(bytes.length - 1, 1);
  return bytes;
};
function payloads(bytes: Buffer): string {
  let out = "";
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + bytes.readUInt32BE(at + 1);
    out += bytes.toString("utf8", at + 5, next);
    at = next;
  }
  return out;
}

async function masked(sql: string, columns: ColumnExecution[], data: string, cut?: number): Promise<string> {
  const format = copyFormatOf(sql);
  if (format === undefined || format.format === "binary") throw new Error("not understood");
  const copy = new LinesMask(mask(...columns), format);
  const parts = cut === undefined ? [data] : [data.slice(0, cut), data.slice(cut)];
  let out = "";
  for (const part of parts) {
    const bytes = message(part);
    out += payloads((await copy.take(bytes, 0, bytes.length)).bytes);
  }
  copy.finish();
  return out;
}

test("text: escapes, NULL and delimiters survive, whatever the cut", async () => {
  const data = "1\ta\\tb\\\\\t\\N\n2\t\\N\tä\\n\n";
  for (let cut = 0; cut <= data.length; cut++) {
    expect(await masked("COPY t TO STDOUT", [pass, echo, stars], data, cut)).toBe("1\t<a\\tb\\\\>\t\\N\n2\t\\N\t**\n");
  }
});

test("csv: quotes, line feeds in fields, NULL and the empty string", async () => {
  const data = 'id,mail,note\n1,"a ""q"" b","x\ny"\n2,,""\n';
  for (let cut = 0; cut <= data.length; cut++) {
    expect(await masked("COPY t TO STDOUT (FORMAT csv, HEADER)", [pass, echo, pass], data, cut)).toBe(
      'id,mail,note\n1,"<a ""q"" b>","x\ny"\n2,,""\n',
    );
  }
});

test("csv with its own quote and escape", async () => {
  const sql = "COPY t TO STDOUT CSV QUOTE '''' ESCAPE '^'";
  expect(await masked(sql, [echo, stars], "'a^'b,',cd\n")).toBe("'<a^'b,>',**\n");
});

describe("the query of a COPY is cut out as the server reads it", () => {
  test.each([
    ["COPY (SELECT 1) TO STDOUT", "SELECT 1"],
    ["copy(select (1)) to stdout (format csv)", "select (1)"],
    [" /* a /* b */ ( */ COPY -- (\n ( SELECT ')' , \")\" ) TO STDOUT", " SELECT ')' , \")\" "],
    ["COPY (SELECT E'\\')', ')''(' FROM t) TO STDOUT", "SELECT E'\\')', ')''(' FROM t"],
    ["COPY (SELECT '\\', ')') TO STDOUT", "SELECT '\\', ')'"],
    ["COPY (SELECT $$)$$, $a$ $$ ) $b$ $a$) TO STDOUT", "SELECT $$)$$, $a$ $$ ) $b$ $a$"],
    ["COPY (SELECT a$b$ FROM t /* ) */ -- )\n) TO STDOUT", "SELECT a$b$ FROM t /* ) */ -- )\n"],
    ["COPY (SELECT U&'\\0029' || B'1' || 1e'\\') TO STDOUT", "SELECT U&'\\0029' || B'1' || 1e'\\'"],
    ["COPY (SELECT 'ä)', \"ö)\", ü FROM t) TO STDOUT", "SELECT 'ä)', \"ö)\", ü FROM t"],
  ])("%s", (sql, query) => {
    expect(copyQueryOf(sql)?.query).toBe(query);
    expect(copyFormatOf(sql)).toBeDefined();
  });

  test.each([
    "COPY t (a, b) TO STDOUT",
    "COPYING (SELECT 1) TO STDOUT",
    "COPY (SELECT 1 TO STDOUT",
    "COPY (SELECT ')) TO STDOUT",
    "COPY (SELECT E'\\') TO STDOUT",
    'COPY (SELECT ") TO STDOUT',
    "COPY (SELECT $a$) TO STDOUT",
    "COPY (SELECT 1 /* /* */ ) TO STDOUT",
    "COPY (SELECT 1 -- ) TO STDOUT",
  ])("not of %s", (sql) => expect(copyQueryOf(sql)).toBeUndefined());

  test("its options stand behind it", () => {
    expect(copyFormatOf("COPY (SELECT ') TO STDOUT' FROM t) TO STDOUT (FORMAT csv, DELIMITER ';')")).toMatchObject({
      format: "csv",
      delimiter: 59,
    });
    expect(copyFormatOf("COPY (SELECT 1) TO STDOUT (FORMAT csv, FORCE_QUOTE *)")).toBeUndefined();
  });
});

describe("binary", () => {
  const header = Buffer.from("PGCOPY\n\u00ff\r\n\0\0\0\0\0\0\0\0\u0003ext", "latin1");
  const row = (...fields: (string | null)[]): Buffer => {
    const parts = [Buffer.from([fields.length >> 8, fields.length])];
    for (const field of fields) {
      const length = Buffer.alloc(4);
      length.writeInt32BE(field === null ? -1 : Buffer.byteLength(field));
      parts.push(length, Buffer.from(field ?? ""));
    }
    return Buffer.concat(parts);
  };
  const trailer = Buffer.from([0xff, 0xff]);
  const copied = async (columns: ColumnExecution[], ...data: Buffer[]): Promise<Buffer> => {
    const copy = new BinaryMask(mask(...columns));
    const parts: Buffer[] = [];
    for (const part of data) {
      const bytes = message(part);
      const out = (await copy.take(bytes, 0, bytes.length)).bytes;
      for (let at = 0; at < out.length; at += 1 + out.readUInt32BE(at + 1)) {
        parts.push(out.subarray(at + 5, at + 1 + out.readUInt32BE(at + 1)));
      }
    }
    copy.finish();
    return Buffer.concat(parts);
  };
  const data = Buffer.concat([header, row("1", "secret", null), row(null, "", "open"), trailer]);
  const expected = Buffer.concat([header, row("1", "<secret>", null), row(null, "<>", "****"), trailer]);

  test("fields are masked, whatever the cut", async () => {
    for (let cut = 0; cut <= data.length; cut++) {
      expect(await copied([pass, echo, stars], data.subarray(0, cut), data.subarray(cut))).toEqual(expected);
    }
  });

  test.each<[string, Buffer, string]>([
    ["another number of columns", Buffer.concat([header, row("a")]), "1 columns, expected 3"],
    ["no signature", Buffer.concat([Buffer.alloc(40)]), "without its signature"],
    ["no trailer", data.subarray(0, -2), "without its trailer"],
    ["more behind the trailer", Buffer.concat([data, row("a")]), "behind its trailer"],
    ["a field of no length", Buffer.concat([header, Buffer.from([0, 3, 0xff, 0xff, 0xff, 0xfe])]), "no length"],
    ["flags", Buffer.concat([header.subarray(0, 11), Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])]), "flags"],
  ])("%s is not shown", async (_name, bytes, why) => {
    await expect(copied([pass, stars, pass], bytes)).rejects.toThrow(why);
  });
});

test("a line that does not fit, or does not end, is not shown", async () => {
  await expect(masked("COPY t TO STDOUT", [pass, stars], "1\t2\t3\n")).rejects.toThrow("3 columns, expected 2");
  await expect(masked("COPY t TO STDOUT", [pass], "1\n2")).rejects.toThrow("middle of a line");
});
