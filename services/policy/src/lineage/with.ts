/** WITH: queries by name, recursive ones to a fixpoint. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";
import { NOTHING, derived, join, openShape, unnamed } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import type { Run } from "./run.ts";
import type { Env } from "./scope.ts";

const MAX_CTES = 1_000;
/** A round adds a source or ends: more than this many would be a circle of many columns. */
const MAX_ROUNDS = 50;

/** Each expression sees those before it; when RECURSIVE, itself too. */
export function withClause(clause: Json | undefined, outer: Env, run: Run): Env {
  if (!isObject(clause) || !Array.isArray(clause["ctes"])) return outer;
  let env = outer;
  const recursive = clause["recursive"] === true;
  const { order, circle } = recursive
    ? inOrder(clause["ctes"])
    : { order: clause["ctes"].slice(0, MAX_CTES), circle: [] };
  for (const item of order) {
    const node = unwrap(item)?.node ?? {};
    const name = nameOf(item);
    const itself = recursive && relationNames(node["ctequery"] ?? null).has(name);
    const shape = itself ? recursiveQuery(name, node, env, run) : plainQuery(node, env, run);
    env = { ...env, ctes: { name, shape: extended(shape, node, run), outer: env.ctes } };
  }
  for (const item of circle) {
    const shape = openShape(run.unknown("expressions of WITH that name each other"));
    env = { ...env, ctes: { name: nameOf(item), shape, outer: env.ctes } };
  }
  if (clause["ctes"].length > MAX_CTES) run.notWalked();
  if (circle.length > 0) run.incomplete = true;
  // What they probe and write counts all the same.
  for (const item of circle) plainQuery(unwrap(item)?.node ?? {}, env, run);
  return env;
}

const nameOf = (item: Json): string => text(unwrap(item)?.node["ctename"]) ?? "";

/**
 * WITH RECURSIVE may name what stands behind: the server sorts, and so must this. In a circle, the server refuses them, or
 * one of the names means something nearer.
 */
function inOrder(ctes: Json[]): { order: Json[]; circle: Json[] } {
  const list = ctes.slice(0, MAX_CTES);
  const places = new Map(list.map((item, i) => [nameOf(item), i]));
  const waiting: number[] = [];
  /** those that name it */
  const users = list.map((): number[] => []);
  for (const [i, item] of list.entries()) {
    const named = [...relationNames(item)].map((name) => places.get(name)).filter((at) => at !== undefined && at !== i);
    waiting[i] = named.length;
    for (const at of named) if (at !== undefined) users[at]?.push(i);
  }
  const ready = list.flatMap((_item, i) => (waiting[i] === 0 ? [i] : []));
  // Grows while it is read.
  for (const at of ready) {
    for (const user of users[at] ?? []) if (--waiting[user]! === 0) ready.push(user);
  }
  const order = ready.map((at) => list[at] ?? null);
  return { order, circle: list.filter((_item, i) => waiting[i] !== 0) };
}

const namesIn = new WeakMap<object, ReadonlySet<string>>();

/** Names without a schema that stand where a relation could, whatever they mean there. */
function relationNames(value: Json): ReadonlySet<string> {
  const before = isObject(value) ? namesIn.get(value) : undefined;
  if (before !== undefined) return before;
  const names = new Set<string>();
  if (isObject(value)) namesIn.set(value, names);
  const pending: Json[] = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== "object" || next === null) continue;
    if (Array.isArray(next)) {
      for (const item of next) pending.push(item);
      continue;
    }
    const { relname, schemaname } = next;
    if (typeof relname === "string" && schemaname === undefined) names.add(relname);
    for (const [key, inner] of Object.entries(next)) if (key !== "A_Const") pending.push(inner);
  }
  return names;
}

function plainQuery(node: JsonObject, env: Env, run: Run): Shape {
  const query = unwrap(node["ctequery"]);
  if (query === undefined) return openShape(run.unknown("syntax"));
  return renamed(run.query(query.type, query.node, env), strings(node["aliascolnames"]));
}

function recursiveQuery(name: string, node: JsonObject, env: Env, run: Run): Shape {
  const query = unwrap(node["ctequery"]);
  const left = query?.node["larg"];
  const right = query?.node["rarg"];
  if (query?.type !== "SelectStmt" || !isObject(left) || !isObject(right)) return plainQuery(node, env, run);
  // Its own WITH is seen by both sides.
  const inner = withClause(query.node["withClause"], env, run);
  // And may have another query of the same name, which is nearer.
  let hidden = false;
  for (let at = inner.ctes; at !== undefined && at !== env.ctes; at = at.outer) hidden ||= at.name === name;
  const names = strings(node["aliascolnames"]);
  let shape = anonymous(renamed(run.query("SelectStmt", left, inner), names));
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const own = { name, shape: extended(shape, node, run), outer: inner.ctes };
    const itself = hidden ? inner : { ...inner, ctes: own };
    const next = grown(shape, run.query("SelectStmt", right, itself), run);
    if (same(shape, next)) {
      if (query.node["all"] !== true) for (const column of next.columns) run.probe(column.flow);
      return next;
    }
    shape = next;
  }
  return openShape(join([run.unknown("a recursion that does not settle"), ...shape.columns.map((c) => c.flow)], false));
}

function grown(shape: Shape, step: Shape, run: Run): Shape {
  if (shape.open === undefined && step.open === undefined && shape.columns.length === step.columns.length) {
    const columns = shape.columns.map(({ name, flow }, i): Column => {
      return { name, flow: join([flow, step.columns[i]?.flow ?? NOTHING], true) };
    });
    return anonymous({ columns, open: undefined });
  }
  const flows = [...shape.columns, ...step.columns].map((column) => column.flow);
  for (const open of [shape.open, step.open]) if (open !== undefined) flows.push(open);
  const known = shape.open !== undefined || step.open !== undefined;
  return openShape(join(known ? flows : [...flows, run.unknown("syntax")], false));
}

/** The columns of a recursion are no relation's to the server. */
const anonymous = (shape: Shape): Shape => ({
  ...shape,
  columns: shape.columns.map(({ name, flow }) => ({ name, flow: { ...unnamed(flow), fields: undefined } })),
});

const size = (flow: Flow | undefined): string =>
  flow === undefined
    ? "-"
    : `${flow.sources.length} ${flow.temporary.length} ${flow.exact} ${flow.unknown === "" ? "" : "?"}`;

const same = (a: Shape, b: Shape): boolean =>
  size(a.open) === size(b.open) &&
  a.columns.length === b.columns.length &&
  a.columns.every((column, i) => size(column.flow) === size(b.columns[i]?.flow));

export const renamed = (shape: Shape, names: readonly string[]): Shape =>
  names.length === 0
    ? shape
    : { ...shape, columns: shape.columns.map(({ name, flow }, i) => ({ name: names[i] ?? name, flow })) };

/** SEARCH adds a column, CYCLE two: the path and the order have values of the columns that they name. */
function extended(shape: Shape, node: JsonObject, run: Run): Shape {
  const search = isObject(node["search_clause"]) ? node["search_clause"] : undefined;
  const cycle = isObject(node["cycle_clause"]) ? node["cycle_clause"] : undefined;
  if (search === undefined && cycle === undefined) return shape;
  const listed = (names: Json | undefined): Flow => {
    const of = strings(names);
    const flows = shape.columns.filter((column) => of.includes(column.name)).map((column) => column.flow);
    return derived(join(shape.open === undefined ? flows : [...flows, shape.open], false));
  };
  const more: Column[] = [];
  const add = (name: Json | undefined, flow: Flow): void => void more.push({ name: text(name) ?? "", flow });
  if (search !== undefined) add(search["search_seq_column"], listed(search["search_col_list"]));
  if (cycle !== undefined) {
    // The mark says that a row was seen before.
    const path = listed(cycle["cycle_col_list"]);
    run.probe(path);
    add(cycle["cycle_mark_column"], NOTHING);
    add(cycle["cycle_path_column"], path);
  }
  return { ...shape, columns: [...shape.columns, ...more] };
}
