import { beforeAll, expect, test } from "vitest";
import { isRefused } from "./outline.ts";
import { loadParser } from "./parser.ts";
import { understand } from "./understand.ts";

beforeAll(() => loadParser());

test("a text with a zero byte would be cut off by the parser", () => {
  expect(understand("SELECT 1\0; DROP TABLE customers", 1_000)).toEqual({ refused: "it holds a zero byte" });
});

test("half a surrogate pair is no text", () => {
  expect(understand("SELECT '\ud800'", 1_000)).toEqual({ refused: "it is not valid Unicode" });
});

test("a text with more tokens than its thread may take is not parsed", () => {
  expect(understand(`SELECT ${"1+".repeat(600)}1`, 1_000)).toBe("too-large");
});

test("white space alone is nothing", () => {
  const outline = understand("  \n ", 10);
  expect(outline).toMatchObject({ statementCount: 0, relations: [], bare: [] });
});

test("a thousand levels of every kind are walked without a stack of calls", () => {
  const n = 900;
  for (const text of [
    `SELECT ${"1+".repeat(n)}1 FROM orders`,
    `SELECT ${"(".repeat(n)}1${")".repeat(n)} FROM orders`,
    `SELECT ${"abs(".repeat(n / 2)}1${")".repeat(n / 2)} FROM orders`,
    `SELECT * FROM orders WHERE ${"NOT ".repeat(n)} true`,
    `SELECT 1 FROM orders${" UNION SELECT 1".repeat(n)}`,
    `SELECT ${"(SELECT ".repeat(n / 3)} 1 FROM orders ${")".repeat(n / 3)}`,
  ]) {
    const outline = understand(text, 10_000);
    if (outline === "too-large" || outline === "exhausted" || isRefused(outline)) throw new Error(text.slice(0, 40));
    expect(outline.relations[0]?.name).toBe("orders");
  }
});

test("a position in a syntax error counts characters from 1", () => {
  expect(understand("SELECT 1 FROM", 10)).toMatchObject({ refused: expect.stringContaining("(at character 14)") });
});
