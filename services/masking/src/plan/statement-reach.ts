import type { PlanResult } from "@sallyport/proto/masking";
import { Access, type RelationFact } from "@sallyport/proto/verdict";
import type { DatabaseIndex, RelationClasses } from "../classification/database-index.ts";

/** What a statement could read, by its facts: the ground for everything that a column's origin does not tell. */
export interface StatementReach {
  /** classes of the relations that it names */
  touched: ReadonlySet<string>;
  /** it names a relation that was not observed, or a catalog that holds what others wrote */
  unresolved: boolean;
  /** it names a temporary table, which may hold a copy of anything */
  temporary: boolean;
  /** what it could read is what it names: nothing of the database beyond `touched` */
  bounded: boolean;
  /** views that it names, by oid */
  views: ReadonlyMap<number, ViewReach>;
  /** oids that it writes to */
  written: ReadonlySet<number>;
  /** those of them that it writes to, while it reads what may be hidden or while the relation changes what is written */
  rewritten: ReadonlySet<number>;
}

/** What a view could show, by what `policy` says that it reads. */
export interface ViewReach {
  /** classes of the tables that it reads, and of its own columns */
  classes: ReadonlySet<string>;
  /** it may read more */
  unbounded: boolean;
}

export function statementReach(
  request: PlanResult,
  index: DatabaseIndex | undefined,
  hidden: ReadonlySet<string>,
): StatementReach {
  const touched = new Set<string>();
  let unresolved = false;
  let temporary = false;
  let readsHidden = request.unknownSources || request.schemaTouched;
  const written: RelationClasses[] = [];
  const views = new Map<number, ViewReach>();
  for (const fact of request.relations) {
    // policy lists as `catalog` only those that hold no data of users
    if (fact.kind === "catalog") continue;
    if (fact.kind === "temporary") {
      temporary = true;
      readsHidden ||= reads(fact);
      continue;
    }
    const relation = resolve(fact, index);
    if (!relation) {
      unresolved = true;
      readsHidden = true;
      continue;
    }
    for (const name of relation.all) touched.add(name);
    if (reads(fact) && namesHidden(fact, relation, hidden)) readsHidden = true;
    if (relation.view) {
      const view = viewReach(fact, relation, index);
      views.set(relation.oid, view);
      for (const name of view.classes) touched.add(name);
      unresolved ||= view.unbounded;
      readsHidden ||= view.unbounded || !view.classes.isDisjointFrom(hidden);
    }
    if (fact.access.includes(Access.ACCESS_WRITE)) written.push(relation);
  }
  const rewritten = new Set(
    written.filter((relation) => readsHidden || relation.rewrites).map((relation) => relation.oid),
  );
  const bounded = !request.unknownSources && !request.schemaTouched && !unresolved && !temporary;
  return { touched, unresolved, temporary, bounded, views, written: new Set(written.map(({ oid }) => oid)), rewritten };
}

function viewReach(fact: RelationFact, view: RelationClasses, index: DatabaseIndex | undefined): ViewReach {
  const classes = new Set(view.all);
  let unbounded = false;
  for (const oid of fact.reads) {
    const table = index?.byOid.get(oid);
    if (table === undefined) unbounded = true;
    else for (const name of table.all) classes.add(name);
  }
  return { classes, unbounded };
}

function resolve(fact: RelationFact, index: DatabaseIndex | undefined): RelationClasses | undefined {
  if (fact.kind === "unknown") return undefined;
  return fact.oid !== 0 ? index?.byOid.get(fact.oid) : index?.byName.get(`${fact.schema}.${fact.name}`);
}

const reads = (fact: RelationFact): boolean => fact.access.length === 0 || fact.access.includes(Access.ACCESS_READ);

/** A column of a hidden class is among those that the statement names; `*` names all. */
function namesHidden(fact: RelationFact, relation: RelationClasses, hidden: ReadonlySet<string>): boolean {
  if (relation.all.isDisjointFrom(hidden)) return false;
  return fact.columns.some((name) => {
    if (name === "*") return true;
    const column = relation.columnsByName.get(name);
    return !column || !column.direct.isDisjointFrom(hidden) || !column.derived.isDisjointFrom(hidden);
  });
}
