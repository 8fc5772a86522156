import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { STATEMENTS } from "./statements.ts";
import { FIXED } from "./tree.ts";

const parser = createRequire(createRequire(import.meta.url).resolve("libpg-query"));
const folder = dirname(parser.resolve("@pgsql/types/package.json"));
const source = readFileSync(join(folder, "types.d.ts"), "utf8");

/** Interface → field → type, as @pgsql/types declares them. */
function declared(): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const line of source.split("\n")) {
    const opens = /^export interface (\w+)/.exec(line)?.[1];
    if (opens !== undefined) found.set(opens, (current = new Map()));
    const field = /^\s+(\w+)\?: (.+);/.exec(line);
    if (current !== undefined && field?.[1] !== undefined && field[2] !== undefined) current.set(field[1], field[2]);
  }
  return found;
}

/** Filled after parsing only, or no part of a statement. */
const LATER = new Set([
  "ParseResult",
  "ScanResult",
  "SummaryResult",
  "Query",
  "RangeTblEntry",
  "JsonConstructorExpr",
  "JsonExpr",
  "JsonTablePathScan",
  "A_Const",
]);
const LATER_TYPES = new Set(["Query", "FuncExpr"]);

test("every field that holds a bare node is known: none is walked past", () => {
  const types = declared();
  const wanted: string[] = [];
  for (const [type, fields] of types) {
    if (LATER.has(type)) continue;
    for (const [field, of] of fields) if (types.has(of) && !LATER_TYPES.has(of)) wanted.push(`${type}.${field}: ${of}`);
  }
  const known = Object.entries(FIXED).flatMap(([type, fields]) => {
    return Object.entries(fields).map(([field, of]) => `${type}.${field}: ${of}`);
  });
  expect(wanted.length).toBeGreaterThan(100);
  expect(known.toSorted()).toEqual(wanted.toSorted());
});

test("every kind of statement of the grammar has an entry", () => {
  const statements = [...declared().keys()].filter((name) => name.endsWith("Stmt"));
  // RawStmt wraps, the others exist only inside of functions or after parsing.
  const none = new Set(["RawStmt", "SetOperationStmt", "ReturnStmt", "PLAssignStmt"]);
  expect(statements.filter((name) => !none.has(name) && !STATEMENTS.has(name))).toEqual([]);
});
