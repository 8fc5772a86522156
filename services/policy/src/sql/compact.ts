/**
 * A tree without what only repeats: a statement with 50,000 constants, or as many rows of them, is large only by what
 * carries nothing. For trees that cross from a worker thread, and are kept.
 */

import type { Json, JsonObject, RawStatement } from "./parser.ts";

/** Objects of a tree beyond which it is not worth carrying. */
const MAX_NODES = 100_000;
/** No name is as long, and of constants only short ones are looked at. */
const MAX_STRING = 1_024;
/** Conditions that differ in nothing but constants: some are kept, so that they can be counted (lineage/conditions.ts). */
const KEPT_CONDITIONS = 8;

/** undefined: it is too large even so. Lists where the place of a value tells where it goes are left as they are. */
export function compact(statements: readonly RawStatement[]): RawStatement[] | undefined {
  const budget = { nodes: MAX_NODES };
  try {
    return statements.map(({ stmt, start, length }) => ({ stmt: copy(stmt, budget) as JsonObject, start, length }));
  } catch (error) {
    if (error instanceof TooLarge || error instanceof RangeError) return undefined;
    throw error;
  }
}

class TooLarge extends Error {}

/** `whole`: the lists right below keep their length. */
function copy(value: Json, budget: { nodes: number }, whole = false): Json {
  if (typeof value !== "object" || value === null) return value;
  if (--budget.nodes < 0) throw new TooLarge();
  if (Array.isArray(value)) return value.map((item) => copy(item, budget));
  const copied: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key === "location") continue;
    if (typeof inner === "string" && inner.length > MAX_STRING) copied[key] = "";
    else if (!Array.isArray(inner)) copied[key] = copy(inner, budget);
    else if (key === "valuesLists") copied[key] = distinct(inner, 1).map((row) => copyRow(row, budget));
    // AND, OR and NOT: a list of any other expression has no operator of this name.
    else if (key === "args" && "boolop" in value) copied[key] = copy(distinct(inner, KEPT_CONDITIONS), budget);
    else copied[key] = copy(whole ? inner : shortened(key, inner), budget);
  }
  return copied;
}

function copyRow(row: Json, budget: { nodes: number }): Json {
  const list = isObject(row) ? row["List"] : undefined;
  return list === undefined ? copy(row, budget) : { List: copy(list, budget, true) };
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isConstant = (value: Json): boolean => isObject(value) && value["A_Const"] !== undefined;

function shortened(key: string, list: Json[]): Json[] {
  if (list.length < 3) return list;
  // `x IN (1, 2, …)`, `ARRAY[1, 2, …]`
  if (key === "elements") return firstConstantOnly(list);
  if (key === "items" && list.every(isConstant)) return list.slice(0, 1);
  return list;
}

function firstConstantOnly(list: Json[]): Json[] {
  const first = list.findIndex(isConstant);
  return list.filter((item, i) => i === first || !isConstant(item));
}

/** Of entries that differ in nothing but constants, the first ones. */
function distinct(list: Json[], most: number): Json[] {
  if (list.length <= most) return list;
  const seen = new Map<string, number>();
  return list.filter((item) => {
    const shape = JSON.stringify(item, erased);
    const count = (seen.get(shape) ?? 0) + 1;
    seen.set(shape, count);
    return count <= most;
  });
}

function erased(key: string, value: Json): Json | undefined {
  if (key === "location" || key.startsWith("rexpr_list_")) return undefined;
  if (isConstant(value)) return "constant";
  return isObject(value) && value["ParamRef"] !== undefined ? "parameter" : value;
}
