/**
 * Does a WHERE restrict which rows of its target are changed? `WHERE true`, `WHERE 1 = 1`, `WHERE id = id`, a condition on
 * other relations alone and their like restrict nothing, and count as no WHERE. Values of constants are never looked at: a
 * verdict must not depend on a literal that a cache erases.
 */

import { children, isObject, strings, text, unwrap } from "./tree.ts";
import type { Json, JsonObject } from "./parser.ts";
import type { Child } from "./tree.ts";

const MAX_NODES = 100_000;

/** What the condition is about: the names that its columns may bear in front. Empty: any. */
type Target = ReadonlySet<string>;
const ANYTHING: Target = new Set();

/** The names of the relation that a statement changes (a RangeVar). */
export function targetNames(rangeVar: Json | undefined): Target {
  if (!isObject(rangeVar)) return ANYTHING;
  const alias = isObject(rangeVar["alias"]) ? text(rangeVar["alias"]["aliasname"]) : undefined;
  const name = alias ?? text(rangeVar["relname"]);
  return name === undefined ? ANYTHING : new Set([name]);
}

/** A column of the target, or a cursor's position: something that differs from row to row. */
function looksAtRows(value: Json, target: Target): boolean {
  const root = unwrap(value);
  if (root === undefined) return false;
  const pending: Pick<Child, "type" | "node">[] = [root];
  for (let seen = 0; pending.length > 0; seen++) {
    // Too large to be a trick that a person reads; it holds something.
    if (seen > MAX_NODES) return true;
    const next = pending.pop();
    if (next === undefined) break;
    if (next.type === "CurrentOfExpr" || (next.type === "ColumnRef" && isOfTarget(next.node, target))) return true;
    for (const child of children(next.type, next.node)) pending.push(child);
  }
  return false;
}

/** A name without anything in front may be the target's. `tableoid` is the same in every row. */
function isOfTarget(ref: JsonObject, target: Target): boolean {
  const words = strings(ref["fields"]);
  if (words.at(-1) === "tableoid") return false;
  if (target.size === 0 || words.length < 2) return true;
  const fields = Array.isArray(ref["fields"]) ? ref["fields"].length : 0;
  // `t.*` has its star in place of the column.
  const qualifier = fields > words.length ? words.at(-1) : words.at(-2);
  return qualifier !== undefined && target.has(qualifier);
}

/** One column, though one of the names may say whose it is and the other not. */
const sameColumn = (a: Json | undefined, b: Json | undefined, target: Target): boolean => {
  const [left, right] = [columnOf(a), columnOf(b)];
  if (left === undefined || right === undefined || left.name !== right.name) return false;
  if (left.of === right.of) return true;
  if (left.of !== undefined && right.of !== undefined) return false;
  const of = left.of ?? right.of;
  return target.size === 0 || (of !== undefined && target.has(of));
};

function columnOf(value: Json | undefined): { name: string; of: string | undefined } | undefined {
  const ref = bare(value);
  if (ref?.type !== "ColumnRef") return undefined;
  const words = strings(ref.node["fields"]);
  const name = words.at(-1);
  return name === undefined ? undefined : { name, of: words.at(-2) };
}

/** Through casts. */
function bare(value: Json | undefined): ReturnType<typeof unwrap> {
  let inner = unwrap(value);
  while (inner?.type === "TypeCast") inner = unwrap(inner.node["arg"]);
  return inner;
}

/** Operators that hold, and that never hold, between a value and itself. */
const REFLEXIVE = new Set(["=", "<=", ">=", "~~", "~~*"]);
const IRREFLEXIVE = new Set(["<>", "!=", "<", ">", "!~~", "!~~*"]);
const HOLDS = new Set(["AEXPR_OP", "AEXPR_LIKE", "AEXPR_ILIKE"]);
/** With a list on the right: it holds when one, or each, of them is the value itself. */
const LISTS = new Set(["AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_OP_ANY", "AEXPR_OP_ALL"]);

function comparesToItself(node: JsonObject, negated: boolean, target: Target): boolean {
  const kind = typeof node["kind"] === "string" ? node["kind"] : "AEXPR_OP";
  const name = strings(node["name"]).at(-1) ?? "";
  const same = (right = node["rexpr"]): boolean =>
    sameColumn(node["lexpr"], right, target) || sameText(node["lexpr"], right);
  if (kind === "AEXPR_NOT_DISTINCT") return !negated && same();
  if (kind === "AEXPR_DISTINCT") return negated && same();
  if (LISTS.has(kind)) {
    const holds = kind.startsWith("AEXPR_BETWEEN") || (negated ? IRREFLEXIVE : REFLEXIVE).has(name);
    const list = listed(node["rexpr"]);
    const each = kind !== "AEXPR_IN" && kind !== "AEXPR_OP_ANY";
    if (!holds || list.length === 0) return false;
    return each ? list.every((item) => same(item)) : list.some((item) => same(item));
  }
  return HOLDS.has(kind) && (negated ? IRREFLEXIVE : REFLEXIVE).has(name) && same();
}

/** `(a, b)` and `ARRAY[a, b]` */
function listed(value: Json | undefined): Json[] {
  if (Array.isArray(value)) return value;
  const inner = bare(value);
  const items = inner?.type === "List" ? inner.node["items"] : inner?.node["elements"];
  return inner?.type === "List" || inner?.type === "A_ArrayExpr" ? (Array.isArray(items) ? items : []) : [];
}

/** The same expression, written twice. Constants in it are not erased by any cache: they are not compared directly. */
function sameText(a: Json | undefined, b: Json | undefined): boolean {
  const [left, right] = [bare(a), bare(b)];
  if (left === undefined || right === undefined || left.type === "A_Const") return false;
  const written = plain(left, false);
  return written !== undefined && written === plain(right, false);
}

/** A node as text; `erased`: without the values of its constants. undefined: deeper than the stack, nobody's trick. */
function plain(value: unknown, erased: boolean): string | undefined {
  try {
    return JSON.stringify(value, (key, inner: unknown) =>
      key === "location" ? undefined : erased && key === "A_Const" ? "constant" : inner,
    );
  } catch {
    return undefined;
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

function leaf({ value, negated }: Condition, target: Target): Leaf {
  const node = unwrap(value);
  if (node === undefined) return "trivial";
  if (node.type === "A_Expr" && comparesToItself(node.node, negated, target)) return "trivial";
  if (node.type === "NullTest" && holdsOfAll(node.node, negated, target)) return "trivial";
  if (node.type === "SubLink" && !negated && findsItself(node.node, target)) return "trivial";
  return looksAtRows(value, target) ? "restricts" : "trivial";
}

/** `(id = 1) IS NOT NULL`, `ctid IS NOT NULL`, `t IS NOT NULL`: no column's own value is looked at. */
function holdsOfAll(test: JsonObject, negated: boolean, target: Target): boolean {
  if ((test["nulltesttype"] === "IS_NOT_NULL") === negated) return false;
  const column = columnOf(test["arg"]);
  if (column === undefined) return bare(test["arg"])?.type === "A_Expr";
  return SYSTEM.has(column.name) || (column.of === undefined && target.has(column.name));
}

const SYSTEM = new Set(["ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"]);

/** `id IN (SELECT id FROM t)` of t itself: every row is found. */
function findsItself(link: JsonObject, target: Target): boolean {
  if (link["subLinkType"] !== "ANY_SUBLINK") return false;
  const column = columnOf(link["testexpr"]);
  const select = unwrap(link["subselect"])?.node;
  if (column === undefined || select === undefined || target.size === 0) return false;
  const narrows = ["whereClause", "groupClause", "havingClause", "limitCount", "limitOffset", "withClause", "larg"];
  if (narrows.some((field) => select[field] !== undefined)) return false;
  const [from, ...more] = Array.isArray(select["fromClause"]) ? select["fromClause"] : [];
  const [shown] = Array.isArray(select["targetList"]) ? select["targetList"] : [];
  const relation = unwrap(from);
  if (more.length > 0 || relation?.type !== "RangeVar" || !target.has(text(relation.node["relname"]) ?? ""))
    return false;
  return columnOf(unwrap(shown)?.node["val"])?.name === column.name;
}

/** Of a CASE or COALESCE: the condition that decides for every row, as far as the text tells. */
function chosen(type: string, node: JsonObject, target: Target): Json | undefined {
  if (type === "CoalesceExpr") return Array.isArray(node["args"]) ? node["args"][0] : undefined;
  if (node["arg"] !== undefined) return undefined;
  const first = unwrap(Array.isArray(node["args"]) ? node["args"][0] : undefined)?.node;
  const condition = first?.["expr"];
  return condition !== undefined && !looksAtRows(condition, target) ? first?.["result"] : undefined;
}

/** `NOT (a AND b)` is `NOT a OR NOT b`: a combination, a condition without its NOT, or a leaf. */
function open(condition: Condition, target: Target, budget: Budget): Combination | Condition | Leaf {
  const { value, negated } = condition;
  const node = bare(value);
  if (node?.type === "CoalesceExpr" || node?.type === "CaseExpr") {
    const decides = chosen(node.type, node.node, target);
    if (decides !== undefined && !looksAtRows(decides, target)) return "trivial";
  }
  if (node?.type === "BooleanTest") return tested(node.node, condition, target);
  const op = node?.type === "BoolExpr" ? node.node["boolop"] : undefined;
  const args = node?.node["args"];
  if (!Array.isArray(args)) return leaf(condition, target);
  if (op === "NOT_EXPR" && args[0] !== undefined) return { value: args[0], negated: !negated };
  if (op !== "AND_EXPR" && op !== "OR_EXPR") return leaf(condition, target);
  const or = (op === "OR_EXPR") !== negated;
  if (or && isComplete(args, budget)) return "trivial";
  return { or, pending: args.map((arm) => ({ value: arm, negated })) };
}

/** `… IS TRUE` is the condition, `… IS NOT UNKNOWN` holds wherever it can be told. */
function tested(node: JsonObject, { negated }: Condition, target: Target): Condition | Leaf {
  const arg = node["arg"];
  const kind = node["booltesttype"];
  if (arg === undefined) return "restricts";
  if (kind === "IS_NOT_UNKNOWN") return negated || columnOf(arg) !== undefined ? "restricts" : "trivial";
  if (kind === "IS_TRUE" || kind === "IS_NOT_FALSE") return { value: arg, negated };
  if (kind === "IS_FALSE" || kind === "IS_NOT_TRUE") return { value: arg, negated: !negated };
  return looksAtRows(arg, target) ? "restricts" : "trivial";
}

const OPPOSITES: Readonly<Record<string, string>> = { "=": "<>", "<>": "=", "~~": "!~~", "!~~": "~~" };
const MANY_ARMS = 64;

/** Objects that may still be written down to be compared: each level of a deep clause holds all those below it. */
interface Budget {
  nodes: number;
}
const BUDGET = 40_000;
const SHORT = 2_000;

/** What is longer is nobody's trick. */
function isShort(value: Json, budget: Budget): boolean {
  const pending: Json[] = [value];
  for (let seen = 0; pending.length > 0; seen++) {
    if (seen > SHORT || --budget.nodes < 0) return false;
    const next = pending.pop();
    if (typeof next !== "object" || next === null) continue;
    for (const inner of Array.isArray(next) ? next : Object.values(next)) {
      if (typeof inner === "object" && inner !== null) pending.push(inner);
    }
  }
  return true;
}

/** Of an OR (or, under a NOT, of an AND): one arm and its opposite. Between the two there is no row. */
function isComplete(arms: readonly Json[], budget: Budget): boolean {
  if (arms.length > MANY_ARMS) return false;
  const said = new Set<string>();
  for (const arm of arms) {
    if (!isShort(arm, budget)) continue;
    const [own, opposite] = [sides(arm, false), sides(arm, true)];
    if (opposite !== undefined && said.has(opposite)) return true;
    if (own !== undefined) said.add(own);
  }
  return false;
}

/** A condition, or what says the opposite, without the values of its constants. */
function sides(value: Json, opposite: boolean): string | undefined {
  const node = unwrap(value);
  if (node === undefined) return undefined;
  if (node.type === "BoolExpr" && node.node["boolop"] === "NOT_EXPR") {
    const inner = Array.isArray(node.node["args"]) ? node.node["args"][0] : undefined;
    return inner === undefined ? undefined : sides(inner, !opposite);
  }
  if (node.type === "NullTest") {
    const isNull = (node.node["nulltesttype"] === "IS_NULL") !== opposite;
    return `${isNull ? "null" : "not null"} ${plain(node.node["arg"], true) ?? ""}`;
  }
  if (node.type === "A_Expr") {
    const name = strings(node.node["name"]).at(-1) ?? "";
    const kind = typeof node.node["kind"] === "string" ? node.node["kind"] : "AEXPR_OP";
    const [canonical, is] = kind === "AEXPR_DISTINCT" ? ["AEXPR_OP", "<>"] : [kind, name];
    const said = opposite ? OPPOSITES[is] : is;
    if (said === undefined) return opposite ? `not ${plain(node, true) ?? ""}` : plain(node, true);
    return `${canonical} ${said} ${plain([node.node["lexpr"], node.node["rexpr"]], true) ?? ""}`;
  }
  const said = plain(node, true);
  return said === undefined ? undefined : opposite ? `not ${said}` : said;
}

/**
 * `where` is the clause's node, absent when there is none; `target` what it is to restrict. Iterative: AND, OR and NOT nest
 * as deep as the text does.
 */
export function restricts(where: Json | undefined, target: Target = ANYTHING): boolean {
  if (where === undefined || !isObject(where)) return false;
  const stack: Combination[] = [];
  const budget = { nodes: BUDGET };
  let next: Combination | Condition | Leaf = { value: where, negated: false };
  for (;;) {
    if (typeof next === "object" && "value" in next) {
      next = open(next, target, budget);
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
