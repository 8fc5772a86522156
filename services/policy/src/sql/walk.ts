/**
 * The whole tree of a text, with a stack of its own: a deep text must not overflow the one of this thread.
 * Common table expressions are followed as PostgreSQL does, so that a name is taken for a relation unless it is one.
 */

import { BeyondLimits, Collector, LIMITS } from "./collector.ts";
import type { Place } from "./collector.ts";
import {
  SYNTAX_FUNCTIONS,
  columnRef,
  derivedName,
  functionCall,
  indirection,
  operator,
  settingNamedByWhere,
  starOf,
  typeName,
} from "./expressions.ts";
import { comparedConstants } from "./literals.ts";
import type { Json, JsonObject, RawStatement } from "./parser.ts";
import { STATEMENTS, unknownStatement } from "./statements.ts";
import { UNKNOWN_SHAPE, children, isObject, qualified, strings, text, unwrap } from "./tree.ts";
import type { Child } from "./tree.ts";

/** Names of common table expressions in sight, innermost first. */
interface Ctes {
  names: ReadonlySet<string>;
  outer: Ctes | undefined;
}

interface Frame extends Child {
  ctes: Ctes | undefined;
  mode: Place["mode"];
  transfer: boolean;
  locks: boolean;
  /** inside the conditions of a WHERE, reached through nothing but AND, OR and NOT */
  where: boolean;
  depth: number;
}

const NOTHING: ReadonlySet<string> = new Set();
const WITH: ReadonlySet<string> = new Set(["withClause"]);
const isKnown = (name: string, ctes: Ctes | undefined): boolean => {
  for (let at = ctes; at !== undefined; at = at.outer) if (at.names.has(name)) return true;
  return false;
};

export function walk(statements: readonly RawStatement[]): Collector {
  const out = new Collector();
  let nodes = 0;
  for (const [statement, raw] of statements.entries()) {
    const root = unwrap(raw.stmt);
    if (root === undefined) continue;
    const stack: Frame[] = [
      { ...root, field: "stmt", ctes: undefined, mode: "run", transfer: false, locks: false, where: false, depth: 0 },
    ];
    for (;;) {
      const frame = stack.pop();
      if (frame === undefined) break;
      if (++nodes > LIMITS.nodes) throw new BeyondLimits("it is too large");
      if (frame.depth > LIMITS.depth) throw new BeyondLimits("it nests too deeply");
      visit(frame, statement, out, stack);
    }
  }
  return out;
}

function visit(frame: Frame, statement: number, out: Collector, stack: Frame[]): void {
  const { type, node } = frame;
  const place: Place = {
    statement,
    mode: frame.mode,
    transfer: frame.transfer,
    locks: frame.locks,
    field: frame.field,
  };
  out.planning = frame.mode === "plan";
  if (type === "SelectStmt") settingNamedByWhere(node);
  const handler = STATEMENTS.get(type);
  if (handler === undefined && type.endsWith("Stmt")) unknownStatement(type, place, out);
  const below = handler?.(node, place, out);
  if (handler === undefined) expression(frame, place, out);

  const next = {
    ctes: frame.ctes,
    mode: below?.mode ?? frame.mode,
    transfer: below?.transfer ?? frame.transfer,
    locks: below?.locks ?? frame.locks,
  };
  const found: Frame[] = [];
  let skip = below?.skip ?? NOTHING;
  const withClause = node["withClause"];
  if (isObject(withClause)) {
    next.ctes = commonTables(withClause, frame, next, place, out, found);
    skip = skip.size === 0 ? WITH : new Set([...skip, "withClause"]);
  }
  spreadStar(type, node, next.ctes, place, out);
  for (const child of children(type, node, skip)) {
    const where = child.field === "whereClause" || (frame.where && type === "BoolExpr");
    found.push({ ...child, ...next, where, depth: frame.depth + 1 });
  }
  for (let i = found.length - 1; i >= 0; i--) stack.push(found[i] as Frame);
}

/** Nodes that are no statements. */
function expression(frame: Frame, place: Place, out: Collector): void {
  const { type, node } = frame;
  switch (type) {
    case "RangeVar":
      rangeVar(frame, place, out);
      break;
    case "ColumnRef":
      columnRef(node, place, out);
      break;
    case "A_Indirection":
      indirection(node, place, out);
      break;
    case "FuncCall":
      functionCall(node, place, out);
      break;
    case "TypeName":
      typeName(node, out);
      break;
    case "A_Expr":
      operator(node, out);
      if (frame.where) comparedConstants(node, out.compared);
      break;
    case "RangeTableSample":
      // A sampling method is a function of that name, and may be anybody's.
      out.function({ ...qualified(strings(node["method"])), how: "call" });
      break;
    case "SubLink":
      subLinkOperator(node, out);
      break;
    case "IndexElem":
      // CREATE INDEX, and the arbiter of ON CONFLICT
      if (text(node["name"]) !== undefined) out.column(place, text(node["name"]) ?? "");
      break;
    case "SortBy":
      operator({ name: node["useOp"] ?? null }, out);
      break;
    case "RangeSubselect":
    case "RangeFunction":
    case "RangeTableFunc":
    case "JoinExpr":
      // Its alias stands for all columns of what is joined, under any names.
      if (type === "JoinExpr" && isObject(node["alias"])) out.column(place, "*");
      derivedName(node, place, out);
      usingColumns(node, place, out);
      break;
    case UNKNOWN_SHAPE:
      out.opaque(place);
      break;
    default:
      for (const name of SYNTAX_FUNCTIONS[type] ?? []) out.function({ name, how: "syntax" });
      if (type === "JsonTable") derivedName(node, place, out);
  }
}

/** Relations that a definition changes by naming them: parents, partitions. */
const DEFINING_FIELDS = new Set(["inhRelations", "name", "def"]);

function rangeVar(frame: Frame, place: Place, out: Collector): void {
  const { node } = frame;
  const name = text(node["relname"]);
  if (name !== undefined && node["schemaname"] === undefined && isKnown(name, frame.ctes)) {
    out.derived(place, name);
    derivedName(node, place, out);
    return;
  }
  const locks = place.locks && !DEFINING_FIELDS.has(frame.field);
  const ref = out.relation(node, DEFINING_FIELDS.has(frame.field) ? ["define"] : ["read"], place);
  if (ref === undefined || !locks) return;
  ref.actions.push(place.mode === "plan" ? "read" : "write");
  ref.lockOnly = true;
}

function subLinkOperator(node: JsonObject, out: Collector): void {
  operator({ name: node["operName"] ?? null }, out);
}

function usingColumns(node: JsonObject, place: Place, out: Collector): void {
  for (const item of Array.isArray(node["usingClause"]) ? node["usingClause"] : []) {
    const inner = unwrap(item);
    const name = inner?.type === "String" ? text(inner.node["sval"]) : undefined;
    if (name !== undefined) out.column(place, name);
  }
  // NATURAL compares every column that both sides have.
  if (node["isNatural"] === true) out.column(place, "*");
}

/**
 * WITH: each expression sees those before it, all of them when RECURSIVE; the statement sees all.
 * https://www.postgresql.org/docs/current/sql-select.html#SQL-WITH
 */
function commonTables(
  withClause: JsonObject,
  frame: Frame,
  below: Modes,
  place: Place,
  out: Collector,
  found: Frame[],
): Ctes {
  const list: { name: string; node: JsonObject }[] = [];
  for (const item of Array.isArray(withClause["ctes"]) ? withClause["ctes"] : []) {
    const inner = unwrap(item);
    if (inner?.type !== "CommonTableExpr") continue;
    list.push({ name: text(inner.node["ctename"]) ?? "", node: inner.node });
  }
  const all: Ctes = { names: new Set(list.map((cte) => cte.name)), outer: frame.ctes };
  const seen: string[] = [];
  for (const { name, node } of list) {
    out.derived(place, name);
    const ctes = withClause["recursive"] === true ? all : { names: new Set(seen), outer: frame.ctes };
    found.push({
      type: "CommonTableExpr",
      node,
      field: "ctes",
      ctes,
      ...modes(below),
      where: false,
      depth: frame.depth + 1,
    });
    seen.push(name);
    if (seen.length > 1_000) throw new BeyondLimits("it has too many common table expressions");
  }
  return all;
}

type Modes = Pick<Frame, "mode" | "transfer" | "locks">;
const modes = ({ mode, transfer, locks }: Modes): Modes => ({ mode, transfer, locks });

/** `SELECT *` and `RETURNING *` */
function spreadStar(type: string, node: JsonObject, ctes: Ctes | undefined, place: Place, out: Collector): void {
  if (type === "SelectStmt" && starOf(node["targetList"])) {
    for (const item of fromItems(node["fromClause"])) starOver(item, ctes, place, out);
  }
  const returning = node["returningClause"];
  if (isObject(returning) && starOf(returning["exprs"])) {
    const target = node["relation"];
    if (isObject(target)) starOver(target, undefined, place, out);
    const sources = [node["fromClause"], node["usingClause"], node["sourceRelation"]];
    for (const source of sources) for (const item of fromItems(source)) starOver(item, ctes, place, out);
  }
}

function starOver(rangeVarNode: JsonObject, ctes: Ctes | undefined, place: Place, out: Collector): void {
  const name = text(rangeVarNode["relname"]);
  if (name === undefined) return;
  if (rangeVarNode["schemaname"] === undefined && isKnown(name, ctes)) return;
  const alias = rangeVarNode["alias"];
  out.column(place, "*", (isObject(alias) ? text(alias["aliasname"]) : undefined) ?? name);
}

/** Relations that stand in a FROM, through joins, but not inside of sub-queries. */
function fromItems(from: Json | undefined): JsonObject[] {
  const found: JsonObject[] = [];
  const pending: Json[] = from === undefined ? [] : [from];
  while (pending.length > 0) {
    const next = pending.pop();
    if (next === undefined) break;
    if (Array.isArray(next)) {
      pending.push(...next);
      continue;
    }
    const inner = unwrap(next);
    if (inner === undefined) continue;
    if (inner.type === "RangeVar") found.push(inner.node);
    else if (inner.type === "JoinExpr") pending.push(inner.node["larg"] ?? null, inner.node["rarg"] ?? null);
    else if (inner.type === "RangeTableSample") pending.push(inner.node["relation"] ?? null);
  }
  return found;
}
