/** The columns of observed tables, with what their heirs and the sources of generated columns add. */

import type { Relation } from "@sallyport/proto/catalog_model";
import type { SchemaIndex } from "../schema/schema-index.ts";
import { NO_ORIGIN, columnKey } from "./flow.ts";
import type { Column, Flow } from "./flow.ts";

/** https://www.postgresql.org/docs/current/ddl-system-columns.html */
const SYSTEM: Readonly<Record<string, number>> = { ctid: -1, xmin: -2, cmin: -3, xmax: -4, cmax: -5, tableoid: -6 };
export const systemName = (number: number): string => Object.entries(SYSTEM).find(([, of]) => of === number)?.[0] ?? "";

/** Sources that one column gets from heirs. Beyond, only heirs count whose column is of another class than the parent's. */
const MAX_HEIR_COLUMNS = 4_096;

const known = new WeakMap<SchemaIndex, Map<string, readonly Column[]>>();

/** `only`: without heirs, as ONLY asks. Kept with what was observed. */
export function tableColumns(relation: Relation, index: SchemaIndex, only: boolean): readonly Column[] {
  const kept = known.get(index) ?? new Map<string, readonly Column[]>();
  known.set(index, kept);
  const key = `${relation.oid} ${only}`;
  const found = kept.get(key);
  if (found !== undefined) return found;
  const heirs = only ? [] : index.heirs(relation);
  const few = heirs.length * relation.columns.length <= MAX_HEIR_COLUMNS;
  const columns = relation.columns.map(({ name, number, typeOid, type, generatedFrom }): Column => {
    const sources = new Set([columnKey(relation.oid, number)]);
    let exact = generatedFrom.length === 0;
    for (const from of generatedFrom) sources.add(columnKey(relation.oid, from));
    const classes = few ? "" : classesOf(relation, number, index);
    for (const heir of heirs) {
      const column = heir.columns.find((other) => other.name === name);
      if (column === undefined) continue;
      if (!few && classesOf(heir, column.number, index) === classes) continue;
      sources.add(columnKey(heir.oid, column.number));
      for (const from of column.generatedFrom) sources.add(columnKey(heir.oid, from));
      exact &&= column.generatedFrom.length === 0;
    }
    return { name, flow: columnFlow(relation.oid, number, [...sources], exact, { oid: typeOid, text: type }) };
  });
  kept.set(key, columns);
  return columns;
}

const classesOf = (relation: Relation, number: number, index: SchemaIndex): string =>
  index.classesOf(relation, number).toSorted().join(" ");

export function columnFlow(
  oid: number,
  number: number,
  sources: readonly number[],
  exact: boolean,
  type?: Flow["type"],
): Flow {
  return { sources, exact, unknown: "", temporary: [], origins: [{ oid, number }], type, fields: undefined };
}

/** ctid, tableoid and their like: they tell where a row is. */
export function systemColumn(relation: Relation, name: string): Flow | undefined {
  const number = SYSTEM[name];
  if (number === undefined) return undefined;
  return columnFlow(relation.oid, number, [columnKey(relation.oid, number)], true);
}

/** What a server describes for the whole row of a relation. */
export const rowOrigin = (relation: Relation | undefined): Flow["origins"] =>
  relation === undefined ? NO_ORIGIN : [{ oid: relation.oid, number: 0 }];
