import { describe, expect, test } from "vitest";
import { eraseLiterals } from "./literals.ts";

const erase = (text: string) => eraseLiterals(Buffer.from(text));

describe("erases", () => {
  test.each([
    [
      "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
      "SELECT abalance FROM pgbench_accounts WHERE aid = \u0001;",
      ["12345"],
    ],
    [
      "select a1, b_2 from t where x='it''s' and y=1.50",
      "select a1, b_2 from t where x=\u0004 and y=\u0003",
      ["'it''s'", "1.50"],
    ],
    ["select 1234567890123", "select \u0002", ["1234567890123"]],
    ['select "1" from t where id=-5', 'select "1" from t where id=-\u0001', ["5"]],
    ["select $1, $22 where a=.5", "select $1, $22 where a=\u0003", [".5"]],
    ["select 'ä' , 'ö'", "select \u0004 , \u0004", ["'Ã¤'", "'Ã¶'"]],
  ])("%s", (text, skeleton, literals) => {
    const lexed = erase(text);
    expect(lexed).toMatchObject({ skeleton, literals });
    const bytes = Buffer.from(text);
    lexed?.offsets.forEach((offset, i) => {
      expect(bytes.toString("latin1", offset, offset + (literals[i] as string).length)).toBe(literals[i]);
    });
  });

  test("nothing but literals may differ under one skeleton", () => {
    expect(erase("select 1")?.skeleton).not.toBe(erase("select '1'")?.skeleton);
    expect(erase("select 1")?.skeleton).not.toBe(erase("select 10000000000")?.skeleton);
    expect(erase("select a from t where b=1")?.skeleton).toBe(erase("select a from t where b=2")?.skeleton);
  });
});

describe("leaves alone what could be read in two ways", () => {
  test.each([
    "select E'\\'', email from people --'",
    "select '\\', email from people --'",
    "select U&'\\0041'",
    'select U&"d\\0061t"',
    "select b'1', x'1f'",
    "select n'x'",
    "select $$ 1 $$",
    "select $a$ 1 $a$",
    "select 1 -- 2",
    "select /* 1 */ 2",
    "select 1e10",
    "select 0x1f",
    "select 1_000",
    "select 1..2",
    "select 1.",
    "select 12abc",
    "select 'a'\n'b'",
    "select 'open",
    'select "open',
    "select 1\u0001",
    "select \\ 1",
    `select ${"1".repeat(30)}`,
  ])("%s", (text) => expect(erase(text)).toBeUndefined());
});
