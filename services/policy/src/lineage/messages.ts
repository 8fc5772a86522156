/** What was found, in the words of the verdict's facts. */

import { BaseColumn, ColumnFlow, OutputColumn } from "@sallyport/proto/verdict";
import type { SchemaIndex } from "../schema/schema-index.ts";
import { NOTHING, UNOBSERVED, columnKey, numberOf, oidOf } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import type { Written } from "./run.ts";
import { systemName } from "./tables.ts";

const known = new WeakMap<SchemaIndex, Map<number, BaseColumn>>();

/** Sorted, so that equal lineages are equal messages. */
export function baseColumns(keys: Iterable<number>, index: SchemaIndex | undefined): BaseColumn[] {
  if (index === undefined) return [];
  const kept = known.get(index) ?? new Map<number, BaseColumn>();
  known.set(index, kept);
  const sorted = [...keys];
  if (sorted.length > 1) sorted.sort((a, b) => a - b);
  return sorted.map((key) => kept.get(key) ?? learn(key, index, kept));
}

/** The columns of a relation, all at once: there may be 1,600 of them. */
function learn(key: number, index: SchemaIndex, kept: Map<number, BaseColumn>): BaseColumn {
  const relation = index.withOid(oidOf(key));
  const called = relation === undefined ? "" : `${relation.schema}.${relation.name}`;
  const base = (number: number, name: string): BaseColumn => {
    return { relationOid: oidOf(key), number, relation: called, name };
  };
  for (const { number, name } of relation?.columns ?? []) kept.set(columnKey(oidOf(key), number), base(number, name));
  const found = kept.get(key) ?? base(numberOf(key), systemName(numberOf(key)));
  kept.set(key, found);
  return found;
}

export function outputColumn({ name, flow }: Column, index: SchemaIndex | undefined): OutputColumn {
  const origins = flow.origins.filter(
    (origin, i, all) => all.findIndex((other) => other.oid === origin.oid && other.number === origin.number) === i,
  );
  const observed = origins.filter((origin) => origin.oid !== UNOBSERVED);
  const [first, ...others] = observed;
  return {
    name,
    sources: baseColumns(flow.sources, index),
    exact: flow.exact && flow.unknown === "" && flow.temporary.length === 0,
    unknown: flow.unknown,
    describedOid: first?.oid ?? 0,
    describedNumber: first?.number ?? 0,
    temporary: [...flow.temporary],
    orDescribed: others,
    describedUnobserved: observed.length < origins.length,
  };
}

export function columnFlow({ target, flow }: Written, index: SchemaIndex | undefined): ColumnFlow {
  const temporary = flow.temporary.length > 0 ? "a temporary relation that nothing is known of" : "";
  const unknown = flow.unknown === "" ? temporary : flow.unknown;
  return {
    ...target,
    sources: baseColumns(flow.sources, index),
    exact: flow.exact && unknown === "",
    unknown,
  };
}

/** The session's temporary relations by name, as their flows tell. */
export function temporaryRelations(flows: readonly ColumnFlow[]): ReadonlyMap<string, Shape> {
  const relations = new Map<string, { columns: Map<string, Flow>; open: boolean }>();
  for (const { relation, column, sources, exact, unknown } of flows) {
    const found = relations.get(relation) ?? { columns: new Map<string, Flow>(), open: false };
    relations.set(relation, found);
    if (column === "") {
      found.open = true;
      continue;
    }
    const before = found.columns.get(column) ?? NOTHING;
    const keys = new Set([...before.sources, ...sources.map((base) => columnKey(base.relationOid, base.number))]);
    found.columns.set(column, {
      ...before,
      sources: [...keys],
      exact: before.exact && exact,
      unknown: before.unknown === "" ? unknown : before.unknown,
    });
  }
  const shapes = new Map<string, Shape>();
  for (const [name, { columns, open }] of relations) {
    const list = [...columns].map(([column, flow]): Column => ({ name: column, flow }));
    shapes.set(name, { columns: list, open: open ? NOTHING : undefined });
  }
  return shapes;
}
