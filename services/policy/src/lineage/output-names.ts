/** The names that the server gives to result columns without an alias (FigureColname in parse_target.c). */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";

interface Named {
  /** undefined: not known */
  name: string | undefined;
  /** a cast, and CASE, give way to a better name inside */
  weak: boolean;
}

const UNNAMED = "?column?";
const MAX_STEPS = 1_000;

/** Nodes that are named after themselves. */
const OWN_NAMES: Readonly<Record<string, string>> = {
  GroupingFunc: "grouping",
  MergeSupportFunc: "merge_action",
  A_ArrayExpr: "array",
  RowExpr: "row",
  CoalesceExpr: "coalesce",
  XmlSerialize: "xmlserialize",
  JsonParseExpr: "json",
  JsonScalarExpr: "json_scalar",
  JsonSerializeExpr: "json_serialize",
  JsonObjectConstructor: "json_object",
  JsonArrayConstructor: "json_array",
  JsonArrayQueryConstructor: "json_array",
  JsonObjectAgg: "json_objectagg",
  JsonArrayAgg: "json_arrayagg",
};

const OPERATIONS: Readonly<Record<string, string>> = {
  IS_GREATEST: "greatest",
  IS_LEAST: "least",
  IS_XMLCONCAT: "xmlconcat",
  IS_XMLELEMENT: "xmlelement",
  IS_XMLFOREST: "xmlforest",
  IS_XMLPARSE: "xmlparse",
  IS_XMLPI: "xmlpi",
  IS_XMLROOT: "xmlroot",
  JSON_EXISTS_OP: "json_exists",
  JSON_QUERY_OP: "json_query",
  JSON_VALUE_OP: "json_value",
  SVFOP_CURRENT_DATE: "current_date",
  SVFOP_CURRENT_TIME: "current_time",
  SVFOP_CURRENT_TIME_N: "current_time",
  SVFOP_CURRENT_TIMESTAMP: "current_timestamp",
  SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
  SVFOP_LOCALTIME: "localtime",
  SVFOP_LOCALTIME_N: "localtime",
  SVFOP_LOCALTIMESTAMP: "localtimestamp",
  SVFOP_LOCALTIMESTAMP_N: "localtimestamp",
  SVFOP_CURRENT_ROLE: "current_role",
  SVFOP_CURRENT_USER: "current_user",
  SVFOP_USER: "user",
  SVFOP_SESSION_USER: "session_user",
  SVFOP_CURRENT_CATALOG: "current_catalog",
  SVFOP_CURRENT_SCHEMA: "current_schema",
};

/** What the first column of a sub-query is called whose select list begins with a star. */
type First = (query: Json) => string | undefined;

/** undefined: it depends on what `first` does not know. */
export function outputName(value: Json | undefined, first: First = () => undefined): string | undefined {
  const found = find(value, 0, first);
  return found === undefined ? UNNAMED : found.name;
}

function find(value: Json | undefined, steps: number, first: First): Named | undefined {
  const inner = unwrap(value);
  if (inner === undefined || steps > MAX_STEPS) return undefined;
  const { type, node } = inner;
  const own = OWN_NAMES[type] ?? (typeof node["op"] === "string" ? OPERATIONS[node["op"]] : undefined);
  if (own !== undefined) return { name: own, weak: false };
  switch (type) {
    case "ColumnRef":
      return lastOf(node["fields"]);
    case "FuncCall":
      return lastOf(node["funcname"]);
    case "A_Indirection":
      return lastOf(node["indirection"]) ?? find(node["arg"], steps + 1, first);
    case "CollateClause":
      return find(node["arg"], steps + 1, first);
    case "A_Expr":
      return node["kind"] === "AEXPR_NULLIF" ? { name: "nullif", weak: false } : undefined;
    case "TypeCast":
      return weakly(find(node["arg"], steps + 1, first), () => typeName(node["typeName"]));
    case "CaseExpr":
      return weakly(find(node["defresult"], steps + 1, first), () => "case");
    case "SubLink":
      return ofSubLink(node, steps, first);
    default:
      return undefined;
  }
}

function lastOf(list: Json | undefined): Named | undefined {
  const words = strings(list);
  const name = words[words.length - 1];
  return name === undefined ? undefined : { name, weak: false };
}

function weakly(found: Named | undefined, otherwise: () => string | undefined): Named | undefined {
  if (found !== undefined && !found.weak) return found;
  const name = otherwise();
  return name === undefined ? found : { name, weak: true };
}

function typeName(value: Json | undefined): string | undefined {
  const words = isObject(value) ? strings(value["names"]) : [];
  return words[words.length - 1];
}

function ofSubLink(node: JsonObject, steps: number, first: First): Named | undefined {
  const kind = node["subLinkType"];
  if (kind === "EXISTS_SUBLINK") return { name: "exists", weak: false };
  if (kind === "ARRAY_SUBLINK") return { name: "array", weak: false };
  if (kind !== "EXPR_SUBLINK") return undefined;
  let query = unwrap(node["subselect"])?.node;
  for (let left = query?.["larg"]; isObject(left); left = left["larg"]) query = left;
  if (Array.isArray(query?.["valuesLists"])) return { name: "column1", weak: false };
  const list = query?.["targetList"];
  const target = unwrap(Array.isArray(list) ? list[0] : undefined)?.node;
  const given = text(target?.["name"]);
  if (given !== undefined) return { name: given, weak: false };
  if (isStar(target?.["val"])) return { name: first(node["subselect"] ?? null), weak: false };
  const found = find(target?.["val"], steps + 1, first);
  return { name: found === undefined ? UNNAMED : found.name, weak: false };
}

function isStar(value: Json | undefined): boolean {
  const node = unwrap(value)?.node;
  const list = node?.["fields"] ?? node?.["indirection"];
  return Array.isArray(list) && unwrap(list[list.length - 1])?.type === "A_Star";
}
