/** Relations that a statement makes: CREATE TABLE AS, SELECT INTO, views, and temporary tables. */

import { isTemporarySchema } from "../sql/catalogs.ts";
import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";
import { NOTHING } from "./flow.ts";
import type { Flow, Shape } from "./flow.ts";
import type { Run } from "./run.ts";

interface Made {
  schema: string;
  relation: string;
  temporary: boolean;
}

function made(rangeVar: Json | undefined, run: Run, temporaryToo = false): Made {
  const node: JsonObject = isObject(rangeVar) ? rangeVar : {};
  const schema = text(node["schemaname"]);
  const temporary =
    node["relpersistence"] === "t" || temporaryToo || (schema !== undefined && isTemporarySchema(schema));
  const first = run.names.searchPath?.find((name) => name !== "pg_catalog" && !isTemporarySchema(name)) ?? "";
  return { schema: temporary ? "pg_temp" : (schema ?? first), relation: text(node["relname"]) ?? "", temporary };
}

const push = (target: Made, column: string, flow: Flow, run: Run): void =>
  void run.written.push({ target: { ...target, relationOid: 0, column }, flow });

/** The new relation has the columns of the query, under names of its own as far as it has some. */
export function created(rangeVar: Json | undefined, names: Json | undefined, shape: Shape, run: Run): void {
  const target = made(rangeVar, run);
  if (shape.open !== undefined) {
    const why = shape.open.unknown === "" ? "its columns are not known" : shape.open.unknown;
    return push(target, "", { ...shape.open, exact: false, unknown: why }, run);
  }
  const listed = strings(names);
  for (const [i, { name, flow }] of shape.columns.entries()) push(target, listed[i] ?? name, flow, run);
}

/** A view over something temporary is temporary, whatever it says. */
export function createdView(node: JsonObject, shape: Shape, run: Run): void {
  const view = isObject(node["view"]) ? node["view"] : {};
  const rangeVar = run.usesTemporary ? { ...view, relpersistence: "t" } : view;
  created(rangeVar, node["aliases"], shape, run);
}

/** CREATE TEMPORARY TABLE: the session's later commands are to know its columns. */
export function createdTable(node: JsonObject, run: Run): void {
  const target = made(node["relation"], run);
  if (!target.temporary) return;
  const elements = Array.isArray(node["tableElts"]) ? node["tableElts"].map((item) => unwrap(item)) : [];
  const listed = elements.every((element) => element?.type !== "TableLikeClause");
  const alone =
    node["inhRelations"] === undefined && node["ofTypename"] === undefined && node["partbound"] === undefined;
  if (!listed || !alone) return push(target, "", NOTHING, run);
  for (const element of elements) {
    if (element?.type === "ColumnDef") push(target, text(element.node["colname"]) ?? "", NOTHING, run);
  }
}

/** ALTER … on a temporary relation: nothing is known of its columns afterwards. */
export function altered(node: JsonObject, run: Run): void {
  const relation = isObject(node["relation"]) ? node["relation"] : {};
  const name = text(relation["relname"]) ?? "";
  const schema = text(relation["schemaname"]);
  const temporary = schema === undefined ? run.names.temporary.has(name) : isTemporarySchema(schema);
  if (!temporary) return;
  const target = { schema: "pg_temp", temporary: true };
  push({ ...target, relation: name }, "", NOTHING, run);
  const renamed = text(node["newname"]);
  if (renamed !== undefined) push({ ...target, relation: renamed }, "", NOTHING, run);
}
