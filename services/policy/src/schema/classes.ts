/**
 * Which classes of data a column holds, by the configuration's classifications. A column that was once classified by a
 * rule stays so as long as the rule is in force, by (relation oid, column number): renaming never declassifies.
 */

import type { Classification, Relation } from "@sallyport/proto/catalog_model";
import { globMatches } from "./glob.ts";

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
    for (const [column, keys] of this.#bound) {
      for (const key of keys) if (!inForce.has(key)) keys.delete(key);
      if (keys.size === 0) this.#bound.delete(column);
    }
  }

  /** Binds the rules to what was observed, and forgets relations that are gone. */
  observe(relations: readonly Relation[]): void {
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
    for (const id of this.#bound.keys()) if (!present.has(id)) this.#bound.delete(id);
  }

  /** Classes of one observed column. */
  of(relation: Relation, number: number): string[] {
    const keys = this.#bound.get(`${relation.oid}.${number}`);
    if (keys === undefined) return [];
    return this.#rules.filter((rule) => keys.has(rule.key)).map((rule) => rule.class);
  }

  /** Every class that something in this database may hold. */
  all(): ReadonlySet<string> {
    return new Set(this.#rules.map((rule) => rule.class));
  }

  #matches(rule: Rule, schema: string, relation: string, column: string): boolean {
    return globMatches(rule.schema, schema) && globMatches(rule.relation, relation) && globMatches(rule.column, column);
  }
}
