import type { Column, Relation, Schema } from "@sallyport/proto/catalog_model";
import { classOfKey, type DatabaseBindings } from "./bindings.ts";

/** What a plan asks about a column. */
export interface ColumnClasses {
  typeName: string;
  /** the column holds values of these classes */
  direct: ReadonlySet<string>;
  /** its values are computed from such, or it cannot be told that they are not: masked whole, never in part */
  derived: ReadonlySet<string>;
}

export interface RelationClasses {
  oid: number;
  /** `schema.name` */
  name: string;
  columns: ReadonlyMap<number, ColumnClasses>;
  columnsByName: ReadonlyMap<string, ColumnClasses>;
  /** of all columns; of a view, what rules say of it, and not what it shows */
  all: ReadonlySet<string>;
  /** what is written to it may not be what it answers: triggers, rules, views */
  rewrites: boolean;
  /** its columns' meaning can change under its oid */
  view: boolean;
}

/** One database as observed, with the classes of every column: made once per observation, read by every plan. */
export interface DatabaseIndex {
  byOid: ReadonlyMap<number, RelationClasses>;
  byName: ReadonlyMap<string, RelationClasses>;
  typeNames: ReadonlyMap<number, string>;
  /** every class that is bound anywhere in the database */
  all: ReadonlySet<string>;
}

/** A turn (`yield`) after so many. */
const RELATIONS_A_TURN = 250;

export function* databaseIndex(schema: Schema, bindings: DatabaseBindings): Generator<void, DatabaseIndex> {
  const relations: RelationClasses[] = [];
  const typeNames = new Map<number, string>();
  const all = new Set<string>();
  for (const relation of schema.relations) {
    const classes = relationClasses(relation, bindings);
    relations.push(classes);
    for (const name of classes.all) all.add(name);
    for (const column of relation.columns) typeNames.set(column.typeOid, column.type);
    if (relations.length % RELATIONS_A_TURN === 0) yield;
  }
  return {
    byOid: new Map(relations.map((relation) => [relation.oid, relation])),
    byName: new Map(relations.map((relation) => [relation.name, relation])),
    typeNames,
    all,
  };
}

function columnClasses(oid: number, { number, type }: Column, bindings: DatabaseBindings): ColumnClasses {
  const direct = new Set<string>();
  const derived = new Set<string>();
  for (const [key, manner] of bindings.of(oid, number)) (manner === "direct" ? direct : derived).add(classOfKey(key));
  return { typeName: type, direct, derived };
}

function relationClasses(relation: Relation, bindings: DatabaseBindings): RelationClasses {
  const columns = new Map(relation.columns.map((c) => [c.number, columnClasses(relation.oid, c, bindings)]));
  const view = relation.viewDefinition !== "" || relation.kind === "view" || relation.kind === "materialized-view";
  return {
    oid: relation.oid,
    name: `${relation.schema}.${relation.name}`,
    columns,
    columnsByName: new Map(relation.columns.map((column) => [column.name, columns.get(column.number)!])),
    all: new Set([...columns.values()].flatMap(({ direct, derived }) => [...direct, ...derived])),
    rewrites: view || relation.hasTriggers || relation.hasRules,
    view,
  };
}
