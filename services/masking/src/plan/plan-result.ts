import { createHash } from "node:crypto";
import type { MaskPlan, PlanResult, ResultColumn } from "@sallyport/proto/masking";
import type { StatementLineage } from "@sallyport/proto/verdict";
import type { RelationClasses } from "../classification/database-index.ts";
import { maskByClass, maskWhole, pass, type ColumnLabel, type PlannedColumn } from "./column-plan.ts";
import type { ExecutablePlan } from "./executable-plan.ts";
import { disagreementOf, planByLineage } from "./lineage-plan.ts";
import { couldCarryHidden, FIRST_NORMAL_OID, joined, kindOf, type Planning, type PlanningState } from "./planning.ts";
import { statementReach } from "./statement-reach.ts";

export interface Planned {
  plan: Omit<MaskPlan, "asOf">;
  executable: ExecutablePlan;
}

/**
 * Decides for each column of a result whether it passes and how it is masked otherwise.
 *
 * Where the statement was followed, its columns go by that (`lineage-plan.ts`). Otherwise a column with an origin goes by the
 * classes of that column; one without goes by what the statement could read: if any of that is hidden, or could be, it is
 * masked whole. Doubt masks (I2, I4); only when no rule could hide anything of this database from this principal does
 * everything pass.
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
    lineage: usableLineage(request),
    holdsHidden: index === undefined || !index.all.isDisjointFrom(hidden),
    classOf: (name) => state.dataClass(name),
    stale: false,
  };
  const disagreement = disagreementOf(planning);
  // What both witnesses see differently may be of an older schema.
  if (disagreement !== "") planning.stale = true;
  const columns = request.columns.map((column, i) => planColumn(column, i, planning));
  const scrubText = planning.concerned && couldCarryHidden(planning);
  const executable: ExecutablePlan = { connection: request.connection, cells: columns.map((column) => column.cells) };
  const plans = columns.map((column) => column.plan);
  return {
    plan: {
      planId: planId(executable, plans, scrubText),
      columns: plans,
      scrubText,
      staleSchema: planning.stale,
      disagreement,
    },
    executable,
  };
}

/** The analysis of the statement, where it counts: not while the transaction has changed the schema that it is made from. */
function usableLineage({ lineage, schemaTouched }: PlanResult): StatementLineage | undefined {
  return lineage === undefined || lineage.unknown !== "" || schemaTouched ? undefined : lineage;
}

/** Equal content, equal id: after a restart the same request gives the same plan under the same id. */
function planId(executable: ExecutablePlan, plans: readonly PlannedColumn["plan"][], scrubText: boolean): string {
  const content = JSON.stringify([executable.connection, executable.cells, plans, scrubText]);
  return `mp_${createHash("sha256").update(content).digest("hex").slice(0, 32)}`;
}

function planColumn(column: ResultColumn, i: number, planning: Planning): PlannedColumn {
  const output = planning.lineage?.outputs[i];
  if (output !== undefined) return planByLineage(column, output, planning);
  if (column.tableOid === 0) return planWithoutOrigin(column, planning);
  if (column.tableOid < FIRST_NORMAL_OID) return planCatalogColumn(column, planning);
  const relation = planning.index?.byOid.get(column.tableOid);
  return relation ? planWithOrigin(column, relation, planning) : planUnknownRelation(column, planning);
}

function planWithoutOrigin(column: ResultColumn, planning: Planning): PlannedColumn {
  const { reach, index, concerned } = planning;
  const label = {
    class: joined(reach.bounded ? reach.touched : (index?.all ?? [])),
    relation: "",
    reason: "no origin",
  };
  const laid = planning.holdsHidden && planning.request.codeRan;
  return concerned && (laid || couldCarryHidden(planning)) ? maskWhole(kindOf(column, planning), label) : pass(label);
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
  const everything = planning.index?.all ?? new Set<string>();
  if (request.schemaTouched && relation.view) return whole(everything, "schema changed");
  if (request.schemaTouched && !relation.all.isDisjointFrom(hidden)) return whole(relation.all, "schema changed");
  if (reach.rewritten.has(relation.oid)) return whole(everything, "written");
  if (relation.view) {
    // Without an analysis it is not known which of its columns shows what.
    const view = reach.views.get(relation.oid);
    if (view === undefined || view.unbounded) return whole(everything, "view");
    const shows = view.classes;
    return shows.isDisjointFrom(hidden) ? pass(label(shows, "view")) : whole(shows, "view");
  }
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
