/**
 * Which relations a name could mean to a session. A name without a schema stands for every relation of that name that
 * the session could mean; a name that nothing is known of stands for any.
 */

import type { Relation } from "@sallyport/proto/catalog_model";
import type { ColumnFlow } from "@sallyport/proto/verdict";
import type { SchemaIndex } from "../schema/schema-index.ts";
import { catalogKind, inCatalog, isTemporarySchema } from "../sql/catalogs.ts";
import type { Outline, RelationRef } from "../sql/outline.ts";

export interface NameScope {
  index: SchemaIndex | undefined;
  /** the connection's database: a name may repeat it */
  database: string;
  /** schemas in effect; undefined: not known */
  searchPath: readonly string[] | undefined;
  /** the open transaction has changed the schema: what was observed may be out of date */
  schemaTouched: boolean;
  /** flows into the session's temporary relations: pg_temp is found first without being named */
  temporary?: readonly Pick<ColumnFlow, "relation">[];
}

export interface Candidate {
  schema: string;
  name: string;
  /** as RelationFact.kind */
  kind: string;
  relation: Relation | undefined;
}

const isUserSchema = (schema: string): boolean => schema !== "pg_catalog" && !isTemporarySchema(schema);

export function candidates(ref: RelationRef, outline: Outline, scope: NameScope): Candidate[] {
  const { name, schema } = ref;
  const found: Candidate[] = [];
  const add = (candidateSchema: string, kind: string, relation?: Relation): void => {
    found.push({ schema: candidateSchema, name, kind, relation });
  };
  if (ref.catalog !== undefined && ref.catalog !== scope.database) add(schema ?? "", "unknown");
  else if (schema !== undefined && isTemporarySchema(schema)) add(schema, "temporary");
  else if (schema !== undefined) qualifiedName(schema, name, scope, add);
  else unqualifiedName(ref, scope, add);

  if (ref.created === true && ref.temporary === true) return [created(ref, scope, "temporary")];
  const known = found.filter((candidate) => candidate.kind !== "unknown");
  if (ref.created === true) return known.length > 0 ? known : [created(ref, scope, "table")];
  // An earlier statement, or the open transaction, may have given the name to something else.
  const stale = scope.schemaTouched || (outline.definesFrom !== undefined && ref.statement > outline.definesFrom);
  const ordinary = found.some((candidate) => candidate.relation !== undefined);
  if (stale && ordinary) add(schema ?? "", "unknown");
  return found;
}

/** A relation that the command makes: in the first schema of the path. */
function created(ref: RelationRef, scope: NameScope, kind: string): Candidate {
  const first = scope.searchPath?.find(isUserSchema) ?? "";
  const schema = ref.schema ?? (kind === "temporary" ? "pg_temp" : first);
  return { schema, name: ref.name, kind, relation: undefined };
}

type Add = (schema: string, kind: string, relation?: Relation) => void;

function qualifiedName(schema: string, name: string, scope: NameScope, add: Add): void {
  const own = catalogKind(schema, name);
  if (own !== undefined) return add(schema, own === "catalog" ? "catalog" : "unknown");
  const known = scope.index?.named(name, schema) ?? [];
  for (const relation of known) add(schema, relation.kind || "table", relation);
  if (known.length === 0) add(schema, "unknown");
}

function unqualifiedName(ref: RelationRef, scope: NameScope, add: Add): void {
  const { name } = ref;
  const path = scope.searchPath;
  let any = false;
  if (scope.temporary?.some(({ relation }) => relation === name) === true) {
    add("pg_temp", "temporary");
    any = true;
  }
  for (const relation of scope.index?.named(name) ?? []) {
    if (path !== undefined && !path.includes(relation.schema)) continue;
    add(relation.schema, relation.kind || "table", relation);
    any = true;
  }
  if (inCatalog(name)) {
    add("pg_catalog", catalogKind("pg_catalog", name) === "catalog" ? "catalog" : "unknown");
    any = true;
  }
  const informationSchema = path === undefined || path.includes("information_schema");
  if (informationSchema && catalogKind("information_schema", name) === "catalog" && path !== undefined) {
    add("information_schema", "catalog");
    any = true;
  }
  if (!any) add("", "unknown");
}
