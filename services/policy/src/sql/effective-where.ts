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

/** Operators that hold, and that never hold, between a value and itself. */
const REFLEXIVE = new Set(["=", "<=", ">=", "~~", "~~*"]);
const IRREFLEXIVE = new Set(["<>", "!=", "<", ">", "!~~", "!~~*"]);

function comparesToItself(node: JsonObject, negated: boolean): boolean {
  const kind = node["kind"];
  const name = strings(node["name"]).at(-1) ?? "";
  const same = (): boolean => sameColumn(node["lexpr"], node["rexpr"]) || sameText(node["lexpr"], node["rexpr"]);
  if (kind === "AEXPR_NOT_DISTINCT") return !negated && same();
  if (kind === "AEXPR_DISTINCT") return negated && same();
  if (kind !== "AEXPR_OP" && kind !== "AEXPR_LIKE" && kind !== "AEXPR_ILIKE") return false;
  return (negated ? IRREFLEXIVE : REFLEXIVE).has(name) && same();
}

/** The same expression, written twice. Constants in it are not erased by any cache: they are not compared directly. */
function sameText(a: Json | undefined, b: Json | undefined): boolean {
  const plain = (value: Json | undefined): string =>
    JSON.stringify(value, (key, inner: unknown) => (key === "location" ? undefined : inner));
  try {
    return isObject(a) && isObject(b) && unwrap(a)?.type !== "A_Const" && plain(a) === plain(b);
  } catch {
    // Deeper than the stack: nobody's trick.
    return false;
  }
}

type Leaf = "restricts" | "trivial";
interface Condition {
  value: Json;
  /** under an odd number of NOTs */
  negated: boolean;
}
interface Combination {
  or: boolean;
  pending: Condition[];
}

function leaf({ value, negated }: Condition): Leaf {
  const node = unwrap(value);
  if (node === undefined) return "trivial";
  if (node.type === "A_Expr" && comparesToItself(node.node, negated)) return "trivial";
  return looksAtRows(value) ? "restricts" : "trivial";
}

/** `NOT (a AND b)` is `NOT a OR NOT b`: a combination, a condition without its NOT, or a leaf. */
function open(condition: Condition): Combination | Condition | Leaf {
  const node = unwrap(condition.value);
  const op = node?.type === "BoolExpr" ? node.node["boolop"] : undefined;
  const args = node?.node["args"];
  if (!Array.isArray(args)) return leaf(condition);
  const { negated } = condition;
  if (op === "NOT_EXPR" && args[0] !== undefined) return { value: args[0], negated: !negated };
  if (op !== "AND_EXPR" && op !== "OR_EXPR") return leaf(condition);
  return { or: (op === "OR_EXPR") !== negated, pending: args.map((value) => ({ value, negated })) };
}

/** `where` is the clause's node, absent when there is none. Iterative: AND, OR and NOT nest as deep as the text does. */
export function restricts(where: Json | undefined): boolean {
  if (where === undefined || !isObject(where)) return false;
  const stack: Combination[] = [];
  let next: Combination | Condition | Leaf = { value: where, negated: false };
  for (;;) {
    if (typeof next === "object" && "value" in next) {
      next = open(next);
      continue;
    }
    if (typeof next === "object") {
      stack.push(next);
      next = step(next);
      continue;
    }
    const top = stack.at(-1);
    if (top === undefined) return next === "restricts";
    // OR: one trivial arm makes all of it trivial. AND: one arm that restricts makes all of it restrict.
    if (next === (top.or ? "trivial" : "restricts")) stack.pop();
    else {
      next = step(top);
      if (typeof next === "string") stack.pop();
    }
  }
}

/** The next arm; or, when there is none left, what all of them were. */
function step({ or, pending }: Combination): Condition | Leaf {
  return pending.pop() ?? (or ? "restricts" : "trivial");
}
