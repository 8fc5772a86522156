import type { ColumnCopy, Schema } from "@sallyport/proto/catalog_model";

export interface Column {
  oid: number;
  column: number;
}

/** One observed column that was written from another, or with what could not be told. */
export interface Copy {
  to: Column;
  from: { source: Column; exact: boolean } | { class: string };
}

/**
 * The copies on record of one database. A target is known by name until it is observed, by oid and number from then on, so
 * that renaming it loses nothing; the next relation of its name counts as a target too.
 */
export class Copies {
  readonly #byName = new Map<string, ColumnCopy[]>();
  readonly #byOid = new Map<number, ColumnCopy[]>();
  /** by record and column, as ever observed */
  readonly #found = new Map<string, Copy>();

  record(copies: readonly ColumnCopy[]): void {
    for (const copy of copies) {
      push(this.#byName, nameKey(copy.schema, copy.relation), copy);
      if (copy.relationOid !== 0) push(this.#byOid, copy.relationOid, copy);
    }
  }

  /** All that is known, after a look at what is there now. */
  in(schema: Schema): Iterable<Copy> {
    for (const relation of schema.relations) {
      const records = [
        ...(this.#byName.get(nameKey(relation.schema, relation.name)) ?? []),
        ...(this.#byName.get(nameKey("", relation.name)) ?? []),
        ...(this.#byOid.get(relation.oid) ?? []),
      ];
      for (const record of records) {
        for (const { name, number } of relation.columns) {
          if (name !== record.column && record.column !== "*") continue;
          const copy: Copy = { to: { oid: relation.oid, column: number }, from: sourceOf(record) };
          this.#found.set(JSON.stringify(copy), copy);
        }
      }
    }
    return this.#found.values();
  }
}

const sourceOf = ({ sourceOid, sourceNumber, exact, class: name }: ColumnCopy): Copy["from"] =>
  sourceOid === 0 ? { class: name } : { source: { oid: sourceOid, column: sourceNumber }, exact };

const nameKey = (schema: string, relation: string): string => JSON.stringify([schema, relation]);

function push<Key>(map: Map<Key, ColumnCopy[]>, key: Key, copy: ColumnCopy): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [copy]);
  else known.push(copy);
}
