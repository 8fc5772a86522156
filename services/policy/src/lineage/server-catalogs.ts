/** The columns of a catalog of the server, as its version has them. */

import { CATALOG_COLUMNS } from "./catalog-columns.ts";

interface Known {
  versions: readonly number[];
  columns: readonly string[];
}

const KNOWN: ReadonlyMap<string, readonly Known[]> = read(CATALOG_COLUMNS);

function read(table: string): Map<string, Known[]> {
  const relations = new Map<string, Known[]>();
  for (const line of table.trim().split("\n")) {
    const [versions = "", relation = "", ...columns] = line.split(" ");
    const known = { versions: versions.split(",").map(Number), columns };
    relations.set(relation, [...(relations.get(relation) ?? []), known]);
  }
  return relations;
}

/** @param major the server's version. undefined: not known; a version in between has what those around it agree on */
export function catalogColumns(schema: string, name: string, major: number): readonly string[] | undefined {
  const known = KNOWN.get(`${schema}.${name}`) ?? [];
  const exact = known.find(({ versions }) => versions.includes(major));
  if (exact !== undefined) return exact.columns;
  const [only, ...others] = known;
  if (only === undefined || others.length > 0) return undefined;
  const between = Math.min(...only.versions) < major && major < Math.max(...only.versions);
  return between ? only.columns : undefined;
}
