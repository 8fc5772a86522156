/**
 * Random statements over schema.sql, by a seed: queries, INSERT, UPDATE, DELETE and MERGE with RETURNING, and those within
 * WITH. Aliases come from a small stock, so that inner ones hide outer ones.
 */

import type { Random } from "../random.ts";
import type { RandomExpressions } from "./random-expressions.ts";
import { RandomSelects } from "./random-selects.ts";
import type { Query, Scalar, Wish } from "./random-selects.ts";
import { isGenerated, RELATIONS } from "./random-tables.ts";
import type { Column, Relation, Scope, Source } from "./random-tables.ts";

export class RandomQueries {
  readonly #random: Random;
  readonly #selects: RandomSelects;
  readonly #expressions: RandomExpressions;

  constructor(random: Random) {
    this.#random = random;
    this.#selects = new RandomSelects(random);
    this.#expressions = this.#selects.expressions;
  }

  next(): string {
    const depth = 1 + this.#random.below(3);
    const wish = { depth, outer: [], ctes: [] };
    const how = this.#random.below(20);
    if (how < 13) return this.#selects.query(wish).text;
    if (how < 14) return `SELECT * FROM (${this.#selects.query(wish).text}) z ${this.#tail()}`;
    if (how < 15) return this.#insert(wish).text;
    if (how < 16) return this.#update(wish).text;
    if (how < 17) return this.#delete(wish).text;
    if (how < 18) return this.#merge(wish).text;
    return this.#writingWith(wish);
  }

  #chance(of: number): boolean {
    return this.#random.below(of) === 0;
  }

  #tail(): string {
    return this.#random.pick([
      "LIMIT 5",
      "OFFSET 1",
      "ORDER BY 1",
      "ORDER BY 1 DESC LIMIT 2",
      "FETCH FIRST 2 ROWS ONLY",
    ]);
  }

  #target(): { relation: Relation; text: string; alias: string; source: Source } {
    const relation = this.#random.pick(RELATIONS.filter(({ writable }) => writable));
    const alias = this.#selects.alias([]);
    const source = { alias, columns: relation.columns, whole: true };
    return { relation, text: `${relation.name} AS ${alias}`, alias, source };
  }

  #assigned(relation: Relation): { column: Column; kind: Scalar }[] {
    const columns = relation.columns.filter((column) => !isGenerated(column) && column.kind !== "row");
    const first = this.#random.pick(columns);
    const second = this.#random.pick(columns);
    return [...new Set([first, second])].map((column) => ({ column, kind: column.kind as Scalar }));
  }

  #returning(scope: Scope, alias: string, others: boolean): string {
    const old = this.#chance(4) ? (this.#chance(2) ? "old" : "new") : alias;
    const [level = []] = scope;
    const seen = [
      level.map((source) =>
        source.alias === alias && !source.alias.startsWith('"') ? { ...source, alias: old } : source,
      ),
    ];
    const kind = this.#expressions.scalarKind();
    return this.#random.pick([
      () => "*",
      () => `${alias}.*`,
      () => this.#expressions.make("text", seen, 1),
      () => `${this.#expressions.make(kind, seen, 1)} AS k1, ${this.#expressions.make("text", seen, 0)} AS k2`,
      () => (others ? `${this.#expressions.make("text", [level], 1)}, *` : `to_jsonb(${alias}) AS j`),
    ])();
  }

  #insert(wish: Wish): Query {
    const { relation, text, alias, source } = this.#target();
    const written = this.#assigned(relation);
    const kinds = written.map(({ kind }) => kind);
    const query = this.#selects.query({ ...wish, depth: wish.depth - 1, kinds });
    const scope = [[source]];
    const set = this.#random.pick(written);
    const excluded: Source = { alias: "excluded", columns: relation.columns, whole: false };
    const value = (): string => this.#expressions.make(set.kind, [[source, excluded]], 0);
    const conflict =
      relation.unique !== undefined && this.#chance(3)
        ? ` ON CONFLICT (${relation.unique}) DO UPDATE SET ${set.column.name} = ${value()}`
        : "";
    const list = written.map(({ column }) => column.name).join(", ");
    return this.#writing(
      `INSERT INTO ${text} (${list}) ${query.text}${conflict}`,
      this.#returning(scope, alias, false),
    );
  }

  #update(wish: Wish): Query {
    const { relation, text, alias, source } = this.#target();
    const from = this.#chance(2)
      ? this.#selects.from({ ...wish, depth: wish.depth - 1 })
      : { text: "", sources: [] as Source[] };
    const clash = from.sources.some((other) => other.alias === alias);
    const sources = clash ? [source] : [source, ...from.sources];
    const scope = [sources];
    const assigned = this.#assigned(relation).map(
      ({ column, kind }) => `${column.name} = ${this.#expressions.make(kind, scope, wish.depth - 1)}`,
    );
    const where = this.#chance(2) ? ` WHERE ${this.#expressions.condition(scope, wish.depth - 1)}` : "";
    return this.#writing(
      `UPDATE ${text} SET ${assigned.join(", ")} ${clash ? "" : from.text}${where}`,
      this.#returning(scope, alias, !clash && from.sources.length > 0),
    );
  }

  #delete(wish: Wish): Query {
    const { text, alias, source } = this.#target();
    const from = this.#chance(2)
      ? this.#selects.from({ ...wish, depth: wish.depth - 1 })
      : { text: "", sources: [] as Source[] };
    const clash = from.sources.some((other) => other.alias === alias);
    const scope = [clash ? [source] : [source, ...from.sources]];
    const using = clash ? "" : from.text.replace(/^FROM/, "USING");
    const where = this.#chance(2) ? ` WHERE ${this.#expressions.condition(scope, wish.depth - 1)}` : "";
    return this.#writing(
      `DELETE FROM ${text} ${using}${where}`,
      this.#returning(scope, alias, !clash && from.sources.length > 0),
    );
  }

  #merge(wish: Wish): Query {
    const { relation, text, alias, source } = this.#target();
    const others: Source[] = [source];
    const item = this.#selects.item({ ...wish, depth: wish.depth - 1 }, others, true);
    const scope = [others];
    const onlySource = [others.slice(1)];
    const on = this.#expressions.condition(scope, 0);
    const set = (inside: Scope): string[] =>
      this.#assigned(relation).map(({ column, kind }) => `${column.name} = ${this.#expressions.make(kind, inside, 0)}`);
    const clauses: string[] = [];
    if (this.#chance(2))
      clauses.push(
        `WHEN MATCHED AND ${this.#expressions.condition(scope, 0)} THEN ${this.#random.pick(["DELETE", "DO NOTHING"])}`,
      );
    if (!this.#chance(4)) clauses.push(`WHEN MATCHED THEN UPDATE SET ${set(scope).join(", ")}`);
    const written = this.#assigned(relation);
    const values = written.map(({ kind }) => this.#expressions.make(kind, onlySource, 0)).join(", ");
    clauses.push(
      `WHEN NOT MATCHED THEN INSERT (${written.map(({ column }) => column.name).join(", ")}) VALUES (${values})`,
    );
    return this.#writing(
      `MERGE INTO ${text} USING ${item} ON ${on} ${clauses.join(" ")}`,
      this.#returning(scope, alias, true),
    );
  }

  #writing(text: string, returning: string): Query {
    return { text: this.#chance(8) ? text : `${text} RETURNING ${returning}`, columns: [], complete: false };
  }

  #writingWith(wish: Wish): string {
    const inner = this.#random.pick([() => this.#insert(wish), () => this.#update(wish), () => this.#delete(wish)])();
    const text = inner.text.includes(" RETURNING ") ? inner.text : `${inner.text} RETURNING 1 AS k1`;
    const rest = this.#random.pick([
      "SELECT * FROM v",
      "SELECT v FROM v",
      "SELECT to_jsonb(v), count(*) OVER () FROM v",
      `SELECT c.email, v.* FROM v, customers c`,
      `SELECT l.* FROM v, LATERAL (SELECT v.*, 1 AS one) l`,
      `INSERT INTO archive.customers (email) SELECT to_jsonb(v)::text FROM v RETURNING email`,
    ]);
    return `WITH v AS (${text}) ${rest}`;
  }
}
