import { describe, expect, test } from "vitest";
import type { ColumnExecution, ResultMask } from "@sallyport/edge";
import { CopyMask } from "./copy-mask.ts";
import { copyFormatOf } from "./copy-options.ts";

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
  ])("%s", (sql, expected) => expect(copyFormatOf(sql)).toMatchObject(expected));
});

describe("options that are not", () => {
  test.each([
    "COPY t TO STDOUT BINARY",
    "COPY t TO STDOUT (FORMAT binary)",
    "COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
    "COPY t TO STDOUT (ENCODING 'LATIN1')",
    "COPY t TO STDOUT (HEADER match)",
    "COPY t TO STDOUT (NULL E'\\x41')",
    "COPY t TO STDOUT; SELECT 1",
    "COPY t TO '/tmp/x'",
    "COPY t TO STDOUT -- (FORMAT csv)",
    "COPY t TO STDOUT /* */ CSV",
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
  remote: async (_, cells) => cells.map((c) => Buffer.from(`<${c.toString()}>`)),
});

const message = (payload: string): Buffer => {
  const bytes = Buffer.from(`d\0\0\0\0${payload}`);
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
  if (format === undefined) throw new Error("not understood");
  const copy = new CopyMask(mask(...columns), format);
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

test("a line that does not fit, or does not end, is not shown", async () => {
  await expect(masked("COPY t TO STDOUT", [pass, stars], "1\t2\t3\n")).rejects.toThrow("3 columns, expected 2");
  await expect(masked("COPY t TO STDOUT", [pass], "1\n2")).rejects.toThrow("middle of a line");
});
