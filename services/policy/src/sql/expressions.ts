/** What nodes inside of statements tell: columns, functions, types, operators, sub-queries. */

import { builtinEffect } from "./builtin-functions.ts";
import type { Collector, Place } from "./collector.ts";
import type { Json, JsonObject } from "./parser.ts";
import { settingEffect } from "./settings.ts";
import { constantText } from "./statements.ts";
import { isObject, qualified, strings, text, unwrap } from "./tree.ts";

export function columnRef(node: JsonObject, place: Place, out: Collector): void {
  const fields = Array.isArray(node["fields"]) ? node["fields"] : [];
  const words = strings(fields);
  const star = unwrap(fields[fields.length - 1])?.type === "A_Star";
  const column = star ? "*" : words[words.length - 1];
  if (column === undefined) return;
  const qualifier = star ? words[words.length - 1] : words[words.length - 2];
  // The star of a select list is spread over its own FROM (see `starOf`).
  if (star && qualifier === undefined && place.field === "val") return;
  out.column(place, column, qualifier);
  // `t.name` may be a call of name(t).
  if (star || words.length < 2) return;
  out.function({ name: column, how: "attribute" });
  // So is `f.pg_read_file` over a function in FROM: what is built in and does something counts, column or not.
  if (builtinEffect(column, undefined) !== undefined) builtin(column, undefined, place, out);
}

/** `(expression).name` and `(expression).*` */
export function indirection(node: JsonObject, place: Place, out: Collector): void {
  for (const item of Array.isArray(node["indirection"]) ? node["indirection"] : []) {
    const inner = unwrap(item);
    const name = inner?.type === "String" ? text(inner.node["sval"]) : undefined;
    if (name === undefined) continue;
    out.function({ name, how: "attribute" });
    const effect = builtinEffect(name, undefined);
    if (effect !== undefined) builtin(name, undefined, place, out);
    out.column(place, name);
  }
}

export function functionCall(node: JsonObject, place: Place, out: Collector): void {
  const { schema, name } = qualified(strings(node["funcname"]));
  out.function(schema === undefined ? { name, how: "call" } : { schema, name, how: "call" });
  const args = Array.isArray(node["args"]) ? node["args"] : [];
  builtin(name, args, place, out);
}

/** Whatever the schema: a name of that kind is treated as what it looks like. */
function builtin(name: string, args: Json[] | undefined, place: Place, out: Collector): void {
  if (name === "set_config") return setConfig(args ?? [], place, out);
  const effect = builtinEffect(name, args?.length);
  if (effect === undefined) return;
  out.verb(name);
  if (effect.administer === true) out.bare("administer", place);
  if (effect.opaque === true) out.opaque(place);
  if (effect.write === true) out.bare("write", place);
  if (effect.hidden !== undefined) {
    const of = { schema: "pg_catalog", name: effect.hidden };
    out.relationNamed(of, effect.write === true ? ["write", "read"] : ["read"], place).columns.push("*");
  }
  // A payload that is computed carries what it was computed from to whoever listens.
  if (name === "pg_notify" && !(args ?? []).every(isFixed)) out.opaque(place);
}

const isFixed = (value: Json): boolean => {
  const inner = unwrap(value);
  if (inner?.type === "ParamRef") return true;
  if (inner?.type === "TypeCast") return inner.node["arg"] !== undefined && isFixed(inner.node["arg"]);
  return constantText(value) !== undefined;
};

/** A constant, through casts. */
function castConstant(value: Json | undefined): string | undefined {
  const inner = unwrap(value);
  if (inner?.type === "TypeCast") return castConstant(inner.node["arg"]);
  return constantText(value);
}

/** set_config(name, value, is_local): as SET. A computed value would carry data to where no mask looks. */
function setConfig(args: Json[], place: Place, out: Collector): void {
  out.verb("set");
  const name = castConstant(args[0])?.toLowerCase();
  const value = castConstant(args[1]);
  if (name === undefined) {
    out.bare("administer", place);
    out.opaque(place);
    out.draft.movesSearchPath = true;
    out.draft.unsafeSetting = "the setting's name must stand in the text";
    return;
  }
  out.setting(name, settingEffect({ name, value, known: value !== undefined }), place);
  if (!isFixed(args[1] ?? null)) out.opaque(place);
}

export function typeName(node: JsonObject, out: Collector): void {
  const words = strings(node["names"]);
  if (words.length === 0) return;
  out.type(qualified(words));
}

export function operator(node: JsonObject, out: Collector): void {
  const words = strings(node["name"]);
  if (words.length > 0) out.operator(qualified(words));
}

/** SQL/JSON and XML syntax that older servers read as calls of functions of these names. */
export const SYNTAX_FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  JsonFuncExpr: ["json_exists", "json_query", "json_value"],
  JsonTable: ["json_table"],
  JsonParseExpr: ["json"],
  JsonScalarExpr: ["json_scalar"],
  JsonSerializeExpr: ["json_serialize"],
  JsonObjectConstructor: ["json_object"],
  JsonArrayConstructor: ["json_array"],
  JsonArrayQueryConstructor: ["json_array"],
  JsonObjectAgg: ["json_objectagg"],
  JsonArrayAgg: ["json_arrayagg"],
  MergeSupportFunc: ["merge_action"],
};

/** Names that a FROM item gives to something that is no relation. */
export function derivedName(node: JsonObject, place: Place, out: Collector): void {
  const alias = node["alias"];
  if (isObject(alias)) out.derived(place, text(alias["aliasname"]));
}

/** `*` of a select list or RETURNING: all columns of the relations that stand directly in its FROM. */
export function starOf(list: Json | undefined): boolean {
  if (!Array.isArray(list)) return false;
  return list.some((item) => {
    const value = unwrap(item)?.node["val"];
    const ref = unwrap(value);
    if (ref?.type !== "ColumnRef") return false;
    const fields = Array.isArray(ref.node["fields"]) ? ref.node["fields"] : [];
    return fields.length === 1 && unwrap(fields[0])?.type === "A_Star";
  });
}

/**
 * `SELECT set_config(name, …) FROM pg_settings WHERE name = '…'`, which pg_dump sends: the WHERE says which setting it is.
 * Puts the constant in place of the column.
 */
export function settingNamedByWhere(select: JsonObject): void {
  const where = unwrap(select["whereClause"]);
  if (where?.type !== "A_Expr" || where.node["kind"] !== "AEXPR_OP" || strings(where.node["name"]).join(".") !== "=")
    return;
  const column = columnName(where.node["lexpr"]);
  if (column === undefined || constantText(where.node["rexpr"]) === undefined) return;
  for (const item of Array.isArray(select["targetList"]) ? select["targetList"] : []) {
    const call = unwrap(unwrap(item)?.node["val"]);
    if (call?.type !== "FuncCall" || qualified(strings(call.node["funcname"])).name !== "set_config") continue;
    const args = call.node["args"];
    if (Array.isArray(args) && columnName(args[0]) === column) args[0] = where.node["rexpr"] ?? null;
  }
}

/** The name of a column that is written without anything before it. */
function columnName(value: Json | undefined): string | undefined {
  const ref = unwrap(value);
  const words = ref?.type === "ColumnRef" ? strings(ref.node["fields"]) : [];
  return words.length === 1 ? words[0] : undefined;
}
