/** INSERT, UPDATE, DELETE: what RETURNING shows, and what is written where. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, text, unwrap } from "../sql/tree.ts";
import { condition } from "./conditions.ts";
import { NOTHING, derived, join, rowOf } from "./flow.ts";
import type { Flow, Shape } from "./flow.ts";
import { fromItems } from "./from-items.ts";
import type { Run } from "./run.ts";
import { below, columnOf, itemNamed } from "./scope.ts";
import type { Env, Item } from "./scope.ts";
import { targets } from "./targets.ts";
import { afterwards, proposed, targetOf, write } from "./written.ts";
import type { Assigned, Target } from "./written.ts";
import { withClause } from "./with.ts";

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

export function insert(node: JsonObject, outer: Env, run: Run): Shape {
  const env = withClause(node["withClause"], outer, run);
  const target = targetOf(node["relation"], "new", env, run);
  const assigned = inserted(node, target, env, run);
  write(target, assigned, run);
  const conflict = isObject(node["onConflictClause"]) ? node["onConflictClause"] : undefined;
  if (conflict !== undefined) onConflict(conflict, target, assigned, env, run);
  return returning(node, [], { target, assigned, before: target.item }, env, run);
}

/** The columns that a source's columns go to, by name. */
function inserted(node: JsonObject, target: Target, env: Env, run: Run): Map<string, Flow> {
  const assigned = new Map<string, Flow>();
  const query = unwrap(node["selectStmt"]);
  if (query === undefined) return assigned;
  const source = run.query(query.type, query.node, env);
  const listed = items(node["cols"]).map((item) => unwrap(item)?.node ?? {});
  const names = listed.length > 0 ? listed.map((column) => text(column["name"]) ?? "") : target.names;
  if (source.open !== undefined || target.item.open !== undefined || source.columns.length > names.length) {
    // Which goes where is not known: anything could go everywhere.
    const everything = rowOf(source);
    for (const name of names) assigned.set(name, { ...everything, fields: undefined });
    if (target.item.open !== undefined && listed.length === 0) assigned.set("", { ...everything, fields: undefined });
    return assigned;
  }
  for (const [i, { flow }] of source.columns.entries()) {
    const part = items(listed[i]?.["indirection"]).length > 0 ? derived(flow) : flow;
    const name = names[i] ?? "";
    assigned.set(name, join([assigned.get(name) ?? NOTHING, part], true));
  }
  return assigned;
}

function onConflict(conflict: JsonObject, target: Target, assigned: Map<string, Flow>, env: Env, run: Run): void {
  const infer = isObject(conflict["infer"]) ? conflict["infer"] : {};
  const excluded = { ...proposed(target, assigned), name: "excluded", schema: undefined };
  const inner = below(env, [target.item, excluded]);
  const arbiter = below(env, [target.item]);
  for (const element of items(infer["indexElems"])) {
    const node = unwrap(element)?.node ?? {};
    const name = text(node["name"]);
    if (name !== undefined) run.probe(columnOf(target.item, name) ?? NOTHING);
    run.probe(run.expression(node["expr"], arbiter));
  }
  condition(infer["whereClause"], arbiter, run);
  const changes = assignments(conflict["targetList"], inner, run);
  condition(conflict["whereClause"], inner, run);
  write(target, changes, run);
  for (const [name, flow] of changes) assigned.set(name, join([assigned.get(name) ?? NOTHING, flow], true));
}

export function update(node: JsonObject, outer: Env, run: Run): Shape {
  const env = withClause(node["withClause"], outer, run);
  const target = targetOf(node["relation"], "old", env, run);
  const all = fromItems(node["fromClause"], env, run, [target.item]);
  const inner = below(env, all);
  const assigned = assignments(node["targetList"], inner, run);
  write(target, assigned, run);
  condition(node["whereClause"], inner, run);
  return returning(node, all.slice(1), { target, assigned, before: target.item }, env, run);
}

export function remove(node: JsonObject, outer: Env, run: Run): Shape {
  const env = withClause(node["withClause"], outer, run);
  const target = targetOf(node["relation"], "old", env, run);
  const all = fromItems(node["usingClause"], env, run, [target.item]);
  condition(node["whereClause"], below(env, all), run);
  return returning(node, all.slice(1), { target, assigned: new Map(), before: target.item }, env, run);
}

/** `SET column = expression, (a, b) = (…), part[1] = …` */
export function assignments(list: Json | undefined, env: Env, run: Run): Map<string, Flow> {
  const assigned = new Map<string, Flow>();
  for (const item of items(list)) {
    const node = unwrap(item)?.node ?? {};
    const name = text(node["name"]) ?? "";
    const flow = assignedValue(node["val"], env, run);
    const part = items(node["indirection"]).length > 0 ? derived(flow) : flow;
    assigned.set(name, join([assigned.get(name) ?? NOTHING, part], true));
  }
  return assigned;
}

function assignedValue(value: Json | undefined, env: Env, run: Run): Flow {
  const inner = unwrap(value);
  if (inner?.type !== "MultiAssignRef") return run.expression(value, env);
  const at = Number(inner.node["colno"]) - 1;
  const source = unwrap(inner.node["source"]);
  if (source?.type === "RowExpr") {
    const args = items(source.node["args"]);
    return args.length === inner.node["ncolumns"] ? run.expression(args[at], env) : run.unknown("syntax");
  }
  const query = source?.type === "SubLink" ? unwrap(source.node["subselect"]) : undefined;
  if (query === undefined) return derived(run.expression(inner.node["source"], env));
  const shape = run.query(query.type, query.node, env);
  return shape.open ?? shape.columns[at]?.flow ?? run.unknown("syntax");
}

export interface Change {
  target: Target;
  assigned: Assigned;
  /** the target's rows as they were */
  before: Item;
}

/** RETURNING sees the target as it is afterwards, the other items, and `old` and `new` by those names. */
export function returning(node: JsonObject, others: readonly Item[], change: Change, env: Env, run: Run): Shape {
  const clause = isObject(node["returningClause"]) ? node["returningClause"] : undefined;
  if (clause === undefined) return { columns: [], open: undefined };
  const after = afterwards(change.target, change.assigned, run);
  // MERGE shows its source first.
  const list = node["sourceRelation"] === undefined ? [after, ...others] : [...others, after];
  const inner = below(env, list);
  const names = { RETURNING_OPTION_OLD: "old", RETURNING_OPTION_NEW: "new" };
  for (const option of items(clause["options"])) {
    const { option: which, value } = unwrap(option)?.node ?? {};
    if (which === "RETURNING_OPTION_OLD" || which === "RETURNING_OPTION_NEW") names[which] = text(value) ?? "";
  }
  const aliases = [
    // PostgreSQL 18.4 takes (old).a for the new a.
    { ...change.before, name: names.RETURNING_OPTION_OLD, schema: undefined, columnsVisible: false, partsFrom: after },
    { ...after, name: names.RETURNING_OPTION_NEW, schema: undefined, columnsVisible: false },
  ].filter((alias) => alias.name !== undefined && itemNamed(inner.level, alias.name) === undefined);
  return targets(clause["exprs"], below(env, [...list, ...aliases]), run);
}
