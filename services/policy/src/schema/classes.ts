/**
 * Which classes of data a column holds, by the configuration's classifications. A column that was once classified by a
 * rule stays so as long as the rule is in force, by (relation oid, column number): renaming never declassifies.
 */

import type { Classification, ColumnCopy, Relation } from "@sallyport/proto/catalog_model";
import { globMatches } from "./glob.ts";
import type { RecordedCopies } from "./recorded-copies.ts";

interface Rule {
  key: string;
  class: string;
  schema: string;
  relation: string;
  column: string;
}

export class ColumnClasses {
  #rules: Rule[] = [];
  /** `oid.number` → keys of the rules that ever matched it */
  readonly #bound = new Map<string, Set<string>>();
  /** `oid.number` of observed copies → what they were written from */
  readonly #copied = new Map<string, Set<ColumnCopy>>();

  /** Classifications in force for this connection and database. */
  setRules(classifications: readonly Classification[], connection: string, database: string): void {
    this.#rules = classifications
      .filter((c) => globMatches(c.connection, connection) && globMatches(c.database, database))
      .map((c) => ({
        key: JSON.stringify([c.class, c.schema, c.relation, c.column]),
        class: c.class,
        schema: c.schema,
        relation: c.relation,
        column: c.column,
      }));
    const inForce = new Set(this.#rules.map((rule) => rule.key));
    // what could not be followed is of its class while any rule here is
    for (const rule of this.#rules) inForce.add(unfollowed(rule.class));
    for (const [column, keys] of this.#bound) {
      for (const key of keys) if (!inForce.has(key)) keys.delete(key);
      if (keys.size === 0) this.#bound.delete(column);
    }
  }

  /** Binds the rules to what was observed, and forgets relations that are gone. */
  observe(relations: readonly Relation[], copies: RecordedCopies): void {
    const present = new Set<string>();
    for (const relation of relations) {
      for (const column of relation.columns) {
        const id = `${relation.oid}.${column.number}`;
        present.add(id);
        for (const rule of this.#rules) {
          if (!this.#matches(rule, relation.schema, relation.name, column.name)) continue;
          const keys = this.#bound.get(id);
          if (keys === undefined) this.#bound.set(id, new Set([rule.key]));
          else keys.add(rule.key);
        }
      }
    }
    if (!copies.empty) this.#findCopies(relations, copies);
    while (this.#spreadToCopies()) {
      // copies of copies: each round binds more, of which there is an end
    }
    for (const id of this.#bound.keys()) if (!present.has(id)) this.#bound.delete(id);
    for (const id of this.#copied.keys()) if (!present.has(id)) this.#copied.delete(id);
  }

  #findCopies(relations: readonly Relation[], copies: RecordedCopies): void {
    for (const relation of relations) {
      for (const copy of copies.into(relation)) {
        for (const column of relation.columns) {
          if (column.name !== copy.column && copy.column !== "*") continue;
          const id = `${relation.oid}.${column.number}`;
          const known = this.#copied.get(id);
          if (known === undefined) this.#copied.set(id, new Set([copy]));
          else known.add(copy);
        }
      }
    }
  }

  #spreadToCopies(): boolean {
    let added = false;
    for (const [id, copies] of this.#copied) {
      const bound = this.#bound.get(id) ?? new Set<string>();
      const before = bound.size;
      for (const { sourceOid, sourceNumber, class: name } of copies) {
        const keys = sourceOid === 0 ? [unfollowed(name)] : (this.#bound.get(`${sourceOid}.${sourceNumber}`) ?? []);
        for (const key of keys) bound.add(key);
      }
      if (bound.size === before) continue;
      this.#bound.set(id, bound);
      added = true;
    }
    return added;
  }

  /** Classes of one observed column. */
  of(relation: Relation, number: number): string[] {
    const keys = this.#bound.get(`${relation.oid}.${number}`);
    if (keys === undefined) return [];
    return this.#rules
      .filter(({ key, class: name }) => keys.has(key) || keys.has(unfollowed(name)))
      .map((r) => r.class);
  }

  /** Every class that something in this database may hold. */
  all(): ReadonlySet<string> {
    return new Set(this.#rules.map((rule) => rule.class));
  }

  #matches(rule: Rule, schema: string, relation: string, column: string): boolean {
    return globMatches(rule.schema, schema) && globMatches(rule.relation, relation) && globMatches(rule.column, column);
  }
}

/** Stands for a rule where what a column was written with could be of a class, and cannot be told. */
const unfollowed = (name: string): string => JSON.stringify([name]);
