/** Of what a command writes where, that which makes a copy of classified data (ADR 0011). */

import type { BaseColumn, ColumnFlow } from "@sallyport/proto/verdict";
import type { SchemaIndex } from "../schema/schema-index.ts";

/** Flows into the session's own temporary relations are kept as they are: they tell their columns, too. */
export function classifiedFlows(flows: readonly ColumnFlow[], index: SchemaIndex | undefined): ColumnFlow[] {
  const kept: ColumnFlow[] = [];
  for (const flow of flows) {
    if (flow.temporary) {
      kept.push(flow);
      continue;
    }
    const own = classesAt(flow, index);
    const sources = flow.sources.filter((source) => classesOf(source, index).some((name) => !own.has(name)));
    if (sources.length > 0 || flow.unknown !== "") kept.push({ ...flow, sources });
  }
  return kept;
}

function classesOf({ relationOid, number }: BaseColumn, index: SchemaIndex | undefined): readonly string[] {
  const relation = index?.withOid(relationOid);
  return relation === undefined || index === undefined ? [] : [...index.familyClasses(relation, number)];
}

/** That the written column is of already: a value of such a class makes it nothing more. */
function classesAt({ relationOid, column }: ColumnFlow, index: SchemaIndex | undefined): ReadonlySet<string> {
  const relation = relationOid === 0 ? undefined : index?.withOid(relationOid);
  const number = relation?.columns.find((one) => one.name === column)?.number;
  if (relation === undefined || index === undefined || number === undefined) return new Set();
  return index.familyClasses(relation, number);
}
