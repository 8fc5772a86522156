/** SELECT, VALUES and set operations. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";
import { windowProbes } from "./calls.ts";
import { condition, matched, probeOrSearch } from "./conditions.ts";
import { NOTHING, join, oneOf, openShape, unnamed } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import { fromItems } from "./from-items.ts";
import type { Run } from "./run.ts";
import { below, columnNamed } from "./scope.ts";
import type { Env } from "./scope.ts";
import { targets } from "./targets.ts";
import { withClause } from "./with.ts";

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const isSetOperation = (node: JsonObject): boolean => node["op"] !== undefined && node["op"] !== "SETOP_NONE";

export function select(node: JsonObject, outer: Env, run: Run): Shape {
  const env = withClause(node["withClause"], outer, run);
  if (isSetOperation(node)) return setOperation(node, env, run);
  if (Array.isArray(node["valuesLists"])) return sorted(node, values(node["valuesLists"], env, run), env, run);
  const inner = below(env, fromItems(node["fromClause"], env, run));
  const shape = targets(node["targetList"], inner, run);
  condition(node["whereClause"], inner, run);
  for (const item of items(node["groupClause"])) grouped(item, shape, inner, run);
  condition(node["havingClause"], inner, run);
  for (const item of items(node["windowClause"])) windowProbes(unwrap(item)?.node ?? {}, inner, run);
  return sorted(node, shape, inner, run);
}

/** `a UNION b UNION c …` nests to the left: without a frame of the stack for each. */
function setOperation(node: JsonObject, env: Env, run: Run): Shape {
  const spine: JsonObject[] = [];
  let at = node;
  while (isSetOperation(at) && (at === node || isPlain(at))) {
    spine.push(at);
    const left: Json | undefined = at["larg"];
    if (!isObject(left)) return openShape(run.unknown("syntax"));
    at = left;
  }
  let shape = run.query("SelectStmt", at, env);
  for (const operation of spine.toReversed()) {
    const right = operation["rarg"];
    if (!isObject(right)) return openShape(run.unknown("syntax"));
    shape = combine(operation, shape, run.query("SelectStmt", right, env), run);
  }
  return sorted(node, shape, env, run);
}

const OWN_CLAUSES = ["withClause", "sortClause", "limitCount", "limitOffset", "lockingClause", "intoClause"];
const isPlain = (node: JsonObject): boolean => OWN_CLAUSES.every((clause) => node[clause] === undefined);

function combine(operation: JsonObject, left: Shape, right: Shape, run: Run): Shape {
  const except = operation["op"] === "SETOP_EXCEPT";
  const open = [left.open, right.open].filter((flow) => flow !== undefined);
  if (open.length > 0 || left.columns.length !== right.columns.length) {
    const flow = join([...flowsOf(left), ...flowsOf(right)], false);
    return openShape(open.length > 0 ? flow : join([flow, run.unknown("syntax")], false));
  }
  // Equal rows become one, or are looked for on the other side.
  const looksFor = except || operation["op"] === "SETOP_INTERSECT";
  if (looksFor)
    for (const [i, { flow }] of left.columns.entries()) matched(flow, right.columns[i]?.flow ?? NOTHING, run);
  else if (operation["all"] !== true) for (const flow of [...flowsOf(left), ...flowsOf(right)]) run.probe(flow);
  const columns = left.columns.map(({ name, flow }, i): Column => {
    const other = right.columns[i]?.flow ?? NOTHING;
    const both = oneOf([flow, other]);
    return { name, flow: { ...unnamed(except ? { ...flow, exact: both.exact } : both), fields: undefined } };
  });
  return { columns, open: undefined };
}

const flowsOf = (shape: Shape): Flow[] => {
  const flows = shape.columns.map((column) => column.flow);
  return shape.open === undefined ? flows : [...flows, shape.open];
};

const isConstant = (value: Json): boolean => isObject(value) && value["A_Const"] !== undefined;

function values(rows: readonly Json[], env: Env, run: Run): Shape {
  const columns: Flow[][] = [];
  let width: number | undefined;
  for (const row of rows) {
    const list = items(unwrap(row)?.node["items"]);
    if (width !== undefined && list.length !== width) return openShape(run.unknown("syntax"));
    width = list.length;
    for (const [i, value] of list.entries()) {
      const flows = (columns[i] ??= []);
      if (!isConstant(value)) flows.push(run.expression(value, env));
    }
  }
  const named = columns.map((flows, i): Column => {
    return { name: `column${i + 1}`, flow: { ...unnamed(oneOf(flows)), fields: undefined } };
  });
  return { columns: named, open: undefined };
}

/** ORDER BY, DISTINCT, LIMIT: the result depends on them without showing them. */
function sorted(node: JsonObject, shape: Shape, env: Env, run: Run): Shape {
  for (const item of items(node["sortClause"])) ordered(unwrap(item)?.node["node"], shape, env, run);
  const distinct = items(node["distinctClause"]);
  for (const item of distinct) {
    if (isObject(item) && Object.keys(item).length > 0) ordered(item, shape, env, run);
    else for (const flow of flowsOf(shape)) run.probe(flow);
  }
  run.search(run.expression(node["limitCount"], env));
  run.search(run.expression(node["limitOffset"], env));
  return shape;
}

/** A result column by its name or number, or else an expression. */
function ordered(value: Json | undefined, shape: Shape, env: Env, run: Run): void {
  const name = loneName(value);
  const named = name === undefined ? [] : shape.columns.filter((column) => column.name === name);
  const numbered = byNumber(value, shape);
  if (shape.open !== undefined && (name !== undefined || numbered !== undefined)) run.probe(shape.open);
  if (numbered !== undefined) probeOrSearch(numbered.flow, run);
  else if (named.length > 0) for (const column of named) probeOrSearch(column.flow, run);
  else probeOrSearch(run.expression(value, env), run);
}

/** In GROUP BY a column that is read goes before a result column of that name. */
function grouped(value: Json, shape: Shape, env: Env, run: Run): void {
  const inner = unwrap(value);
  if (inner?.type === "GroupingSet")
    return items(inner.node["content"]).forEach((item) => grouped(item, shape, env, run));
  if (inner?.type === "List") return items(inner.node["items"]).forEach((item) => grouped(item, shape, env, run));
  const name = loneName(value);
  const read =
    name === undefined || env.level === undefined ? undefined : columnNamed({ ...env.level, outer: undefined }, name);
  if (read === undefined) ordered(value, shape, env, run);
  else probeOrSearch(read, run);
}

function loneName(value: Json | undefined): string | undefined {
  const inner = unwrap(value);
  const fields = inner?.type === "ColumnRef" ? items(inner.node["fields"]) : [];
  return fields.length === 1 ? text(strings(fields)[0]) : undefined;
}

function byNumber(value: Json | undefined, shape: Shape): Column | undefined {
  const inner = unwrap(value);
  const number = inner?.type === "A_Const" && isObject(inner.node["ival"]) ? inner.node["ival"]["ival"] : undefined;
  return typeof number === "number" ? shape.columns[number - 1] : undefined;
}
