/** Functions in FROM, XMLTABLE and JSON_TABLE. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { children, isObject, strings, text, unwrap } from "../sql/tree.ts";
import { columnsOf } from "./function-flow.ts";
import { NOTHING, derived, join, openShape } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import { ownFunction, ownType, sharedFunction } from "./own-names.ts";
import { outputName } from "./output-names.ts";
import type { Run } from "./run.ts";
import { itemOf } from "./scope.ts";
import type { Env, Item } from "./scope.ts";
import { renamed } from "./with.ts";

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

/** `f(…)`, `f(…) WITH ORDINALITY`, `ROWS FROM (f(…), g(…))`. */
export function rangeFunction(node: JsonObject, env: Env, run: Run): Item {
  const alias = isObject(node["alias"]) ? node["alias"] : undefined;
  const aliasName = text(alias?.["aliasname"]);
  const functions = items(node["functions"]);
  const shapes = functions.map((entry) => {
    const [called, definitions] = items(unwrap(entry)?.node["items"]);
    const listed = [
      ...items(unwrap(definitions)?.node["items"]),
      ...(functions.length === 1 ? items(node["coldeflist"]) : []),
    ];
    return functionShape(called, listed, functions.length === 1 ? aliasName : undefined, env, run);
  });
  let shape = concatenated(shapes);
  if (node["ordinality"] === true && shape.open === undefined)
    shape = { columns: [...shape.columns, { name: "ordinality", flow: NOTHING }], open: undefined };
  const name = aliasName ?? outputName(items(unwrap(functions[0])?.node["items"])[0]);
  return itemOf(name, renamed(shape, strings(alias?.["colnames"])));
}

function concatenated(shapes: readonly Shape[]): Shape {
  const columns = shapes.flatMap((shape) => shape.columns);
  const open = shapes.map((shape) => shape.open).filter((flow) => flow !== undefined);
  if (open.length === 0) return { columns, open: undefined };
  return openShape(join([...open, ...columns.map((column) => column.flow)], false));
}

function functionShape(called: Json | undefined, listed: Json[], alias: string | undefined, env: Env, run: Run): Shape {
  const result = run.expression(called, env);
  const flow = derived(result);
  if (listed.length > 0) return definedColumns(listed, flow, env, run);
  const inner = unwrap(called);
  // CURRENT_DATE, CAST(…) and their like are one value.
  if (inner?.type !== "FuncCall") return oneColumn(alias ?? outputName(called) ?? "", flow);
  const own = ownFunction(strings(inner.node["funcname"]), env, run);
  const args = items(inner.node["args"]);
  if (own === undefined) return openShape(flow);
  if (own === "unnest") return unnested(args, alias, flow, env, run);
  const names = columnsOf(own, args.length);
  if (names === undefined && result.fields !== undefined) return { columns: result.fields, open: undefined };
  if (names === undefined) return openShape(flow);
  if (names.length === 0) return oneColumn(alias ?? own, flow);
  return { columns: names.map((name) => ({ name, flow })), open: undefined };
}

const oneColumn = (name: string, flow: Flow): Shape => ({ columns: [{ name, flow }], open: undefined });

/** A column for each array; for arrays of rows, one for each of their columns. */
function unnested(args: Json[], alias: string | undefined, flow: Flow, env: Env, run: Run): Shape {
  const plain = args.map((arg) => ({ flow: derived(run.expression(arg, env)), scalar: ofScalars(arg, env, run) }));
  if (plain.length === 0 || plain.some(({ scalar }) => !scalar)) return openShape(flow);
  if (plain.length === 1) return oneColumn(alias ?? "unnest", flow);
  return { columns: plain.map((arg) => ({ name: "unnest", flow: arg.flow })), open: undefined };
}

/** Is it certainly an array of plain values? */
function ofScalars(value: Json, env: Env, run: Run): boolean {
  const inner = unwrap(value);
  switch (inner?.type) {
    case "ColumnRef": {
      const type = run.expression(value, env).type?.text;
      // A user's type could be a row's.
      return (
        type !== undefined &&
        type.endsWith("[]") &&
        run.names.index?.hasType(type.slice(0, -2)) === false &&
        BUILTIN.test(type)
      );
    }
    case "TypeCast": {
      const typeName = isObject(inner.node["typeName"]) ? inner.node["typeName"] : {};
      return (
        items(typeName["arrayBounds"]).length > 0 &&
        ownType(typeName, env, run) &&
        !strings(typeName["names"]).includes("record")
      );
    }
    case "A_ArrayExpr":
      return items(inner.node["elements"]).every((element) => isPlainValue(element, env, run));
    case "FuncCall": {
      const own = ownFunction(strings(inner.node["funcname"]), env, run);
      return own !== undefined && TEXT_ARRAYS.has(own);
    }
    default:
      return false;
  }
}

/** What format_type calls types of the server's own. */
const BUILTIN =
  /^(?:text|character varying|character|integer|bigint|smallint|numeric|boolean|date|uuid|jsonb?|real|double precision|timestamp|time|bytea|oid|name|inet|interval|"char")/;
const TEXT_ARRAYS = new Set([
  "string_to_array",
  "regexp_split_to_array",
  "regexp_match",
  "current_schemas",
  "tsvector_to_array",
]);

function isPlainValue(value: Json, env: Env, run: Run): boolean {
  const inner = unwrap(value);
  if (inner?.type === "A_Const" || inner?.type === "ParamRef") return true;
  if (inner?.type === "A_ArrayExpr")
    return items(inner.node["elements"]).every((element) => isPlainValue(element, env, run));
  if (inner?.type !== "ColumnRef") return false;
  const { type } = run.expression(value, env);
  return type !== undefined && BUILTIN.test(type.text);
}

function definedColumns(listed: Json[], flow: Flow, env: Env, run: Run): Shape {
  const columns = listed.map((item): Column => {
    const node = unwrap(item)?.node ?? {};
    const typeName = isObject(node["typeName"]) ? node["typeName"] : {};
    const own = ownType(typeName, env, run);
    const reason = own ? "" : run.note("a type that is not the server's own");
    return { name: text(node["colname"]) ?? "", flow: own ? flow : { ...flow, unknown: flow.unknown || reason } };
  });
  return { columns, open: undefined };
}

/** XMLTABLE, JSON_TABLE: every column may have anything of what stands in it. */
export function tableFunction(type: string, node: JsonObject, env: Env, run: Run): Item {
  const names: Gathered["names"] = [];
  const flows: Flow[] = [];
  gather(type, node, { names, flows }, env, run);
  let flow = derived(join(flows, false));
  if (type === "JsonTable" && sharedFunction("json_table", env, run))
    flow = { ...flow, exact: false, unknown: run.note("a function that is not the server's own") };
  const alias = isObject(node["alias"]) ? node["alias"] : undefined;
  const columns = names.map(({ name, ordinality }) => ({ name, flow: ordinality ? NOTHING : flow }));
  const shape: Shape = { columns, open: undefined };
  return itemOf(text(alias?.["aliasname"]) ?? type.toLowerCase(), renamed(shape, strings(alias?.["colnames"])));
}

/** Nodes that only hold others. */
const HOLDERS = new Set([
  "RangeTableFuncCol",
  "JsonTableColumn",
  "JsonValueExpr",
  "JsonArgument",
  "JsonBehavior",
  "JsonTablePathSpec",
  "ResTarget",
  "List",
]);
const EMPTY = new Set(["Alias", "JsonFormat", "String", "Integer", "Boolean"]);

interface Gathered {
  names: { name: string; ordinality: boolean }[];
  flows: Flow[];
}

function gather(type: string, node: JsonObject, into: Gathered, env: Env, run: Run): void {
  // A column has its name before those nested in it: NESTED PATH has none of its own.
  const ordinality = node["for_ordinality"] === true || node["coltype"] === "JTC_FOR_ORDINALITY";
  if (type === "RangeTableFuncCol") into.names.push({ name: text(node["colname"]) ?? "", ordinality });
  if (type === "JsonTableColumn" && node["coltype"] !== "JTC_NESTED")
    into.names.push({ name: text(node["name"]) ?? "", ordinality });
  for (const child of children(type, node)) {
    if (EMPTY.has(child.type)) continue;
    if (child.type === "TypeName") {
      if (!ownType(child.node, env, run)) into.flows.push(run.unknown("a type that is not the server's own"));
    } else if (HOLDERS.has(child.type)) gather(child.type, child.node, into, env, run);
    else into.flows.push(run.expression({ [child.type]: child.node }, env));
  }
}
