import type { Relation, Schema } from "@sallyport/proto/catalog_model";
import type { Lineage, ViewLineage } from "../lineage/view-lineage.ts";
import { classOfKey, type DatabaseBindings } from "./bindings.ts";

/** What a plan asks about a column. */
export interface ColumnClasses {
  typeName: string;
  /** the column holds values of these classes */
  direct: ReadonlySet<string>;
  /** its values are computed from such, or it cannot be told that they are not: masked whole, never in part */
  derived: ReadonlySet<string>;
  /** classes by rules alone: of a view, without what it shows */
  bound: ReadonlySet<string>;
}

export interface RelationClasses {
  oid: number;
  /** `schema.name` */
  name: string;
  columns: ReadonlyMap<number, ColumnClasses>;
  columnsByName: ReadonlyMap<string, ColumnClasses>;
  /** of all columns */
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

interface Growing {
  direct: Set<string>;
  derived: Set<string>;
  bound: ReadonlySet<string>;
}

/** Views are parsed: a turn (`yield`) after every few. */
const VIEWS_A_TURN = 4;

export function* databaseIndex(
  schema: Schema,
  bindings: DatabaseBindings,
  lineage: Lineage,
): Generator<void, DatabaseIndex> {
  const own = new Map(schema.relations.map((relation) => [relation.oid, ownClasses(relation, bindings)]));
  const everything = new Set(
    [...own.values()].flatMap((columns) => [...columns.values()].flatMap((c) => [...c.direct, ...c.derived])),
  );
  const views = schema.relations.filter((relation) => relation.viewDefinition !== "");
  const lineages: [Relation, ViewLineage][] = [];
  for (const view of views) {
    lineages.push([view, lineage.origins(view)]);
    if (lineages.length % VIEWS_A_TURN === 0) yield;
  }
  // views of views: classes flow until nothing is added; each pass follows one level
  for (let added = true; added;) {
    added = false;
    for (const [view, origins] of lineages) added = flow(view, origins, own, everything) || added;
  }
  const relations = schema.relations.map((relation) => relationClasses(relation, own.get(relation.oid)!));
  return {
    byOid: new Map(relations.map((relation) => [relation.oid, relation])),
    byName: new Map(relations.map((relation) => [relation.name, relation])),
    typeNames: new Map(
      schema.relations.flatMap((r) => r.columns.map((column) => [column.typeOid, column.type] as const)),
    ),
    all: everything,
  };
}

function ownClasses(relation: Relation, bindings: DatabaseBindings): Map<number, Growing> {
  return new Map(
    relation.columns.map((column) => {
      const direct = new Set<string>();
      const derived = new Set<string>();
      for (const [key, manner] of bindings.of(relation.oid, column.number)) {
        (manner === "direct" ? direct : derived).add(classOfKey(key));
      }
      return [column.number, { direct, derived, bound: direct.union(derived) }];
    }),
  );
}

function flow(
  view: Relation,
  origins: ViewLineage,
  own: Map<number, Map<number, Growing>>,
  everything: ReadonlySet<string>,
): boolean {
  let added = false;
  const put = (into: Set<string>, classes: Iterable<string>): void => {
    for (const name of classes) {
      if (into.has(name)) continue;
      into.add(name);
      added = true;
    }
  };
  view.columns.forEach((column, i) => {
    const target = own.get(view.oid)?.get(column.number);
    const origin = origins.columns[i];
    if (!target) return;
    if (origin?.kind === "columns") {
      for (const source of origin.sources) {
        const classes = own.get(source.oid)?.get(source.column);
        put(origin.exact ? target.direct : target.derived, classes?.direct ?? []);
        put(target.derived, classes?.derived ?? []);
      }
      return;
    }
    // not followed: whatever the view reads may be in it
    if (origins.unbounded) return put(target.derived, everything);
    for (const oid of origins.reads) {
      for (const classes of own.get(oid)?.values() ?? []) put(target.derived, [...classes.direct, ...classes.derived]);
    }
  });
  return added;
}

function relationClasses(relation: Relation, own: ReadonlyMap<number, Growing>): RelationClasses {
  const columns = new Map(
    relation.columns.map((c): [number, ColumnClasses] => [c.number, { typeName: c.type, ...own.get(c.number)! }]),
  );
  const view = relation.viewDefinition !== "" || relation.kind === "view";
  return {
    oid: relation.oid,
    name: `${relation.schema}.${relation.name}`,
    columns,
    columnsByName: new Map(relation.columns.map((column) => [column.name, columns.get(column.number)!])),
    all: new Set([...own.values()].flatMap((classes) => [...classes.direct, ...classes.derived])),
    rewrites: view || relation.hasTriggers || relation.hasRules,
    view: relation.kind === "view" || relation.kind === "materialized-view",
  };
}
