/** Select lists and RETURNING lists. */

import type { Json } from "../sql/parser.ts";
import { strings, text, unwrap } from "../sql/tree.ts";
import { columnsOf } from "./function-flow.ts";
import { derived, join, unnamed } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import { outputName } from "./output-names.ts";
import { ownFunction } from "./own-names.ts";
import { NO_RELATION } from "./run.ts";
import type { Run } from "./run.ts";
import { allColumns, itemNamed, partsOf, rowItem, shapeOf } from "./scope.ts";
import type { Env } from "./scope.ts";

/** Columns of a list of ResTargets. `*` of the innermost level. */
export function targets(list: Json | undefined, env: Env, run: Run): Shape {
  const columns: Column[] = [];
  const open: Flow[] = [];
  for (const item of Array.isArray(list) ? list : []) {
    const target = unwrap(item)?.node;
    if (target === undefined) continue;
    const star = starOf(target["val"], env, run);
    if (star === undefined) {
      const flow = run.expression(target["val"], env);
      const name = text(target["name"]) ?? outputName(target["val"], (query) => firstName(query, env, run));
      if (name === undefined) open.push(flow);
      else columns.push({ name, flow });
      continue;
    }
    columns.push(...star.columns);
    if (star.open !== undefined) open.push(star.open);
  }
  if (open.length === 0) return { columns, open: undefined };
  return { columns: [], open: join([...open, ...columns.map((column) => column.flow)], false) };
}

/** What a sub-query's first column is called, if that is known. */
function firstName(query: Json, env: Env, run: Run): string | undefined {
  const inner = unwrap(query);
  const shape = inner === undefined ? undefined : run.queryAgain(inner.type, inner.node, env);
  return shape?.open === undefined ? shape?.columns[0]?.name : undefined;
}

/** `*`, `item.*` and `(row).*`; undefined: it is none of them. */
function starOf(value: Json | undefined, env: Env, run: Run): Shape | undefined {
  const inner = unwrap(value);
  if (inner?.type !== "ColumnRef" && inner?.type !== "A_Indirection") return undefined;
  const list = inner.node[inner.type === "ColumnRef" ? "fields" : "indirection"];
  const fields = Array.isArray(list) ? list : [];
  if (unwrap(fields[fields.length - 1])?.type !== "A_Star") return undefined;
  if (inner.type === "ColumnRef") {
    const words = strings(fields);
    if (words.length === 0) return allColumns(env.level?.items ?? []);
    const item = itemNamed(env.level, words[words.length - 1] ?? "", words[words.length - 2]);
    return item === undefined ? { columns: [], open: run.unknown(NO_RELATION) } : shapeOf(item);
  }
  const rest = fields.slice(0, -1);
  const row = rest.length === 0 ? inner.node["arg"] : { A_Indirection: { ...inner.node, indirection: rest } };
  const found = rowItem(row, env.level);
  if (found === undefined || found.beside.length > 0) return fieldsOf(row, run.expression(row, env), env, run);
  return partsOf(found.item);
}

/** The columns of a row: those of the relation that it is of, or of the function that returns it. */
function fieldsOf(value: Json | undefined, flow: Flow, env: Env, run: Run): Shape {
  if (flow.fields !== undefined) {
    return { columns: flow.fields.map((field) => ({ ...field, flow: unnamed(field.flow) })), open: undefined };
  }
  const inner = unwrap(value);
  const name = inner?.type === "FuncCall" ? ownFunction(strings(inner.node["funcname"]), env, run) : undefined;
  const args = inner?.node["args"];
  const names = name === undefined ? undefined : columnsOf(name, Array.isArray(args) ? args.length : 0);
  if (names === undefined || names.length === 0) return { columns: [], open: derived(flow) };
  return { columns: names.map((column) => ({ name: column, flow: derived(flow) })), open: undefined };
}
