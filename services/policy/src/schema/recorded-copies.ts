/** What commands have written where, of one database (ADR 0011): several connections may lead to it. */

import type { ColumnCopy, Relation } from "@sallyport/proto/catalog_model";

export class RecordedCopies {
  /** by `schema` and `name`, and by oid, of what was written to */
  readonly #by = new Map<string, ColumnCopy[]>();

  record(copies: readonly ColumnCopy[]): void {
    for (const copy of copies) {
      const keys = [nameKey(copy.schema, copy.relation)];
      if (copy.relationOid !== 0) keys.push(String(copy.relationOid));
      for (const key of keys) {
        const known = this.#by.get(key);
        if (known === undefined) this.#by.set(key, [copy]);
        else known.push(copy);
      }
    }
  }

  get empty(): boolean {
    return this.#by.size === 0;
  }

  /** Those that may be into this relation, by its name or its oid. */
  into({ oid, schema, name }: Relation): ColumnCopy[] {
    const keys = [nameKey(schema, name), nameKey("", name), String(oid)];
    return keys.flatMap((key) => this.#by.get(key) ?? []);
  }
}

const nameKey = (schema: string, name: string): string => JSON.stringify([schema, name]);
