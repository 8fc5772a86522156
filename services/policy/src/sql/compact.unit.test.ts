import { beforeAll, expect, test } from "vitest";
import { compact } from "./compact.ts";
import { loadParser, parse } from "./parser.ts";
import type { RawStatement } from "./parser.ts";

beforeAll(loadParser);

function statements(sql: string): RawStatement[] {
  const parsed = parse(sql);
  if (parsed.kind !== "parsed") throw new Error(sql);
  return parsed.statements;
}

const shape = (sql: string): string => JSON.stringify(compact(statements(sql)));
const list = (count: number, of: (i: number) => string, between = ", "): string =>
  Array.from({ length: count }, (_, i) => of(i)).join(between);

test.each([
  ["a list of constants", (n: number) => `SELECT 1 FROM t WHERE id IN (${list(n, String)})`],
  ["an array of constants", (n: number) => `SELECT 1 FROM t WHERE id = ANY (ARRAY[${list(n, String)}])`],
  ["rows of constants", (n: number) => `INSERT INTO t VALUES ${list(n, (i) => `(${i}, 'a${i}', now(), DEFAULT)`)}`],
  ["conditions", (n: number) => `SELECT 1 FROM t WHERE ${list(n + 6, (i) => `(a = ${i} AND b = 'x${i}')`, " OR ")}`],
])("%s is as large as a short one", (_name, sql) => {
  expect(shape(sql(5_000)).length).toBeLessThan(1.05 * shape(sql(3)).length + 2_000);
});

test("what differs is kept: columns, calls, the width of rows", () => {
  const rows = shape(`INSERT INTO t VALUES (1, 2, 3), (4, 5, 6), (7, (SELECT secret FROM s), 9), (a, 2, lower(b))`);
  expect(rows).toContain("secret");
  expect(rows).toContain("lower");
  expect(rows.match(/"List"/g)).toHaveLength(3);
  const wide = compact(statements("VALUES (1, 2, 3, 4, 5)"));
  expect(JSON.stringify(wide).match(/A_Const/g)).toHaveLength(5);
  expect(shape("SELECT 1 FROM t WHERE id IN (1, 2, x, 3)")).toContain('"x"');
  expect(shape("SELECT f(1, 2, 3), ROW(1, 2, 3)").match(/A_Const/g)).toHaveLength(6);
});

test("a long constant is left out, and what is too large is not carried", () => {
  expect(shape(`SELECT '${"x".repeat(10_000)}'`).length).toBeLessThan(500);
  expect(compact(statements(`SELECT ${list(40_000, (i) => `c${i}`)}`))).toBeUndefined();
});
