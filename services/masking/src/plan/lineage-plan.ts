import type { ResultColumn } from "@sallyport/proto/masking";
import type { BaseColumn, OutputColumn } from "@sallyport/proto/verdict";
import { maskByClass, maskWhole, pass, type ColumnLabel, type PlannedColumn } from "./column-plan.ts";
import { couldCarryHidden, FIRST_NORMAL_OID, joined, kindOf, type Planning } from "./planning.ts";

/**
 * Plans from two witnesses: what `policy` found in the text (base columns whose values may flow into a result column), and
 * what the server describes. Each adds classes, neither takes one away; where they contradict each other, nothing is shown.
 */

/** A sentence without values; empty: they agree, or nothing could be hidden from the principal. */
export function disagreementOf({ request, lineage, concerned, index, reach }: Planning): string {
  if (lineage === undefined || !concerned) return "";
  const { columns } = request;
  if (lineage.silent) return `The server describes a result of a statement that has none by its analysis.`;
  if (columns.length !== lineage.outputs.length) {
    return `The result has ${counted(columns.length)}, and ${lineage.outputs.length} by the analysis of the statement.`;
  }
  const odd = columns.findIndex((column, i) => {
    const output = lineage.outputs[i] as OutputColumn;
    // The server's own relations: what of them could hold values of users, `policy` names as unknown.
    if (column.tableOid !== 0 && column.tableOid < FIRST_NORMAL_OID && !reach.unresolved) return false;
    const unobserved = column.tableOid !== 0 && index?.byOid.has(column.tableOid) !== true;
    return !isPredicted(column, output) && !(output.describedUnobserved && unobserved);
  });
  if (odd < 0) return "";
  return `Column ${odd + 1} of the result comes from another place than the analysis of the statement says.`;
}

function isPredicted({ tableOid, columnNumber }: ResultColumn, output: OutputColumn): boolean {
  const is = (oid: number, number: number): boolean => oid === tableOid && (oid === 0 || number === columnNumber);
  return (
    is(output.describedOid, output.describedNumber) || output.orDescribed.some(({ oid, number }) => is(oid, number))
  );
}

export function planByLineage(column: ResultColumn, output: OutputColumn, planning: Planning): PlannedColumn {
  const { hidden, concerned, classOf, index, holdsHidden, reach } = planning;
  const found = new Found(planning);
  for (const source of output.sources) found.addSource(source);
  found.addDescribed(column);
  const { direct, derived, relation } = found;
  const known = direct.union(derived);
  const label = (classes: Iterable<string>, reason: string): ColumnLabel => ({
    class: joined(classes),
    relation,
    reason,
  });
  const kind = kindOf(column, planning);
  const everything = index?.all ?? new Set<string>();

  // Something of the source is not known: it may be of any class.
  const anything = found.missing || output.temporary.length > 0 || (output.unknown !== "" && !reach.bounded);
  const possible = anything ? everything : output.unknown === "" ? known : known.union(reach.touched);
  if (!concerned) return pass(label(possible, possible.size > 0 ? "revealed" : "not classified"));
  if (found.missing) {
    planning.stale = true;
    return maskWhole(kind, label(everything, "unknown column"));
  }
  if (output.temporary.length > 0 && holdsHidden) return maskWhole(kind, label(everything, "temporary"));
  // Triggers and rules may put there what the statement does not name; so may code that has run before, into a setting.
  const laid = holdsHidden && (reach.rewritten.size > 0 || planning.request.codeRan);
  if (output.unknown !== "" && (laid || couldCarryHidden(planning) || !known.isDisjointFrom(hidden))) {
    return maskWhole(kind, label(possible, "no origin"));
  }
  if (known.isDisjointFrom(hidden)) return pass(label(possible, known.size > 0 ? "revealed" : "not classified"));
  if (!output.exact || !derived.isDisjointFrom(hidden)) return maskWhole(kind, label(known, "derived"));
  const held = direct.intersection(hidden);
  return maskByClass(kind, column.typeOid, hidden, held, classOf, label(known, "classified"));
}

/** The classes of what may flow into a column. */
class Found {
  readonly direct = new Set<string>();
  readonly derived = new Set<string>();
  /** `schema.name`, where it is one */
  relation = "";
  /** a source is not in the observed schema */
  missing = false;
  readonly #planning: Planning;

  constructor(planning: Planning) {
    this.#planning = planning;
  }

  addSource({ relationOid, number }: BaseColumn): void {
    this.#add(relationOid, number, false);
  }

  /**
   * What the server names: of a view only what rules say of it, for its sources are among the analysis'. RETURNING is called by
   * the column that was written, and is what was assigned to it: then the name tells nothing of the value.
   */
  addDescribed({ tableOid, columnNumber }: ResultColumn): void {
    if (tableOid === 0) return;
    if (!this.#planning.reach.written.has(tableOid)) return this.#add(tableOid, columnNumber, true);
    this.relation = this.#planning.index?.byOid.get(tableOid)?.name ?? this.relation;
  }

  #add(oid: number, number: number, described: boolean): void {
    // The server's own relations hold nothing that rules classify: what could be of users in them, the analysis calls unknown.
    // System columns (ctid, xmin, tableoid, …) are about the row's place, never of its content.
    if (oid < FIRST_NORMAL_OID || number < 0) return;
    const relation = this.#planning.index?.byOid.get(oid);
    if (relation === undefined) {
      // A temporary table is never observed; the analysis has said what may be in it.
      if (!described) this.missing = true;
      return;
    }
    if (described || this.relation === "") this.relation = relation.name;
    if (number === 0) {
      for (const name of relation.all) this.derived.add(name);
      return;
    }
    const column = relation.columns.get(number);
    if (column === undefined) {
      this.missing = true;
      return;
    }
    for (const name of column.direct) this.direct.add(name);
    for (const name of column.derived) this.derived.add(name);
  }
}

const counted = (columns: number): string => (columns === 1 ? "1 column" : `${columns} columns`);
