import { Schema, type ObservedRole, type Relation } from "@sallyport/proto/catalog_model";
import { AppError } from "@sallyport/runtime";

// An event has to fit into one message, and everyone who decides keeps it in memory.
const MOST_BYTES = 4 * 1024 * 1024;
const MOST_RELATIONS = 50_000;
const LONGEST_DEFINITION = 256 * 1024;

/**
 * An observation in canonical order, so that two edges that see the same say the same. Throws `exhausted`, naming the limit,
 * for a schema that is too large to be an event.
 */
export function observedSchema(schema: Schema | undefined): Schema {
  const op = "catalog.observeSchema";
  if (!schema) throw new AppError("invalid-input", op, "an observation has a schema");
  if (schema.relations.length > MOST_RELATIONS)
    throw new AppError(
      "exhausted",
      op,
      `the schema has ${schema.relations.length} relations; at most ${MOST_RELATIONS} are supported`,
    );
  const oids = new Set(schema.relations.map((relation) => relation.oid));
  if (oids.size !== schema.relations.length || oids.has(0))
    throw new AppError("invalid-input", op, "every relation has an oid of its own");
  const canonical: Schema = {
    ...schema,
    relations: schema.relations.map(canonicalRelation).toSorted((a, b) => a.oid - b.oid),
    functions: unique(schema.functions),
    operators: unique(schema.operators),
    types: unique(schema.types),
    roles: schema.roles.map(canonicalRole).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    settings: Object.fromEntries(Object.entries(schema.settings).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
  // Decisions do not need them: what roles may do is left out before the whole observation is.
  if (sizeOf(canonical) > MOST_BYTES) for (const role of canonical.roles) role.grants = [];
  const bytes = sizeOf(canonical);
  if (bytes > MOST_BYTES)
    throw new AppError(
      "exhausted",
      op,
      `the schema takes ${bytes} bytes (${schema.relations.length} relations); at most ${MOST_BYTES} bytes are supported`,
    );
  return canonical;
}

const sizeOf = (schema: Schema): number => Schema.encode(schema).finish().length;

function canonicalRole(role: ObservedRole): ObservedRole {
  return {
    ...role,
    memberOf: unique(role.memberOf),
    createsIn: unique(role.createsIn),
    grants: role.grants
      .map((grant) => ({ ...grant, columns: grant.columns.toSorted((a, b) => a - b) }))
      .toSorted((a, b) => a.relationOid - b.relationOid),
  };
}

function canonicalRelation(relation: Relation): Relation {
  return {
    ...relation,
    columns: relation.columns
      .map((column) => ({ ...column, generatedFrom: column.generatedFrom.toSorted((a, b) => a - b) }))
      .toSorted((a, b) => a.number - b.number),
    // what is not there is not followed, and masked whole
    viewDefinition: relation.viewDefinition.length > LONGEST_DEFINITION ? "-- too long" : relation.viewDefinition,
    parents: relation.parents.toSorted((a, b) => a - b),
  };
}

const unique = (names: readonly string[]): string[] => [...new Set(names)].toSorted();
