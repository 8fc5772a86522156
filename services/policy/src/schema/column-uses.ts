/** Which columns of a relation a statement names. Too many rather than too few. */

import type { Relation } from "@sallyport/proto/catalog_model";
import type { ColumnUse, Outline, RelationRef } from "../sql/outline.ts";

/** https://www.postgresql.org/docs/current/ddl-system-columns.html */
const SYSTEM = new Set(["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"]);

/** An outline's column uses, by statement, for asking about its relations one after the other. */
export class ColumnUses {
  readonly #uses = new Map<number, ColumnUse[]>();
  /** names that stand for something in a statement: relations, aliases, sub-queries */
  readonly #names = new Map<number, Set<string>>();

  constructor(outline: Outline) {
    for (const use of outline.columns) push(this.#uses, use.statement, use);
    for (const ref of outline.relations) for (const name of ref.names) add(this.#names, ref.statement, name);
    for (const { statement, name } of outline.derived) add(this.#names, statement, name);
  }

  /** `relation`: as observed, or undefined; then every column that could be meant counts. Sorted; `["*"]` for all. */
  of(ref: RelationRef, relation: Relation | undefined): string[] {
    const columns = new Set(ref.columns);
    const known = relation === undefined ? undefined : new Set(relation.columns.map((column) => column.name));
    const names = this.#names.get(ref.statement);
    for (const { qualifier, column } of this.#uses.get(ref.statement) ?? []) {
      // A whole row, by the relation's own name: to_json(t).
      if (qualifier === undefined && ref.names.includes(column)) columns.add("*");
      const mine = qualifier === undefined || ref.names.includes(qualifier) || names?.has(qualifier) !== true;
      if (!mine) continue;
      if (column === "*" || known === undefined || known.has(column)) columns.add(column);
      // `t.f` that is no column of t is f(t), of the whole row.
      else if (qualifier !== undefined && ref.names.includes(qualifier) && !SYSTEM.has(column)) columns.add("*");
    }
    return columns.has("*") ? ["*"] : [...columns].toSorted();
  }
}

function push<T>(map: Map<number, T[]>, key: number, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function add(map: Map<number, Set<string>>, key: number, value: string): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}
