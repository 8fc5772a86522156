/** Random expressions of a wanted kind over what is in sight. */

import type { Random } from "../random.ts";
import { inSight, TYPES } from "./random-tables.ts";
import type { Column, Kind, Scope } from "./random-tables.ts";

/** A query of one column of a kind, for where an expression needs one. */
export type SubQuery = (kind: Kind, scope: Scope, depth: number) => string;

const SCALARS: readonly Exclude<Kind, "row">[] = ["int", "num", "text", "bool", "json", "time", "texts"];

const LITERALS: Readonly<Record<Exclude<Kind, "row">, readonly string[]>> = {
  int: ["1", "0", "42", "NULL::int"],
  num: ["1.5", "0.0", "NULL::numeric"],
  text: ["'x'::text", "'@'::text", "current_user::text", "NULL::text"],
  bool: ["true", "false"],
  json: [`'{"a": 1}'::jsonb`, "NULL::jsonb"],
  time: ["now()", "current_timestamp", "NULL::timestamptz"],
  texts: ["ARRAY['a', 'b']", "NULL::text[]"],
};

/** `i n t b j d a`: an argument of that kind. */
const CALLS: Readonly<Record<Exclude<Kind, "row">, readonly string[]>> = {
  int: ["length(t)", "(i + i)", "abs(i)", "strpos(t, t)", "cardinality(a)", "extract(year FROM d)::int", "(- i)"],
  num: ["(n * n)", "round(n, 2)", "abs(n)", "(n + i)", "coalesce(n, i::numeric)", "extract(epoch FROM d)::numeric"],
  text: [
    "upper(t)",
    "(t || t)",
    "substring(t FROM 1 FOR 3)",
    "left(t, i)",
    "replace(t, t, t)",
    "md5(t)",
    "concat(t, i, t)",
    "format('%s-%s', t, n)",
    "trim(t)",
    "split_part(t, '@', 1)",
    "(j ->> 'a')",
    "(j #>> '{a,b}')",
    "to_char(d, 'YYYY')",
    "array_to_string(a, ',')",
    "(a)[1]",
    "t::varchar",
    '(t COLLATE "C")',
    "regexp_replace(t, 'a', t)",
    "quote_literal(t)",
    "(i::text)",
    "(SELECT t)",
  ],
  bool: [
    "(t = t)",
    "(t LIKE 'a%')",
    "(i > i)",
    "(t IS NULL)",
    "(b AND b)",
    "(NOT b)",
    "(t = ANY (a))",
    "(n BETWEEN n AND n)",
    "(t IN ('a', t))",
    "(t IS DISTINCT FROM t)",
    "((t, i) = (t, i))",
    "(j ? 'a')",
  ],
  json: [
    "to_jsonb(t)",
    "jsonb_build_object('k', t, 'l', i)",
    "(j -> 'a')",
    "jsonb_build_array(t, n)",
    "(j || j)",
    "to_jsonb(a)",
    "jsonb_set(j, '{a}', to_jsonb(t))",
    "json_query(j, '$.a' RETURNING jsonb)",
  ],
  time: ["date_trunc('day', d)", "(d + interval '1 day')", "greatest(d, d)", "to_timestamp(i)"],
  texts: [
    "ARRAY[t, t]",
    "string_to_array(t, '@')",
    "array_append(a, t)",
    "(a || a)",
    "(a)[1:2]",
    "regexp_match(t, t)",
    "array_remove(a, t)",
  ],
};

const AGGREGATES: Readonly<Record<Exclude<Kind, "row">, readonly string[]>> = {
  int: ["count(t)::int", "count(*)::int", "max(i)", "min(i)", "count(DISTINCT t)::int"],
  num: ["sum(n)", "avg(n)", "max(n)", "sum(i)::numeric"],
  text: [
    "max(t)",
    "min(t)",
    "string_agg(t, ',')",
    "string_agg(t, ',' ORDER BY t)",
    "(array_agg(t))[1]",
    "max(t) FILTER (WHERE b)",
    "mode() WITHIN GROUP (ORDER BY t)",
    "any_value(t)",
  ],
  bool: ["bool_and(b)", "bool_or(b)", "every(b)"],
  json: ["jsonb_agg(t)", "jsonb_object_agg(coalesce(t, ''), i)", "jsonb_agg(j ORDER BY t)"],
  time: ["max(d)", "min(d)"],
  texts: ["array_agg(t)", "array_agg(t ORDER BY i)", "array_agg(DISTINCT t)"],
};

const WINDOWS: Readonly<Record<Exclude<Kind, "row">, readonly string[]>> = {
  int: ["row_number() OVER w::int", "rank() OVER w::int", "lag(i) OVER w", "count(*) OVER w::int"],
  num: ["sum(n) OVER w", "avg(n) OVER w"],
  text: [
    "lag(t) OVER w",
    "lead(t, 1, t) OVER w",
    "first_value(t) OVER w",
    "nth_value(t, 2) OVER w",
    "max(t) OVER w",
    "string_agg(t, ',') OVER w",
  ],
  bool: ["bool_or(b) OVER w"],
  json: ["jsonb_agg(t) OVER w"],
  time: ["max(d) OVER w"],
  texts: ["array_agg(t) OVER w"],
};

const LETTERS: Readonly<Record<string, Exclude<Kind, "row">>> = {
  i: "int",
  n: "num",
  t: "text",
  b: "bool",
  j: "json",
  d: "time",
  a: "texts",
};

export class RandomExpressions {
  readonly #random: Random;
  readonly #subQuery: SubQuery;

  constructor(random: Random, subQuery: SubQuery) {
    this.#random = random;
    this.#subQuery = subQuery;
  }

  scalarKind(): Exclude<Kind, "row"> {
    return this.#random.below(2) === 0 ? "text" : this.#random.pick(SCALARS);
  }

  /** A column of a kind, or a field of a row; undefined: none is in sight. */
  column(kind: Kind, scope: Scope): string | undefined {
    const found: string[] = [];
    for (const { alias, columns, whole } of inSight(scope)) {
      for (const column of columns) {
        if (column.kind === kind) found.push(`${alias}.${column.name}`);
        if (column.kind === kind && whole && this.#random.below(12) === 0) found.push(`(${alias}).${column.name}`);
        for (const field of column.fields ?? [])
          if (field.kind === kind) found.push(`(${alias}.${column.name}).${field.name}`);
      }
    }
    return found.length === 0 ? undefined : this.#random.pick(found);
  }

  make(kind: Exclude<Kind, "row">, scope: Scope, depth: number): string {
    const random = this.#random;
    const how = random.below(depth > 0 ? 20 : 12);
    if (how < 9) return this.column(kind, scope) ?? this.#other(kind, scope, depth);
    if (how < 11) return random.pick(LITERALS[kind]);
    if (how < 16) return this.#filled(random.pick(CALLS[kind]), scope, depth - 1);
    if (how === 16) return this.#choice(kind, scope, depth - 1);
    if (how === 17) return this.#subSelect(kind, scope, depth - 1);
    return this.#other(kind, scope, depth);
  }

  condition(scope: Scope, depth: number): string {
    return this.#random.below(4) === 0
      ? this.#subSelect("bool", scope, depth)
      : this.#filled(this.#random.pick(CALLS.bool), scope, depth);
  }

  aggregate(kind: Exclude<Kind, "row">, scope: Scope, depth: number): string {
    return this.#filled(this.#random.pick(AGGREGATES[kind]), scope, depth);
  }

  window(kind: Exclude<Kind, "row">, scope: Scope): string {
    const by = this.#random.pick([
      "PARTITION BY t",
      "ORDER BY t",
      "PARTITION BY i ORDER BY t DESC",
      "ORDER BY d ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
      "",
    ]);
    const call = this.#filled(this.#random.pick(WINDOWS[kind]), scope, 0);
    return call.replace("OVER w", () => `OVER (${this.#filled(by, scope, 0)})`);
  }

  /** A whole row, and what can be made of it. */
  row(scope: Scope): { text: string; fields: readonly Column[]; alias: string } | undefined {
    const found = inSight(scope).filter(({ whole, columns }) => whole && columns.length > 0);
    if (found.length === 0) return undefined;
    const { alias, columns } = this.#random.pick(found);
    return { text: alias, fields: columns, alias };
  }

  /** Single letters stand for arguments. */
  #filled(pattern: string, scope: Scope, depth: number): string {
    return pattern.replace(/(?<![\w'%{.,$])[intbjda](?![\w'%(}.])/g, (letter) => {
      const kind = LETTERS[letter];
      return kind === undefined ? letter : this.make(kind, scope, Math.max(0, depth));
    });
  }

  #choice(kind: Exclude<Kind, "row">, scope: Scope, depth: number): string {
    const some = (): string => this.make(kind, scope, Math.max(0, depth));
    const when = (): string => this.condition(scope, 0);
    switch (this.#random.below(kind === "json" ? 3 : 5)) {
      case 0:
        return `coalesce(${some()}, ${some()})`;
      case 1:
        return `CASE WHEN ${when()} THEN ${some()} ELSE ${some()} END`;
      case 2:
        return `CASE ${this.make("int", scope, 0)} WHEN 1 THEN ${some()} WHEN 2 THEN ${some()} END`;
      case 3:
        return `nullif(${some()}, ${some()})`;
      default:
        return `${this.#random.pick(["greatest", "least"])}(${some()}, ${some()})`;
    }
  }

  #subSelect(kind: Exclude<Kind, "row">, scope: Scope, depth: number): string {
    if (depth < 0) return this.make(kind, scope, 0);
    if (kind === "texts" && this.#random.below(2) === 0) return `ARRAY(${this.#subQuery("text", scope, depth)})`;
    if (kind === "bool") {
      const of = this.#random.pick(["text", "int"] as const);
      return this.#random.pick([
        () => `EXISTS (${this.#subQuery(of, scope, depth)})`,
        () => `NOT EXISTS (${this.#subQuery(of, scope, depth)})`,
        () => `(${this.make(of, scope, 0)} IN (${this.#subQuery(of, scope, depth)}))`,
        () => `(${this.make(of, scope, 0)} <> ALL (${this.#subQuery(of, scope, depth)}))`,
      ])();
    }
    return `(${this.#subQuery(kind, scope, depth)} LIMIT 1)`;
  }

  /** By way of another kind. */
  #other(kind: Exclude<Kind, "row">, scope: Scope, depth: number): string {
    if (kind === "text") {
      const from = this.#random.pick(["int", "num", "json", "time", "texts", "bool"] as const);
      return `(${this.column(from, scope) ?? this.#random.pick(LITERALS[from])})::text`;
    }
    if (kind === "json" && this.#random.below(2) === 0) {
      const row = this.row(scope);
      if (row !== undefined)
        return this.#random.pick([
          `to_jsonb(${row.text})`,
          `jsonb_build_object('r', ${row.text})`,
          `row_to_json(${row.text})::jsonb`,
        ]);
    }
    if (depth > 0) return this.#filled(this.#random.pick(CALLS[kind]), scope, depth - 1);
    return this.#random.below(3) === 0
      ? this.#random.pick(LITERALS[kind])
      : `(${this.column("text", scope) ?? "'1'"})::text::${TYPES[kind]}`;
  }
}
