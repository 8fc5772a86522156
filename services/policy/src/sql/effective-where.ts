/**
 * Does a WHERE restrict anything? `WHERE true`, `WHERE 1 = 1`, `WHERE id = id` and their like restrict nothing, and count
 * as no WHERE. Values of constants are never looked at: a verdict must not depend on a literal that a cache erases.
 */

import { children, isObject, strings, unwrap } from "./tree.ts";
import type { Json, JsonObject } from "./parser.ts";

const MAX_NODES = 100_000;

/** A column, or a cursor's position: something that differs from row to row. */
function looksAtRows(value: Json): boolean {
  const root = unwrap(value);
  if (root === undefined) return false;
  const pending = [root];
  for (let seen = 0; pending.length > 0; seen++) {
    // Too large to be a trick that a person reads; it holds something.
    if (seen > MAX_NODES) return true;
    const next = pending.pop();
    if (next === undefined) break;
    if (next.type === "ColumnRef" || next.type === "CurrentOfExpr") return true;
    for (const child of children(next.type, next.node)) pending.push(child);
  }
  return false;
}

const sameColumn = (a: Json | undefined, b: Json | undefined): boolean => {
  const left = unwrap(a);
  const right = unwrap(b);
  if (left?.type !== "ColumnRef" || right?.type !== "ColumnRef") return false;
  const leftName = strings(left.node["fields"]);
  const rightName = strings(right.node["fields"]);
  return leftName.length > 0 && leftName[leftName.length - 1] === rightName[rightName.length - 1];
};

const REFLEXIVE = new Set(["=", "<=", ">=", "~~", "~~*"]);

function comparesToItself(node: JsonObject): boolean {
  const kind = node["kind"];
  if (kind !== "AEXPR_OP" && kind !== "AEXPR_LIKE" && kind !== "AEXPR_ILIKE" && kind !== "AEXPR_NOT_DISTINCT")
    return false;
  const name = strings(node["name"]);
  return REFLEXIVE.has(name[name.length - 1] ?? "") && sameColumn(node["lexpr"], node["rexpr"]);
}

type Leaf = "restricts" | "trivial";
interface Combination {
  or: boolean;
  pending: Json[];
}

function leaf(value: Json): Leaf {
  const node = unwrap(value);
  if (node === undefined) return "trivial";
  if (node.type === "A_Expr" && comparesToItself(node.node)) return "trivial";
  return looksAtRows(value) ? "restricts" : "trivial";
}

/** `where` is the clause's node, absent when there is none. Iterative: AND and OR nest as deep as the text does. */
export function restricts(where: Json | undefined): boolean {
  if (where === undefined || !isObject(where)) return false;
  const stack: Combination[] = [];
  let current: Json | undefined = where;
  for (;;) {
    let result: Leaf | undefined;
    if (current !== undefined) {
      const node = unwrap(current);
      const op = node?.type === "BoolExpr" ? node.node["boolop"] : undefined;
      const args = node?.node["args"];
      if ((op === "AND_EXPR" || op === "OR_EXPR") && Array.isArray(args)) {
        stack.push({ or: op === "OR_EXPR", pending: [...args] });
      } else {
        result = leaf(current);
      }
    }
    // OR: one trivial arm makes all of it trivial. AND: one arm that restricts makes all of it restrict.
    for (;;) {
      const top = stack[stack.length - 1];
      if (top === undefined) return result === "restricts";
      if (result !== undefined && result === (top.or ? "trivial" : "restricts")) {
        stack.pop();
        continue;
      }
      const next = top.pending.pop();
      if (next !== undefined) {
        current = next;
        break;
      }
      stack.pop();
      result = top.or ? "restricts" : "trivial";
    }
  }
}
