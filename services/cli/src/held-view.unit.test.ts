import { PassThrough } from "node:stream";
import { HeldCommand } from "@sallyport/proto/held_command";
import { expect, test } from "vitest";
import { executedLines, parameterLines } from "./held-view.ts";
import { createPrinter, visible } from "./output.ts";

const shown = (change: object): HeldCommand => HeldCommand.fromPartial(change);

test("every value is shown, with its type; what is cut or not listed says so", () => {
  const sha256 = Buffer.alloc(32, 0xab);
  expect(
    parameterLines(
      shown({
        parameterCount: 9,
        parameters: [
          { typeOid: 25, value: "ada' (type 1)", length: 12 },
          { typeOid: 23, binary: true, value: "ffffffd6", length: 4 },
          { typeOid: 17, binary: true, value: "c0ffee", length: 3 },
          { null: true },
          { typeOid: 25, value: "abc", length: 5_000, cut: true, sha256 },
          { typeOid: 25, value: "", length: 0 },
          { typeOid: 25, value: "", length: 12 },
          { typeOid: 16, binary: true, value: "01", length: 1 },
        ],
      }),
    ),
  ).toEqual([
    "$1 = 'ada'' (type 1)' (type 25)",
    "$2 = -42 [\\xffffffd6] (type 23)",
    "$3 = \\xc0ffee (type 17)",
    "$4 = NULL",
    `$5 = 'abc'… CUT: 5000 bytes in all, SHA-256 ${sha256.toString("hex")} (type 25)`,
    "$6 = '' (type 25)",
    "$7 = 12 bytes (type 25)",
    "$8 = true [\\x01] (type 16)",
    "NOT SHOWN: 1 more of 9 parameters",
  ]);
  expect(parameterLines(undefined)).toEqual([]);
});

test("what a command runs by its name is shown; a name that nobody knows says so", () => {
  expect(
    executedLines(
      shown({
        executes: [
          { kind: 1, name: "wipe", text: "DELETE FROM t" },
          { kind: 2, name: 'c"', normalized: "SELECT $1" },
          { kind: 1, name: "x" },
        ],
      }),
    ),
  ).toEqual([
    'prepared "wipe": DELETE FROM t',
    'cursor "c\\"": SELECT $1',
    'prepared "x": NOT KNOWN: it could be any statement',
  ]);
});

test("nothing that a sender writes draws on an approver's terminal, or turns its direction", () => {
  const hostile = "a\u001b[2J\r\n\u009b31m\u202eevil\u2066\u200b\u2028\u{e0041}b";
  const escaped = "a\\x1b[2J\\x0d⏎\\x9b31m\\u{202e}evil\\u{2066}\\u{200b}\\u{2028}\\u{e0041}b";
  expect(visible(hostile)).toBe(escaped);
  for (const format of ["table", "json"] as const) {
    const out = new PassThrough() as unknown as NodeJS.WriteStream & PassThrough;
    createPrinter(format, out, out).rows(["command"], [[hostile]]);
    const text = String(out.read());
    expect(text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    if (format === "json") expect(JSON.parse(text)).toEqual([{ command: hostile }]);
  }
});
