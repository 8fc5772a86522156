/** Is a name the server's own? Only if nothing of a user could be meant by it. */

import type { Relation } from "@sallyport/proto/catalog_model";
import { BUILTIN_FUNCTIONS, BUILTIN_TYPES } from "../sql/builtin-names.ts";
import type { Json, JsonObject } from "../sql/parser.ts";
import { qualified, strings } from "../sql/tree.ts";
import type { Run } from "./run.ts";
import type { Env } from "./scope.ts";

/** A function's name, if it is the server's own. */
export function ownFunction(words: string[], env: Env, run: Run): string | undefined {
  const { schema, name } = qualified(words);
  // Helpers of the information schema's views, which stand in views' definitions.
  if (schema === "information_schema") return name.startsWith("_pg_") ? name : undefined;
  if (!BUILTIN_FUNCTIONS.has(name)) return undefined;
  if (schema === "pg_catalog") return name;
  return schema === undefined && !sharedFunction(name, env, run) ? name : undefined;
}

/** Could a function of a user be meant by the name alone? */
export function sharedFunction(name: string, env: Env, run: Run): boolean {
  const { index, stale } = run.names;
  return !env.serverWritten && (stale || index === undefined || index.hasFunction(name));
}

export function ownOperator(words: string[], env: Env, run: Run): boolean {
  const { schema, name } = qualified(words);
  if (schema !== undefined) return schema === "pg_catalog";
  const { index, stale } = run.names;
  return env.serverWritten || (!stale && index !== undefined && !index.hasOperator(name));
}

/** Operators that syntax stands for, where they are not written. */
export function ownOperators(names: readonly string[], env: Env, run: Run): boolean {
  return names.every((name) => ownOperator([name], env, run));
}

export function ownType(typeName: JsonObject, env: Env, run: Run): boolean {
  const words = strings(typeName["names"]);
  if (words.length === 0) return false;
  const { schema, name } = qualified(words);
  const base = name.startsWith("_") ? name.slice(1) : name;
  if (!BUILTIN_TYPES.has(base)) return false;
  if (schema !== undefined) return schema === "pg_catalog";
  const { index, stale } = run.names;
  return env.serverWritten || (!stale && index !== undefined && !index.hasType(name) && index.named(name).length === 0);
}

/** The relation that a type is the row of, if it can be nothing else. */
export function rowType(typeName: JsonObject, env: Env, run: Run): Relation | undefined {
  const { schema, name } = qualified(strings(typeName["names"]));
  const { index, stale, searchPath } = run.names;
  if (index === undefined || stale || typeName["arrayBounds"] !== undefined || BUILTIN_TYPES.has(name))
    return undefined;
  if (index.hasType(name) || run.names.temporary.has(name)) return undefined;
  const named = index.named(name, schema);
  const found = schema === undefined ? named.filter((one) => searchPath?.includes(one.schema) === true) : named;
  if (env.serverWritten && schema === undefined) return undefined;
  return found.length === 1 ? found[0] : undefined;
}

/** oids of types by the names that the grammar and people give them (pg_type.dat) */
const TYPE_OIDS: Readonly<Record<string, number>> = {
  bool: 16,
  bytea: 17,
  char: 18,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  json: 114,
  xml: 142,
  cidr: 650,
  float4: 700,
  float8: 701,
  money: 790,
  macaddr: 829,
  inet: 869,
  bpchar: 1042,
  varchar: 1043,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
};

/** undefined: not one of the common types */
export const typeOid = (name: string): number | undefined => TYPE_OIDS[name];

/** Of a cast to a plain type of the server's own: its oid, and whether a length or precision is given. */
export function castTarget(typeName: JsonObject): { oid: number | undefined; bounded: boolean } {
  const words = strings(typeName["names"]);
  const has = (value: Json | undefined): boolean => Array.isArray(value) && value.length > 0;
  if (has(typeName["arrayBounds"]) || typeName["setof"] === true) return { oid: undefined, bounded: true };
  return { oid: typeOid(qualified(words).name), bounded: has(typeName["typmods"]) };
}
