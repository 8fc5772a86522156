import type { Classification, Schema } from "@sallyport/proto/catalog_model";
import type { Copies, Copy } from "./copies.ts";
import { matchesGlob } from "./glob.ts";

/** How a column came to a class: its own name, or values computed from a column of the class. */
export type Manner = "direct" | "derived";

/** (relation oid, column number) → classification → manner. */
export type ColumnBindings = Map<string, Manner>;

export const columnKey = (oid: number, column: number): string => `${oid}.${column}`;

/** What tells a classification from every other; bindings last as long as it is configured. */
export const classificationKey = (c: Classification): string =>
  JSON.stringify([c.class, c.connection, c.database, c.schema, c.relation, c.column]);

/** Stands for a rule where what a column was written with could be of a class, and cannot be told. */
export const unfollowedKey = (name: string): string => JSON.stringify([name, "", "", "", "", ""]);

/** The class that a classification's key names. */
export const classOfKey = (key: string): string => (JSON.parse(key) as [string])[0];

/**
 * Which columns of one database are classified by which rule. Sticky: a binding once made is to the relation's oid and the
 * column's number, so that renaming or moving a table or column never declassifies. It ends when the rule does.
 *
 * A dropped relation keeps its bindings too: its oid does not come back, and a relation that only left the schemas that are
 * observed must not come back in clear. Another server behind the same connection is another identity (`Schema.identity`).
 */
export class DatabaseBindings {
  readonly #columns = new Map<string, ColumnBindings>();

  of(oid: number, column: number): ReadonlyMap<string, Manner> {
    return this.#columns.get(columnKey(oid, column)) ?? NONE;
  }

  /** Forgets what rules said that are configured no more. */
  retain(keys: ReadonlySet<string>): void {
    for (const [column, bound] of this.#columns) {
      for (const key of bound.keys()) if (!keys.has(key)) bound.delete(key);
      if (bound.size === 0) this.#columns.delete(column);
    }
  }

  /** Binds what the schema shows: by name, then through inheritance, generated columns and copies until nothing is added. */
  bind(schema: Schema, rules: readonly Classification[], recorded: Copies): void {
    const byColumn = rulesByColumn(rules);
    for (const relation of schema.relations) {
      const schemaName = relation.schema.toLowerCase();
      const relationName = relation.name.toLowerCase();
      for (const column of relation.columns) {
        for (const rule of byColumn(column.name)) {
          if (matchesGlob(rule.schema, schemaName) && matchesGlob(rule.relation, relationName))
            this.#add(relation.oid, column.number, classificationKey(rule), "direct");
        }
      }
    }
    const families = inheritanceFamilies(schema);
    const copies = [...recorded.in(schema)];
    while (this.#spreadInFamilies(families) || this.#spreadToGenerated(schema) || this.#spreadToCopies(copies)) {
      // each round adds bindings, of which there are finitely many
    }
  }

  #add(oid: number, column: number, key: string, manner: Manner): boolean {
    const at = columnKey(oid, column);
    let bound = this.#columns.get(at);
    if (!bound) this.#columns.set(at, (bound = new Map()));
    const known = bound.get(key);
    if (known === "direct" || known === manner) return false;
    bound.set(key, manner);
    return true;
  }

  /** A query of the parent returns the children's rows, and the other way round nothing is lost: all share their classes. */
  #spreadInFamilies(families: readonly Family[]): boolean {
    let added = false;
    for (const family of families) {
      for (const members of family) {
        const all = new Map<string, Manner>();
        for (const { oid, column } of members) {
          for (const [key, manner] of this.of(oid, column)) if (all.get(key) !== "direct") all.set(key, manner);
        }
        for (const { oid, column } of members) {
          for (const [key, manner] of all) added = this.#add(oid, column, key, manner) || added;
        }
      }
    }
    return added;
  }

  #spreadToCopies(copies: readonly Copy[]): boolean {
    let added = false;
    for (const { to, from } of copies) {
      if ("class" in from) {
        added = this.#add(to.oid, to.column, unfollowedKey(from.class), "derived") || added;
        continue;
      }
      for (const [key, manner] of this.of(from.source.oid, from.source.column)) {
        added = this.#add(to.oid, to.column, key, from.exact ? manner : "derived") || added;
      }
    }
    return added;
  }

  #spreadToGenerated(schema: Schema): boolean {
    let added = false;
    for (const relation of schema.relations) {
      for (const column of relation.columns) {
        for (const source of column.generatedFrom) {
          for (const key of this.of(relation.oid, source).keys()) {
            added = this.#add(relation.oid, column.number, key, "derived") || added;
          }
        }
      }
    }
    return added;
  }
}

const NONE: ReadonlyMap<string, Manner> = new Map();

/** Large schemas have many columns and few names: each name is matched once. */
function rulesByColumn(rules: readonly Classification[]): (column: string) => readonly Classification[] {
  const known = new Map<string, readonly Classification[]>();
  return (column) => {
    let matching = known.get(column);
    if (!matching) {
      const name = column.toLowerCase();
      known.set(column, (matching = rules.filter((rule) => matchesGlob(rule.column, name))));
    }
    return matching;
  };
}

/** Columns of one name in relations that inherit from each other (partitions are such). */
type Family = { oid: number; column: number }[][];

function inheritanceFamilies(schema: Schema): Family[] {
  const rootOf = disjointSets(schema);
  const families = new Map<number, Map<string, { oid: number; column: number }[]>>();
  for (const relation of schema.relations) {
    const root = rootOf(relation.oid);
    if (root === undefined) continue;
    const columns = families.get(root) ?? new Map<string, { oid: number; column: number }[]>();
    families.set(root, columns);
    for (const column of relation.columns) {
      const same = columns.get(column.name) ?? [];
      columns.set(column.name, same);
      same.push({ oid: relation.oid, column: column.number });
    }
  }
  return [...families.values()].map((columns) => [...columns.values()].filter((same) => same.length > 1));
}

/** Union-find over parents, with halved paths: a relation's family by one of its oids; undefined: it has none. */
function disjointSets(schema: Schema): (oid: number) => number | undefined {
  const above = new Map<number, number>();
  const find = (oid: number): number => {
    let at = oid;
    for (let next = above.get(at); next !== undefined && next !== at; next = above.get(at)) {
      const after = above.get(next) ?? next;
      above.set(at, after);
      at = after;
    }
    return at;
  };
  for (const relation of schema.relations) {
    for (const parent of relation.parents) {
      const [a, b] = [find(relation.oid), find(parent)];
      above.set(a, b);
      above.set(b, b);
    }
  }
  return (oid) => (above.has(oid) ? find(oid) : undefined);
}
