/**
 * Statements made of random choices, over the corpus's schema. The choices are a list of numbers (the tape): fast-check makes
 * it, keeps its seed, and shortens it when something was found; where it ends, the simplest is chosen.
 */

import { RELATIONS, type Column, type Kind, type Relation } from "./random-schema.ts";

export type Way = "simple" | "text" | "binary" | "copy" | "copy-csv" | "copy-binary" | "cursor" | "execute" | "explain";

export interface RandomStatement {
  readonly sql: string;
  readonly way: Way;
  /** it changes something: run in a transaction that is rolled back */
  readonly writes: boolean;
  readonly tape: readonly number[];
}

/** What a FROM item offers. */
interface Source {
  readonly alias: string;
  readonly columns: readonly Column[];
}

export function statementFrom(tape: readonly number[]): RandomStatement {
  return new Composer(tape).statement();
}

const QUERY_WAYS: readonly Way[] = [
  "simple",
  "text",
  "binary",
  "copy",
  "copy-csv",
  "copy-binary",
  "cursor",
  "execute",
  "explain",
];
const CHANGE_WAYS: readonly Way[] = ["simple", "text", "binary", "copy", "execute", "explain"];

/** `%` stands for a text. */
const CALLS = [
  "jsonb_build_object('k', %)->>'k'",
  "format('<' || % || '>')",
  "translate(%, 'ghj', 'abc')",
  "replace(%, 'q', '.')",
  "lpad(%, 20, '-')",
  "json_build_array(%)::text",
  "xmlelement(name e, %)::text",
  "repeat(%, 2)",
  "left(%, -1)",
  "split_part(%, '-', 1)",
  "regexp_replace(%, '(.)', '\\1-', 'g')",
  "quote_ident(%)",
  "to_tsvector('simple', %)::text",
  "(%)::varchar(6)::text",
  "(%)::name::text",
] as const;

class Composer {
  readonly #tape: readonly number[];
  #at = 0;
  #names = 0;
  #ctes: Relation[] = [];
  #depth = 0;

  constructor(tape: readonly number[]) {
    this.#tape = tape;
  }

  statement(): RandomStatement {
    if (this.#next(12) < 10) {
      const way = this.#pick(QUERY_WAYS);
      return { sql: this.#query(this.#next(4) + 1).sql, way, writes: false, tape: this.#tape };
    }
    const way = this.#pick(CHANGE_WAYS);
    return { sql: this.#change(), way, writes: true, tape: this.#tape };
  }

  #next(below: number): number {
    return (this.#tape[this.#at++] ?? 0) % below;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#next(from.length)]!;
  }

  #name(prefix: string): string {
    return `${prefix}${++this.#names}`;
  }

  #change(): string {
    const target = this.#pick(["dump", "bin", "folk", "yard"]);
    const from = this.#from(2);
    const text = this.#text(from.sources, 2);
    const returning =
      this.#next(3) === 0
        ? "*"
        : [this.#column(target), "t0"].map((one, at) => (at === 0 ? one : `'${one}'`)).join(", ");
    const where = from.sources.length > 0 && this.#next(2) === 0 ? ` WHERE ${this.#bool(from.sources, 2)}` : "";
    switch (this.#next(4)) {
      case 0:
        return `INSERT INTO ${target} (id, ${this.#textColumn(target)}) SELECT ${90 + this.#next(9)}, ${text} FROM ${from.sql}${where} LIMIT 1 RETURNING ${returning}`;
      case 1: {
        const assigned = `(SELECT ${text} FROM ${from.sql}${where} LIMIT 1)`;
        return `UPDATE ${target} SET ${this.#textColumn(target)} = coalesce(${assigned}, 'x') WHERE ${target}.id = 1 RETURNING ${returning}`;
      }
      case 2:
        return `DELETE FROM ${target} USING ${from.sql}${where === "" ? " WHERE" : `${where} AND`} ${target}.id = 1 RETURNING ${target}.*, ${text}`;
      default: {
        const assigned = `(SELECT coalesce(${text}, 'x') AS v FROM ${from.sql}${where} LIMIT 1)`;
        return `MERGE INTO ${target} USING ${assigned} AS src ON ${target}.id = 1 WHEN MATCHED THEN UPDATE SET ${this.#textColumn(target)} = src.v RETURNING ${target}.${this.#textColumn(target)}, src.v`;
      }
    }
  }

  #textColumn = (target: string): string => ({ dump: "label", bin: "t", folk: "name", yard: "t" })[target]!;
  #column = (target: string): string => `${target}.${this.#textColumn(target)}`;

  /** A query with so many columns of text, at least. */
  #query(width: number): { sql: string; columns: Column[] } {
    this.#depth++;
    const before = this.#ctes.length;
    const ctes = this.#depth < 3 && this.#next(4) === 0 ? this.#with() : "";
    const body = this.#next(5) === 0 && this.#depth < 4 ? this.#setOperation(width) : this.#select(width);
    this.#ctes.length = before;
    this.#depth--;
    return { sql: `${ctes}${body.sql}`, columns: body.columns };
  }

  #with(): string {
    const parts: string[] = [];
    for (let left = 1 + this.#next(2); left > 0; left--) {
      const name = this.#name("w");
      if (this.#next(4) === 0) {
        const seed = this.#select(1, ["n", "t"]);
        const turn = this.#pick(["r.t", "upper(r.t)", "substr(r.t, 2)", "r.t || 'x'", "reverse(r.t)"]);
        parts.push(
          `${name} (n, t) AS (SELECT 1, s.t::text FROM (${seed.sql}) AS s UNION ALL SELECT r.n + 1, ${turn} FROM ${name} AS r WHERE r.n < 3)`,
        );
        this.#ctes.push({
          sql: name,
          columns: [
            { name: "n", kind: "int" },
            { name: "t", kind: "text" },
          ],
        });
      } else {
        const { sql, columns } = this.#query(1 + this.#next(3));
        const renamed = columns.map((column, at) => ({ ...column, name: `c${at}` }));
        parts.push(
          `${name} (${renamed.map((column) => column.name).join(", ")}) AS ${this.#pick(["", "MATERIALIZED ", "NOT MATERIALIZED "])}(${sql})`,
        );
        this.#ctes.push({ sql: name, columns: renamed });
      }
    }
    return `WITH RECURSIVE ${parts.join(", ")} `;
  }

  #setOperation(width: number): { sql: string; columns: Column[] } {
    const names = Array.from({ length: width }, (_, at) => `u${at}`);
    const side = (): string => {
      const { sql } = this.#select(width, names);
      return `(SELECT ${names.map((name) => `q.${name}::text AS ${name}`).join(", ")} FROM (${sql}) AS q)`;
    };
    const sql = `${side()} ${this.#pick(["UNION ALL", "UNION", "INTERSECT", "EXCEPT"])} ${side()}`;
    return { sql, columns: names.map((name) => ({ name, kind: "text" })) };
  }

  #select(width: number, named?: readonly string[]): { sql: string; columns: Column[] } {
    this.#depth++;
    const { sql: from, sources } = this.#from(3);
    const names = named ?? Array.from({ length: width }, (_, at) => `o${at}`);
    const isGrouped = named === undefined && this.#next(6) === 0;
    const kinds = names.map((_, at): Kind =>
      named !== undefined && names[at] !== "n" ? "text" : this.#pick(["text", "text", "text", "int", "bool"]),
    );
    const targets = names.map(
      (name, at) => `${isGrouped ? this.#aggregate(sources, kinds[at]!) : this.#of(kinds[at]!, sources, 3)} AS ${name}`,
    );
    // Columns as they stand, of every type.
    const plain: Column[] = [];
    if (named === undefined && !isGrouped && this.#next(3) === 0) {
      const source = this.#pick(sources);
      const column = this.#pick(source.columns);
      targets.push(`${source.alias}.${column.name} AS p`);
      plain.push({ name: "p", kind: column.kind });
    }
    const where = this.#next(2) === 0 ? "" : ` WHERE ${this.#bool(sources, 2)}`;
    const order = !isGrouped && this.#next(5) === 0 ? ` ORDER BY ${this.#of("text", sources, 1)}` : "";
    const group = isGrouped && this.#next(2) === 0 ? ` GROUP BY ${this.#of("text", sources, 0)}` : "";
    const distinct = !isGrouped && order === "" && this.#next(8) === 0 && plain.length === 0 ? "DISTINCT " : "";
    const limit = this.#next(3) === 0 ? " LIMIT 5" : "";
    this.#depth--;
    return {
      sql: `SELECT ${distinct}${targets.join(", ")} FROM ${from}${where}${group}${order}${limit}`,
      columns: [...names.map((name, at) => ({ name, kind: kinds[at]! })), ...plain],
    };
  }

  #from(most: number): { sql: string; sources: Source[] } {
    const sources: Source[] = [];
    let sql = "";
    for (let left = 1 + this.#next(this.#depth > 3 ? 1 : most); left > 0; left--) {
      const item = this.#item(sources);
      const condition = (): string => this.#bool([...sources, item.source], 1);
      if (sources.length === 0) sql = item.sql;
      else {
        const join = this.#pick([", ", " CROSS JOIN ", " JOIN ", " LEFT JOIN "]);
        sql +=
          join.includes(",") || join.includes("CROSS") ? `${join}${item.sql}` : `${join}${item.sql} ON ${condition()}`;
      }
      sources.push(item.source);
    }
    return { sql, sources };
  }

  #item(left: readonly Source[]): { sql: string; source: Source } {
    const alias = this.#name("a");
    const texts = left.flatMap((source) =>
      source.columns.filter(({ kind }) => kind === "text").map(({ name }) => `${source.alias}.${name}`),
    );
    switch (this.#depth > 4 ? 0 : this.#next(8)) {
      case 5: {
        const { sql, columns } = this.#query(1 + this.#next(2));
        return { sql: `(${sql}) AS ${alias}`, source: { alias, columns } };
      }
      case 6: {
        if (texts.length === 0) break;
        const call = this.#pick([
          "string_to_table(%, NULL)",
          "regexp_split_to_table(%, '')",
          "upper(%)",
          "unnest(ARRAY[%, 'x'])",
          "unnest(string_to_array(%, 'q'))",
        ]);
        return {
          sql: `LATERAL ${call.replace("%", this.#pick(texts))} AS ${alias} (v)`,
          source: { alias, columns: [{ name: "v", kind: "text" }] },
        };
      }
      case 7: {
        if (texts.length === 0) break;
        return {
          sql: `LATERAL (VALUES (${this.#pick(texts)}, 1), ('x', 2)) AS ${alias} (v, n)`,
          source: {
            alias,
            columns: [
              { name: "v", kind: "text" },
              { name: "n", kind: "int" },
            ],
          },
        };
      }
      default:
    }
    const relation = this.#pick([...RELATIONS, ...this.#ctes, ...this.#ctes]);
    return { sql: `${relation.sql} AS ${alias}`, source: { alias, columns: relation.columns } };
  }

  #of(kind: Kind, sources: readonly Source[], depth: number): string {
    if (kind === "text") return this.#text(sources, depth);
    return kind === "int" ? this.#int(sources, depth) : this.#bool(sources, depth);
  }

  #columnOf(sources: readonly Source[], kind: Kind): string | undefined {
    const found = sources.flatMap((source) =>
      source.columns.filter((one) => one.kind === kind).map(({ name }) => `${source.alias}.${name}`),
    );
    return found.length === 0 ? undefined : this.#pick(found);
  }

  /** Any column, or a whole row, as text. */
  #anything(sources: readonly Source[]): string {
    const source = this.#pick(sources);
    if (this.#next(6) === 0)
      return this.#pick([
        `${source.alias}::text`,
        `to_json(${source.alias})::text`,
        `to_jsonb(${source.alias})::text`,
        `row(${source.alias}.*)::text`,
      ]);
    return `${source.alias}.${this.#pick(source.columns).name}::text`;
  }

  #text(sources: readonly Source[], depth: number): string {
    const column = this.#columnOf(sources, "text") ?? "'t'";
    if (depth <= 0) return column;
    const text = (): string => this.#text(sources, depth - 1);
    const int = (): string => this.#int(sources, depth - 1);
    switch (this.#next(16)) {
      case 0:
      case 1:
      case 2:
        return column;
      case 3:
        return this.#anything(sources);
      case 4:
        return `${this.#pick(["upper", "lower", "reverse", "btrim", "md5", "initcap", "quote_literal", "ltrim"])}(${text()})`;
      case 5:
        return `(${text()} || ${text()})`;
      case 6:
        return `substr(${text()}, ${1 + this.#next(4)}, ${1 + this.#next(9)})`;
      case 7:
        return `coalesce(${text()}, ${text()})`;
      case 8:
        return `CASE WHEN ${this.#bool(sources, depth - 1)} THEN ${text()} ELSE ${text()} END`;
      case 9:
        return `encode(convert_to(${text()}, 'UTF8'), ${this.#pick(["'hex'", "'base64'", "'escape'"])})`;
      case 10:
        return `(${int()})::text`;
      case 11:
        return this.#scalar(sources, "text");
      case 12:
        return `${this.#pick(["greatest", "least", "concat", "nullif"])}(${text()}, ${text()})`;
      case 13:
        return `(${this.#pick(["ARRAY[%, 'x']", "string_to_array(%, 'z')", "regexp_match(%, '..')"]).replace("%", text)})[1]`;
      case 14:
        return this.#pick(CALLS).replace("%", text);
      default:
        return this.#pick(["'literal'", "now()::date::text", "current_user::text", "NULL::text", "'x'"]);
    }
  }

  #int(sources: readonly Source[], depth: number): string {
    const column = this.#columnOf(sources, "int") ?? "1";
    if (depth <= 0) return column;
    const text = (): string => this.#text(sources, depth - 1);
    switch (this.#next(9)) {
      case 0:
      case 1:
        return column;
      case 2:
        return `length(${text()})`;
      case 3:
        return `ascii(substr(${text()}, ${1 + this.#next(12)}))`;
      case 4:
        return `(${this.#int(sources, depth - 1)} ${this.#pick(["+", "-"])} ${1 + this.#next(9)})`;
      case 5:
        return `coalesce(${this.#int(sources, depth - 1)}, 0)`;
      case 6:
        return this.#scalar(sources, "int");
      case 7:
        return `strpos(${text()}, 'x')`;
      default:
        return String(this.#next(5));
    }
  }

  #bool(sources: readonly Source[], depth: number): string {
    const text = (): string => this.#text(sources, depth - 1);
    switch (this.#next(7)) {
      case 0:
        return "true";
      case 1:
        return `${text()} LIKE ${this.#pick(["'x%'", "'%z%'", "'%'", "'_a%'"])}`;
      case 2:
        return `${text()} ${this.#pick(["=", "<>", "<", ">"])} ${text()}`;
      case 3:
        return `${this.#int(sources, depth - 1)} ${this.#pick(["=", "<", ">", "<>"])} ${this.#int(sources, depth - 1)}`;
      case 4:
        return `${text()} IS NOT NULL`;
      case 5:
        return this.#depth > 4 ? "true" : `EXISTS (${this.#select(1).sql})`;
      default:
        return `${this.#columnOf(sources, "int") ?? "1"} IN (1, 2, 3, 10)`;
    }
  }

  #scalar(outer: readonly Source[], kind: "text" | "int"): string {
    if (this.#depth > 4) return kind === "text" ? "'deep'" : "1";
    this.#depth++;
    const { sql, sources } = this.#from(2);
    const value = this.#of(kind, [...sources, ...outer], 1);
    const where = this.#next(2) === 0 ? "" : ` WHERE ${this.#bool([...sources, ...outer], 1)}`;
    this.#depth--;
    return `(SELECT ${value} FROM ${sql}${where} LIMIT 1)`;
  }

  #aggregate(sources: readonly Source[], kind: Kind): string {
    const text = (): string => this.#text(sources, 1);
    if (kind === "int")
      return this.#pick(["count(*)", `count(${text()})`, `sum(length(${text()}))`, `max(${this.#int(sources, 1)})`]);
    if (kind === "bool") return `bool_or(${this.#bool(sources, 1)})`;
    return this.#pick([
      "min(%)",
      "max(%)",
      "string_agg(%, ',')",
      "array_agg(%)::text",
      "json_agg(%)::text",
      "(array_agg(%))[1]",
      "jsonb_object_agg(coalesce(%, ''), 1)::text",
      "mode() WITHIN GROUP (ORDER BY %)",
    ]).replace("%", text);
  }
}
