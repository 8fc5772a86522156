import { beforeAll, expect, test } from "vitest";
import { restricts } from "./effective-where.ts";
import { loadParser, parse } from "./parser.ts";
import type { Json } from "./parser.ts";

beforeAll(() => loadParser());

function whereOf(condition: string): Json | undefined {
  const parsed = parse(`SELECT 1 FROM t WHERE ${condition}`);
  if (parsed.kind !== "parsed") throw new Error(condition);
  const select = parsed.statements[0]?.stmt["SelectStmt"];
  return (select as Record<string, Json>)["whereClause"];
}

test("no clause restricts nothing", () => {
  expect(restricts(undefined)).toBe(false);
});

test("a verdict does not hang on the value of a constant", () => {
  for (const [a, b] of [
    ["id = 1", "id = 2"],
    ["name LIKE '%'", "name LIKE 'x'"],
    ["1 = 1", "1 = 2"],
    ["true", "false"],
    ["id > 0 OR id <= 0", "id > 5 OR id <= 6"],
  ] as const) {
    expect(restricts(whereOf(a)), a).toBe(restricts(whereOf(b)));
  }
});

test("a deep clause needs no deep stack", () => {
  expect(restricts(whereOf(`${"NOT ".repeat(900)}(id = 7)`))).toBe(true);
  expect(restricts(whereOf(`${"(id = 3 OR ".repeat(400)} true ${")".repeat(400)}`))).toBe(false);
});
