import { createHash } from "node:crypto";
import type { MaskPlan, PlanResult, ResultColumn } from "@sallyport/proto/masking";
import type { DatabaseIndex, RelationClasses } from "../classification/database-index.ts";
import { maskByClass, maskWhole, pass, type ClassOf, type ColumnLabel, type PlannedColumn } from "./column-plan.ts";
import type { ExecutablePlan } from "./executable-plan.ts";
import { statementReach, type StatementReach } from "./statement-reach.ts";
import { valueKind } from "./value-type.ts";

/** What a plan is made from: the fold at one moment. */
export interface PlanningState {
  /** undefined: never observed */
  database(connection: string, database: string): DatabaseIndex | undefined;
  /** a rule for one of the classes applies to the database, whether or not it matches anything that was observed */
  mayHide(connection: string, database: string, classes: ReadonlySet<string>): boolean;
  dataClass(name: string): ReturnType<ClassOf>;
}

export interface Planned {
  plan: Omit<MaskPlan, "asOf">;
  executable: ExecutablePlan;
}

/** Relations with smaller oids are the server's own (FirstNormalObjectId, access/transam.h). */
const FIRST_NORMAL_OID = 16_384;

/**
 * Decides for each column of a result whether it passes and how it is masked otherwise.
 *
 * A column with an origin goes by the classes of that column. One without goes by what the statement could read: if any of
 * that is hidden, or could be, it is masked whole. Doubt masks (I2, I4); only when no rule could hide anything of this
 * database from this principal does everything pass.
 */
export function planResult(request: PlanResult, state: PlanningState): Planned {
  const index = state.database(request.connection, request.database);
  const hidden = new Set(request.hiddenClasses);
  const planning: Planning = {
    request,
    index,
    hidden,
    concerned: hidden.size > 0 && state.mayHide(request.connection, request.database, hidden),
    reach: statementReach(request, index, hidden),
    holdsHidden: index === undefined || !index.all.isDisjointFrom(hidden),
    classOf: (name) => state.dataClass(name),
    stale: false,
  };
  const columns = request.columns.map((column) => planColumn(column, planning));
  const scrubText = planning.concerned && couldCarryHidden(planning);
  const executable: ExecutablePlan = { connection: request.connection, cells: columns.map((column) => column.cells) };
  const plans = columns.map((column) => column.plan);
  return {
    plan: {
      planId: planId(executable, plans, scrubText),
      columns: plans,
      scrubText,
      staleSchema: planning.stale,
      disagreement: "",
    },
    executable,
  };
}

interface Planning {
  request: PlanResult;
  index: DatabaseIndex | undefined;
  hidden: ReadonlySet<string>;
  /** something of this database could be hidden from this principal at all */
  concerned: boolean;
  reach: StatementReach;
  /** a column of a hidden class is known in the database, or nothing is known of it */
  holdsHidden: boolean;
  classOf: ClassOf;
  /** set when an origin is not in the observed schema */
  stale: boolean;
}

/** Equal content, equal id: after a restart the same request gives the same plan under the same id. */
function planId(executable: ExecutablePlan, plans: readonly PlannedColumn["plan"][], scrubText: boolean): string {
  const content = JSON.stringify([executable.connection, executable.cells, plans, scrubText]);
  return `mp_${createHash("sha256").update(content).digest("hex").slice(0, 32)}`;
}

/** What has no origin could be of a hidden class. */
function couldCarryHidden({ request, reach, holdsHidden, hidden }: Planning): boolean {
  if (request.schemaTouched || reach.unresolved) return true;
  if (!reach.touched.isDisjointFrom(hidden)) return true;
  return holdsHidden && (request.unknownSources || reach.temporary);
}

function planColumn(column: ResultColumn, planning: Planning): PlannedColumn {
  if (column.tableOid === 0) return planWithoutOrigin(column, planning);
  if (column.tableOid < FIRST_NORMAL_OID) return planCatalogColumn(column, planning);
  const relation = planning.index?.byOid.get(column.tableOid);
  return relation ? planWithOrigin(column, relation, planning) : planUnknownRelation(column, planning);
}

function planWithoutOrigin(column: ResultColumn, planning: Planning): PlannedColumn {
  const { request, reach, index, concerned } = planning;
  const bounded = !request.unknownSources && !request.schemaTouched && !reach.unresolved && !reach.temporary;
  const label = { class: joined(bounded ? reach.touched : (index?.all ?? [])), relation: "", reason: "no origin" };
  return concerned && couldCarryHidden(planning) ? maskWhole(kindOf(column, planning), label) : pass(label);
}

/** The server's own relations: policy names those that hold data of users as unknown. */
function planCatalogColumn(column: ResultColumn, planning: Planning): PlannedColumn {
  const label = { class: "", relation: "", reason: "catalog" };
  const doubt = planning.reach.unresolved || (planning.request.unknownSources && planning.holdsHidden);
  return planning.concerned && doubt ? maskWhole(kindOf(column, planning), label) : pass(label);
}

function planUnknownRelation(column: ResultColumn, planning: Planning): PlannedColumn {
  const { request, reach, index, concerned, holdsHidden } = planning;
  const label = { class: joined(index?.all ?? []), relation: "", reason: "unknown relation" };
  if (!concerned) return pass(label);
  // A temporary table is never observed; where nothing is hidden, it holds nothing hidden.
  if (reach.temporary && !reach.unresolved && !request.unknownSources && !request.schemaTouched && !holdsHidden)
    return pass(label);
  // An open transaction's tables, and temporary ones, would not be observed either.
  if (!reach.temporary && !request.schemaTouched) planning.stale = true;
  return maskWhole(kindOf(column, planning), label);
}

function planWithOrigin(column: ResultColumn, relation: RelationClasses, planning: Planning): PlannedColumn {
  const { request, reach, hidden, concerned, classOf } = planning;
  const label = (classes: Iterable<string>, reason: string): ColumnLabel => ({
    class: joined(classes),
    relation: relation.name,
    reason,
  });
  const kind = kindOf(column, planning);
  const whole = (classes: Iterable<string>, reason: string): PlannedColumn =>
    concerned ? maskWhole(kind, label(classes, reason)) : pass(label(classes, reason));
  // ctid, xmin, tableoid, …: about the row's place, never of its content
  if (column.columnNumber < 0) return pass(label([], "system column"));
  if (request.schemaTouched && (relation.view || !relation.all.isDisjointFrom(hidden)))
    return whole(relation.all, "schema changed");
  if (reach.rewritten.has(relation.oid)) return whole(planning.index?.all ?? [], "written");
  if (column.columnNumber === 0) {
    return relation.all.isDisjointFrom(hidden)
      ? pass(label(relation.all, "whole row"))
      : whole(relation.all, "whole row");
  }
  const classes = relation.columns.get(column.columnNumber);
  if (!classes) {
    if (concerned) planning.stale = true;
    return whole(relation.all, "unknown column");
  }
  const all = classes.direct.union(classes.derived);
  if (!concerned || all.isDisjointFrom(hidden)) return pass(label(all, all.size > 0 ? "revealed" : "not classified"));
  if (!classes.derived.isDisjointFrom(hidden)) return whole(all, "derived");
  return maskByClass(
    kind,
    column.typeOid,
    hidden,
    classes.direct.intersection(hidden),
    classOf,
    label(all, "classified"),
  );
}

function kindOf(column: ResultColumn, { index }: Planning): ReturnType<typeof valueKind> {
  return valueKind(column.typeOid, index?.typeNames.get(column.typeOid), column.binary);
}

const joined = (classes: Iterable<string>): string => [...classes].toSorted().join("+");
