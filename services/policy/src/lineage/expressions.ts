/**
 * What flows into the value of an expression. A kind of node that is not in the table is unknown. Conditions of CASE count
 * as sources too: twenty-six of them spell a letter.
 */

import type { Relation } from "@sallyport/proto/catalog_model";
import type { Json, JsonObject } from "../sql/parser.ts";
import { children, isObject, strings, text, unwrap } from "../sql/tree.ts";
import { call, windowProbes } from "./calls.ts";
import { NO_ORIGIN, NOTHING, derived, isText, join, oneOf, tainted, unnamed } from "./flow.ts";
import type { Flow } from "./flow.ts";
import { castTarget, ownFunction, ownOperator, ownOperators, ownType, rowType, sharedFunction } from "./own-names.ts";
import { flowOf } from "./function-flow.ts";
import { NO_COLUMN, NO_RELATION } from "./run.ts";
import type { Run } from "./run.ts";
import { columnNamed, columnOf, either, itemNamed, part, rowItem, wholeRow } from "./scope.ts";
import type { Env } from "./scope.ts";

type Visit = (node: JsonObject, env: Env, run: Run, type: string) => Flow;

export function expression(value: Json | undefined, env: Env, run: Run): Flow {
  if (Array.isArray(value)) return derived(all(value, env, run));
  const inner = unwrap(value);
  if (inner === undefined) return isObject(value) && Object.keys(value).length > 0 ? run.unknown(SHAPE) : NOTHING;
  const visit = EXPRESSIONS[inner.type];
  return visit === undefined ? run.unknown(`syntax (${inner.type})`) : visit(inner.node, env, run, inner.type);
}

const SHAPE = "syntax";
const FIRST_USER_OID = 16_384;

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

/** Lists of constants are long, and flow nothing. */
const isConstant = (value: Json): boolean => isObject(value) && value["A_Const"] !== undefined;

/** Whatever is in a list. Exact where each value is one of theirs. */
function all(list: Json[], env: Env, run: Run): Flow {
  const flows: Flow[] = [];
  for (const item of list) if (!isConstant(item)) flows.push(run.expression(item, env));
  return join(flows, true);
}

const parts =
  (...fields: string[]): Visit =>
  (node, env, run) => {
    const list: Json[] = [];
    for (const field of fields) for (const item of items(node[field])) list.push(item);
    return derived(all(list, env, run));
  };

const nothing: Visit = () => NOTHING;

/** COALESCE, GREATEST, LEAST: one of their arguments. */
const choice: Visit = (node, env, run) => {
  const branches = items(node["args"]).filter((arg) => !takesAnyType(arg));
  const flows = branches.map((arg) => run.expression(arg, env));
  return { ...unnamed(oneOf(flows)), fields: undefined };
};

/** A quoted text, NULL, or an integer among other numbers: it takes the type of the others. */
function takesAnyType(value: Json): boolean {
  const inner = unwrap(value);
  return inner?.type === "A_Const" && inner.node["fval"] === undefined && inner.node["boolval"] === undefined;
}

/** `a + b + c + …` nests to the left: without a frame of the stack for each. */
function operation(node: JsonObject, env: Env, run: Run): Flow {
  const flows: Flow[] = [];
  let foreign = false;
  let at: JsonObject | undefined = node;
  while (at !== undefined) {
    foreign ||= !ownOperation(at, env, run);
    flows.push(...items(at["rexpr"]).map((item) => (isConstant(item) ? NOTHING : run.expression(item, env))));
    const left = unwrap(at["lexpr"]);
    if (left?.type === "A_Expr" && left.node["kind"] === "AEXPR_OP" && at["kind"] === "AEXPR_OP") at = left.node;
    else {
      if (at["lexpr"] !== undefined) flows.push(run.expression(at["lexpr"], env));
      at = undefined;
    }
  }
  // NULLIF gives its first argument, or nothing.
  const flow = join(flows, node["kind"] === "AEXPR_NULLIF");
  const value: Flow = { ...unnamed(flow), fields: undefined };
  return foreign ? tainted(value, run.note("an operator that is not the server's own")) : value;
}

/** Operators that the syntax stands for. */
const SYNTAX_OPERATORS: Readonly<Record<string, readonly string[]>> = {
  AEXPR_DISTINCT: ["="],
  AEXPR_NOT_DISTINCT: ["="],
  AEXPR_NULLIF: ["="],
  AEXPR_BETWEEN: ["<=", ">="],
  AEXPR_NOT_BETWEEN: ["<", ">"],
  AEXPR_BETWEEN_SYM: ["<=", ">="],
  AEXPR_NOT_BETWEEN_SYM: ["<", ">"],
};

function ownOperation(node: JsonObject, env: Env, run: Run): boolean {
  const kind = typeof node["kind"] === "string" ? node["kind"] : "";
  const implied = SYNTAX_OPERATORS[kind];
  if (implied !== undefined) return ownOperators(implied, env, run);
  const words = strings(node["name"]);
  return words.length > 0 && ownOperator(words, env, run);
}

/** A value of the same type stays the column it was; a text cast to text without a length stays the text it was. */
function cast(node: JsonObject, env: Env, run: Run): Flow {
  const inner = run.expression(node["arg"], env);
  const typeName = isObject(node["typeName"]) ? node["typeName"] : {};
  const relation = rowType(typeName, env, run);
  if (relation !== undefined) return castToRow(node["arg"], inner, relation, run);
  if (!ownType(typeName, env, run)) {
    // A literal is read by the type itself: no cast of a user's own comes between, and there is nothing to read but it.
    if (isLiteral(node["arg"])) return env.parameters === inner ? derived(inner) : NOTHING;
    return tainted(derived(inner), run.note("a type that is not the server's own"));
  }
  const { type } = inner;
  const { oid, bounded } = castTarget(typeName);
  // Of a type that is not known: it may be the same.
  if (oid === undefined || type === undefined) {
    return { ...derived(inner), type: undefined, origins: [...NO_ORIGIN, ...inner.origins] };
  }
  const limited = type.text.includes("(");
  if (oid === type.oid && !bounded && !limited) return inner;
  if (oid === type.oid) return { ...inner, exact: false, origins: [...inner.origins, { oid: 0, number: 0 }] };
  const same = isText(oid) && isText(type.oid) && !bounded;
  return same ? { ...unnamed(inner), type: { oid, text: "" } } : derived(inner);
}

/** A quoted text, NULL, or a parameter, whose type is the one that it is cast to. */
function isLiteral(value: Json | undefined): boolean {
  const inner = unwrap(value);
  if (inner?.type === "ParamRef") return true;
  return inner?.type === "A_Const" && (inner.node["sval"] !== undefined || inner.node["isnull"] === true);
}

/** To the row of a relation: NULL, or a row that is one already. Anything else may have a cast of a user's own. */
function castToRow(value: Json | undefined, inner: Flow, relation: Relation, run: Run): Flow {
  const plain = relation.columns.every((column) => column.typeOid < FIRST_USER_OID);
  const constant = value !== undefined && value !== null && isConstant(value);
  if (constant && plain) return { ...NOTHING, fields: relation.columns.map(({ name }) => ({ name, flow: NOTHING })) };
  if (inner.fields !== undefined && inner.rowOf === relation.oid) return inner;
  return tainted(derived(inner), run.note("a type that is not the server's own"));
}

/** ROW(a, b): its fields are f1, f2. */
function row(node: JsonObject, env: Env, run: Run): Flow {
  const args = items(node["args"]);
  const flows = args.map((arg) => run.expression(arg, env));
  const whole = derived(join(flows, false));
  const spread = args.some((arg) => unwrap(arg)?.type === "ColumnRef" && isStar(arg));
  return spread ? whole : { ...whole, fields: flows.map((flow, i) => ({ name: `f${i + 1}`, flow: unnamed(flow) })) };
}

function isStar(value: Json): boolean {
  const fields = items(unwrap(value)?.node["fields"]);
  return unwrap(fields[fields.length - 1])?.type === "A_Star";
}

function caseExpression(node: JsonObject, env: Env, run: Run): Flow {
  const branches: Json[] = [];
  const conditions: Flow[] = [run.expression(node["arg"], env)];
  for (const item of items(node["args"])) {
    const when = unwrap(item)?.node ?? {};
    conditions.push(run.expression(when["expr"], env));
    branches.push(when["result"] ?? null);
  }
  branches.push(node["defresult"] ?? null);
  const results = branches.filter((branch) => branch !== null && !takesAnyType(branch));
  const condition = join(conditions, false);
  run.search(condition);
  const result = oneOf(results.map((branch) => run.expression(branch, env)));
  const carries = condition.sources.length > 0 || condition.unknown !== "" || condition.temporary.length > 0;
  return { ...unnamed(join([result, condition], !carries)), fields: undefined };
}

function columnRef(node: JsonObject, env: Env, run: Run): Flow {
  const fields = items(node["fields"]);
  const words = strings(fields);
  const name = words[words.length - 1] ?? "";
  if (words.length === 0 || words.length > 4) return run.unknown("a `*` here");
  // `item.*` within an expression is its whole row.
  if (words.length !== fields.length) {
    const item = itemNamed(env.level, name, words[words.length - 2]);
    return item === undefined ? run.unknown(NO_RELATION) : wholeRow(item);
  }
  if (words.length === 1) {
    const column = columnNamed(env.level, name);
    if (column !== undefined) return column;
    const item = itemNamed(env.level, name);
    return item === undefined ? run.unknown(NO_COLUMN) : wholeRow(item);
  }
  const item = itemNamed(env.level, words[words.length - 2] ?? "", words[words.length - 3]);
  if (item === undefined) return run.unknown(NO_COLUMN);
  const column = columnOf(item, name);
  const certain = item.open === undefined || run.names.index?.hasFunction(name) === false;
  if (column !== undefined && certain) return column;
  // `t.f` that is no column of t is f(t).
  return functional(name, wholeRow(item), env, run);
}

/** `(value).name` where the value has no such column, as far as is known: a part of it, or a call of `name`. */
function functional(name: string, whole: Flow, env: Env, run: Run): Flow {
  const called = ownFunction([name], env, run);
  const shared = sharedFunction(name, env, run);
  if (shared || (called !== undefined && flowOf(called) === "unknown"))
    return tainted(derived(whole), run.note("a function that is not known"));
  return derived(whole);
}

/** `(c).email`, where c is an item of FROM. */
function fieldOfItem(whole: Json | undefined, field: Json | undefined, env: Env): Flow | undefined {
  const step = unwrap(field);
  const name = step?.type === "String" ? text(step.node["sval"]) : undefined;
  const found = name === undefined ? undefined : rowItem(whole, env.level);
  if (name === undefined || found === undefined) return undefined;
  const { item, beside } = found;
  const [column, ...others] = item.columns.filter((one) => one.name === name);
  const flow = others.length > 0 ? undefined : (column?.flow ?? item.open?.of(name));
  if (flow === undefined) return undefined;
  return either([part(item, name, flow), ...beside.map(derived)]);
}

function indirection(node: JsonObject, env: Env, run: Run): Flow {
  const [first, ...others] = items(node["indirection"]);
  const column = fieldOfItem(node["arg"], first, env);
  let flow = column ?? run.expression(node["arg"], env);
  for (const item of column === undefined ? items(node["indirection"]) : others) {
    const step = unwrap(item);
    const name = step?.type === "String" ? text(step.node["sval"]) : undefined;
    if (name !== undefined) {
      const field = flow.fields?.find((one) => one.name === name);
      flow = field === undefined ? functional(name, flow, env, run) : unnamed(field.flow);
    } else if (step?.type === "A_Indices") {
      flow = derived(join([flow, all([...items(step.node["lidx"]), ...items(step.node["uidx"])], env, run)], false));
    } else {
      return run.unknown("a `*` here");
    }
  }
  return flow;
}

function subLink(node: JsonObject, env: Env, run: Run): Flow {
  const query = unwrap(node["subselect"]);
  if (query === undefined) return run.unknown(SHAPE);
  const shape = run.query(query.type, query.node, env);
  const kind = node["subLinkType"];
  // What it selects does not matter; its conditions have been probed.
  if (kind === "EXISTS_SUBLINK") return NOTHING;
  const flows = shape.columns.map((column) => column.flow);
  if (shape.open !== undefined) flows.push(shape.open);
  if (kind === "EXPR_SUBLINK") {
    const [only] = flows;
    if (only === undefined) return run.unknown(SHAPE);
    return unnamed(flows.length === 1 ? only : join(flows, false));
  }
  if (node["testexpr"] !== undefined) flows.push(run.expression(node["testexpr"], env));
  const flow = join(flows, false);
  const operator = strings(node["operName"]);
  const own = operator.length > 0 ? ownOperator(operator, env, run) : ownOperator(["="], env, run);
  if (kind === "ARRAY_SUBLINK" || own) return derived(flow);
  return tainted(derived(flow), run.note("an operator that is not the server's own"));
}

/** Nodes of XML and SQL/JSON syntax that only hold others. */
const HOLDERS = new Set([
  "JsonValueExpr",
  "JsonKeyValue",
  "JsonArgument",
  "JsonBehavior",
  "JsonAggConstructor",
  "JsonOutput",
  "ResTarget",
  "SortBy",
  "List",
]);
const EMPTY = new Set(["JsonFormat", "JsonReturning", "String", "Integer", "Boolean"]);

/** XML and SQL/JSON: all that stands in them. */
function holder(node: JsonObject, env: Env, run: Run, type: string): Flow {
  const flows: Flow[] = [];
  for (const child of children(type, node)) {
    if (EMPTY.has(child.type)) continue;
    if (child.type === "WindowDef") windowProbes(child.node, env, run);
    else if (child.field === "agg_filter") run.search(run.expression({ [child.type]: child.node }, env));
    else if (child.type === "TypeName") {
      if (!ownType(child.node, env, run)) flows.push(run.unknown("a type that is not the server's own"));
    } else if (child.type === "SelectStmt") {
      const shape = run.query(child.type, child.node, env);
      flows.push(...shape.columns.map((column) => column.flow), ...(shape.open === undefined ? [] : [shape.open]));
    } else if (HOLDERS.has(child.type)) flows.push(holder(child.node, env, run, child.type));
    else flows.push(run.expression({ [child.type]: child.node }, env));
  }
  return derived(join(flows, false));
}

/** Older servers read this syntax as calls of functions of these names. */
function syntaxCall(...names: string[]): Visit {
  return (node, env, run, type) => {
    const flow = holder(node, env, run, type);
    const shared = names.some((name) => sharedFunction(name, env, run));
    return shared ? tainted(flow, run.note("a function that is not the server's own")) : flow;
  };
}

const EXPRESSIONS: Readonly<Record<string, Visit>> = {
  A_Const: nothing,
  ParamRef: (_node, env) => env.parameters,
  SQLValueFunction: nothing,
  CurrentOfExpr: nothing,
  SetToDefault: nothing,
  MergeSupportFunc: nothing,
  GroupingFunc: nothing,
  ColumnRef: columnRef,
  TypeCast: cast,
  CollateClause: (node, env, run) => unnamed(run.expression(node["arg"], env)),
  A_Expr: operation,
  BoolExpr: parts("args"),
  NullTest: parts("arg"),
  BooleanTest: parts("arg"),
  RowExpr: row,
  A_ArrayExpr: parts("elements"),
  List: parts("items"),
  CoalesceExpr: choice,
  MinMaxExpr: choice,
  CaseExpr: caseExpression,
  NamedArgExpr: (node, env, run) => run.expression(node["arg"], env),
  A_Indirection: indirection,
  SubLink: subLink,
  FuncCall: call,
  XmlExpr: holder,
  XmlSerialize: holder,
  JsonIsPredicate: holder,
  JsonParseExpr: syntaxCall("json"),
  JsonScalarExpr: syntaxCall("json_scalar"),
  JsonSerializeExpr: syntaxCall("json_serialize"),
  JsonObjectConstructor: syntaxCall("json_object"),
  JsonArrayConstructor: syntaxCall("json_array"),
  JsonArrayQueryConstructor: syntaxCall("json_array"),
  JsonObjectAgg: syntaxCall("json_objectagg"),
  JsonArrayAgg: syntaxCall("json_arrayagg"),
  JsonFuncExpr: syntaxCall("json_exists", "json_query", "json_value"),
};
