/** Random queries: those within queries, WITH, joins, set operations, LATERAL, functions in FROM, windows. */

import type { Random } from "../random.ts";
import { RandomExpressions } from "./random-expressions.ts";
import { RELATIONS } from "./random-tables.ts";
import type { Column, Kind, Scope, Source } from "./random-tables.ts";

export type Scalar = Exclude<Kind, "row">;

export interface Query {
  text: string;
  /** those of its columns that can be named from outside */
  columns: Column[];
  /** are they all its columns, in order? */
  complete: boolean;
}

export interface Wish {
  depth: number;
  outer: Scope;
  ctes: readonly Cte[];
  /** exactly these kinds */
  kinds?: readonly Scalar[];
}

interface Cte {
  name: string;
  columns: readonly Column[];
}

interface From {
  text: string;
  sources: Source[];
  /** columns that a join has made one */
  merged: Set<string>;
}

const ALIASES = ["c", "o", "x", "y", "s", "t", "u", "w", '"A b"', "customers", "orders"];

export class RandomSelects {
  readonly expressions: RandomExpressions;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    this.expressions = new RandomExpressions(
      random,
      (kind, outer, depth) => this.#plain({ depth, outer, ctes: [], kinds: [kind as Scalar] }).text,
    );
  }

  #chance(of: number): boolean {
    return this.#random.below(of) === 0;
  }

  #kinds(): Scalar[] {
    return Array.from({ length: 1 + this.#random.below(3) }, () => this.expressions.scalarKind());
  }

  /** With WITH, set operations and all. */
  query(wish: Wish): Query {
    const { depth } = wish;
    if (depth <= 0) return this.#plain(wish);
    const ctes = [...wish.ctes];
    const defined: string[] = [];
    const recursive = this.#chance(6);
    // With RECURSIVE, a name means itself before it is made: no names twice, none of tables.
    const stock = recursive ? ["w1", "w2", "w3"] : ["w1", "w2", "w3", "customers", "orders"];
    for (let n = this.#random.below(7) - 4; n > 0; n--) {
      const name = this.#random.pick(stock);
      if (wish.ctes.some((cte) => recursive && cte.name === name)) continue;
      if (defined.some((text) => text.startsWith(`${name} `))) continue;
      if (recursive && this.#chance(2)) {
        defined.push(this.#recursive(name, { ...wish, depth: depth - 1, ctes }));
        ctes.push({
          name,
          columns: [
            { name: "a", kind: "text" },
            { name: "b", kind: "int" },
          ],
        });
        continue;
      }
      const inner = this.query({ depth: depth - 1, outer: wish.outer, ctes });
      const renamed = this.#rename(inner);
      const how = this.#random.pick(["AS", "AS MATERIALIZED", "AS NOT MATERIALIZED", "AS"]);
      defined.push(`${name} ${renamed.list} ${how} (${inner.text})`);
      ctes.push({ name, columns: renamed.columns });
    }
    const prefix = defined.length === 0 ? "" : `WITH ${recursive ? "RECURSIVE " : ""}${defined.join(", ")} `;
    const body = this.#chance(5) ? this.#set({ ...wish, ctes }) : this.#plain({ ...wish, ctes });
    return { ...body, text: `${prefix}${body.text}` };
  }

  #recursive(name: string, wish: Wish): string {
    const start = this.#plain({ ...wish, kinds: ["text", "int"] }).text;
    const source = this.#table(
      [],
      wish.ctes.filter((cte) => cte.name !== name),
      name,
    );
    const self: Source = {
      alias: "r",
      columns: [
        { name: "a", kind: "text" },
        { name: "b", kind: "int" },
      ],
      whole: true,
    };
    const scope = [[source.source, self], ...wish.outer];
    const step = `SELECT (${this.expressions.make("text", scope, 0)})::text, (${this.expressions.make("int", scope, 0)})::int FROM ${source.text}, ${name} r WHERE r.b < 5`;
    return `${name} (a, b) AS (SELECT k.a::text, k.b::int FROM (${start}) k (a, b) UNION ${this.#chance(2) ? "ALL " : ""}${step})`;
  }

  #set(wish: Wish): Query {
    const kinds = wish.kinds ?? this.#kinds();
    const parts = [this.#plain({ ...wish, depth: wish.depth - 1, kinds })];
    for (let n = 1 + this.#random.below(2); n > 0; n--)
      parts.push(this.#plain({ ...wish, depth: wish.depth - 1, kinds }));
    const operator = (): string =>
      this.#random.pick(["UNION", "UNION ALL", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
    const text = parts.map(({ text: part }, i) => (i === 0 ? `(${part})` : ` ${operator()} (${part})`)).join("");
    return { text, columns: parts[0]?.columns ?? [], complete: true };
  }

  #plain(wish: Wish): Query {
    if (wish.kinds !== undefined && this.#chance(15)) return this.#values(wish, wish.kinds);
    const from = this.from(wish);
    const scope = [from.sources, ...wish.outer];
    const where = this.#chance(2) ? ` WHERE ${this.expressions.condition(scope, wish.depth - 1)}` : "";
    if (from.sources.length > 0 && this.#chance(5)) return this.#grouped(wish, from, where);
    const { list, columns, complete } = this.#targets(wish, from, scope);
    const distinct = this.#chance(12) ? "DISTINCT " : "";
    const order = distinct === "" && this.#chance(6) ? ` ORDER BY ${this.expressions.make("text", scope, 0)}` : "";
    const text = `SELECT ${distinct}${list} ${from.text}${where}${order}`;
    return { text: order === "" ? text : `(${text})`, columns, complete };
  }

  #values(wish: Wish, kinds: readonly Scalar[]): Query {
    const row = (): string => `(${kinds.map((kind) => this.expressions.make(kind, wish.outer, 0)).join(", ")})`;
    const names = kinds.map((kind, i) => ({ name: `column${i + 1}`, kind }));
    return { text: `(VALUES ${row()}, ${row()})`, columns: names, complete: true };
  }

  #targets(wish: Wish, from: From, scope: Scope): { list: string; columns: Column[]; complete: boolean } {
    const columns: Column[] = [];
    const list: string[] = [];
    let complete = true;
    const add = (text: string, column: Column): void => {
      list.push(`${text} AS ${column.name}`);
      columns.push(column);
    };
    const name = (): string => this.#name(columns);
    if (wish.kinds !== undefined) {
      for (const kind of wish.kinds) add(this.#target(kind, scope, wish.depth), { name: name(), kind });
      return { list: list.join(", "), columns, complete };
    }
    for (let n = 1 + this.#random.below(4); n > 0; n--) {
      const how = this.#random.below(12);
      const row = how === 2 ? this.expressions.row(scope) : undefined;
      const [source] = from.sources;
      if (how === 0 && source !== undefined && complete) {
        const all = this.#chance(2) || from.sources.length > 1;
        list.push(all ? "*" : `${source.alias}.*`);
        columns.push(...(all ? starred(from) : source.columns).filter((c) => columns.every((k) => k.name !== c.name)));
        complete = false;
      } else if (how === 1 && source !== undefined && source.whole) {
        list.push(this.#random.pick([`(${source.alias}).*`, `${source.alias}.*`]));
        complete = false;
      } else if (row !== undefined) add(row.text, { name: name(), kind: "row", fields: row.fields });
      else {
        const kind = this.expressions.scalarKind();
        add(this.#target(kind, scope, wish.depth), { name: name(), kind });
      }
    }
    // A name that occurs twice cannot be named.
    const once = complete
      ? columns
      : columns.filter((c) => columns.filter((k) => k.name === c.name).length === 1 && c.name.startsWith("k"));
    return { list: list.join(", "), columns: once, complete };
  }

  #target(kind: Scalar, scope: Scope, depth: number): string {
    const hasSources = (scope[0]?.length ?? 0) > 0;
    if (hasSources && this.#chance(10)) return this.expressions.window(kind, scope);
    return this.expressions.make(kind, scope, depth);
  }

  #name(taken: readonly Column[]): string {
    // Often that of a column of a table, to be mistaken for.
    const name = this.#random.pick(["k1", "k2", "k3", "k4", "email", "id", "name", '"E-Mail"']);
    return taken.some((column) => column.name === name) ? `k${taken.length + 10}` : name;
  }

  #grouped(wish: Wish, from: From, where: string): Query {
    const kinds = wish.kinds ?? this.#kinds();
    const groups = new Map<Source, Column[]>();
    for (let n = this.#random.below(3); n > 0; n--) {
      const source = this.#random.pick(from.sources);
      const scalar = source.columns.filter((column) => column.kind !== "row" && column.kind !== "json");
      if (scalar.length > 0) groups.set(source, [...(groups.get(source) ?? []), this.#random.pick(scalar)]);
    }
    const grouped = [...groups].map(([{ alias }, columns]) => ({ alias, columns, whole: false }));
    // What is not grouped is in sight all the same, and hides.
    const hidden = from.sources
      .filter((s) => !groups.has(s))
      .map(({ alias }) => ({ alias, columns: [], whole: false }));
    const outside = [[...grouped, ...hidden], ...wish.outer];
    const inside = [from.sources];
    const columns: Column[] = [];
    const list = kinds.map((kind) => {
      const column = { name: this.#name(columns), kind };
      columns.push(column);
      const plain = grouped.length > 0 && this.#chance(2);
      return `${plain ? this.expressions.make(kind, outside, 0) : this.expressions.aggregate(kind, inside, 0)} AS ${column.name}`;
    });
    const keys = grouped.flatMap(({ alias, columns: of }) => of.map(({ name }) => `${alias}.${name}`));
    const by =
      keys.length === 0
        ? ""
        : ` GROUP BY ${this.#random.pick([keys.join(", "), `ROLLUP (${keys.join(", ")})`, keys.join(", ")])}`;
    const having = this.#chance(4) ? ` HAVING ${this.expressions.aggregate("text", inside, 0)} > 'a'` : "";
    // An expression of outer columns only would make the aggregate the outer query's.
    return { text: `SELECT ${list.join(", ")} ${from.text}${where}${by}${having}`, columns, complete: true };
  }

  from(wish: Wish): From {
    const sources: Source[] = [];
    const merged = new Set<string>();
    if (this.#chance(14)) return { text: "", sources, merged };
    let text = this.item(wish, sources);
    // A comma ends what ON sees.
    let first = 0;
    for (let n = this.#random.below(4) - 1; n > 0; n--) {
      const left = [...sources];
      const how = this.#random.below(7);
      const rightOnly = how === 5 || how === 6;
      const right = this.item(wish, sources, rightOnly);
      const added = sources.slice(left.length);
      if (how === 0) first = left.length;
      const shared = this.#shared(left.slice(first), added, merged);
      const scope = [sources.slice(first)];
      if (how === 0) text = `${text}, ${right}`;
      else if (how === 1) text = `${text} CROSS JOIN ${right}`;
      else if ((how === 2 || how === 5) && shared !== undefined) {
        text = `${text} ${how === 2 ? this.#random.pick(["JOIN", "LEFT JOIN"]) : this.#random.pick(["RIGHT JOIN", "FULL JOIN"])} ${right} USING (${shared})`;
        merged.add(shared);
      } else if (how === 6) text = `${text} FULL JOIN ${right} ON ${this.#equality(left.slice(first), added)}`;
      else if (how === 5) text = `${text} RIGHT JOIN ${right} ON ${this.expressions.condition(scope, 0)}`;
      else
        text = `${text} ${this.#random.pick(["JOIN", "LEFT JOIN"])} ${right} ON ${this.expressions.condition(scope, 0)}`;
    }
    return { text: `FROM ${text}`, sources, merged };
  }

  #equality(left: readonly Source[], right: readonly Source[]): string {
    const a = this.expressions.column("int", [left]);
    const b = this.expressions.column("int", [right]);
    return a === undefined || b === undefined ? "true" : `${a} = ${b}`;
  }

  /** A name that both sides have once, of one kind. */
  #shared(left: readonly Source[], right: readonly Source[], merged: ReadonlySet<string>): string | undefined {
    const once = (sources: readonly Source[], name: string): Column | undefined => {
      const found = sources.flatMap(({ columns }) => columns.filter((column) => column.name === name));
      return found.length === 1 ? found[0] : undefined;
    };
    const names = right
      .flatMap(({ columns }) => columns)
      .filter(({ name, kind }) => {
        const mine = once(left, name);
        return !merged.has(name) && kind !== "row" && once(right, name) !== undefined && mine?.kind === kind;
      });
    return names.length === 0 ? undefined : this.#random.pick(names).name;
  }

  item(wish: Wish, sources: Source[], plain = false): string {
    const { depth, outer, ctes } = wish;
    const how = this.#random.below(12);
    if (depth > 0 && how < 3) {
      const lateral = !plain && sources.length > 0 && this.#chance(2);
      const inner = this.query({ depth: depth - 1, outer: lateral ? [[...sources], ...outer] : outer, ctes });
      const alias = this.alias(sources);
      const { list, columns } = this.#rename(inner);
      sources.push({ alias, columns, whole: inner.complete });
      return `${lateral ? "LATERAL " : ""}(${inner.text}) ${this.#chance(2) ? "AS " : ""}${alias} ${list}`;
    }
    if (how === 3 && !plain) return this.#function(sources, outer);
    const { text, source } = this.#table(sources, ctes);
    sources.push(source);
    return text;
  }

  #function(sources: Source[], outer: Scope): string {
    const scope = [[...sources], ...outer];
    const alias = this.alias(sources);
    const make = (kind: Scalar): string => this.expressions.make(kind, scope, 0);
    const source = (columns: Column[]): void => void sources.push({ alias, columns, whole: columns.length > 1 });
    switch (this.#random.below(5)) {
      case 0:
        source([{ name: "f", kind: "text" }]);
        return `unnest(${make("texts")}) AS ${alias} (f)`;
      case 1:
        source([
          { name: "f", kind: "text" },
          { name: "n", kind: "int" },
        ]);
        return `unnest(${make("texts")}) WITH ORDINALITY AS ${alias} (f, n)`;
      case 2:
        source([
          { name: "key", kind: "text" },
          { name: "value", kind: "text" },
        ]);
        return `jsonb_each_text(${make("json")}) AS ${alias}`;
      case 3:
        source([{ name: "g", kind: "int" }]);
        return `generate_series(1, ${make("int")}) AS ${alias} (g)`;
      default:
        source([
          { name: "m", kind: "text" },
          { name: "h", kind: "int" },
        ]);
        return `LATERAL (VALUES (${make("text")}, ${make("int")})) AS ${alias} (m, h)`;
    }
  }

  #table(sources: readonly Source[], ctes: readonly Cte[], not = ""): { text: string; source: Source } {
    const cte = ctes.length > 0 && this.#chance(2) ? this.#random.pick(ctes) : undefined;
    // The last of a name hides those before it.
    const known = cte === undefined ? undefined : ctes.findLast(({ name }) => name === cte.name);
    const hidden = new Set([...ctes.map(({ name }) => name), not]);
    const relation = this.#random.pick(RELATIONS.filter(({ name }) => !hidden.has(name)));
    const { name, columns } = known ?? relation;
    if (!name.includes(".") && this.#chance(4) && !sources.some(({ alias }) => alias === name))
      return { text: name, source: { alias: name, columns, whole: true } };
    const alias = this.alias(sources);
    if (known === undefined && this.#chance(8)) {
      const renamed = columns.map((column, i) => ({ ...column, name: `r${i}` })).slice(0, 2);
      // The list names the table's first columns, which are not all known here.
      if (
        relation.name !== "joined" &&
        relation.name !== "app.measurements" &&
        relation.name !== "app.measurements_2" &&
        relation.name !== "public.items"
      )
        return {
          text: `${name} AS ${alias} (${renamed.map((c) => c.name).join(", ")})`,
          source: { alias, columns: renamed, whole: false },
        };
    }
    return { text: `${name} ${this.#chance(2) ? "AS " : ""}${alias}`, source: { alias, columns, whole: true } };
  }

  alias(sources: readonly Source[]): string {
    const free = ALIASES.filter((name) => !sources.some(({ alias }) => alias === name));
    return this.#random.pick(free);
  }

  /** Now and then other names for a query's columns. */
  #rename(query: Query): { list: string; columns: readonly Column[] } {
    if (!query.complete || query.columns.length === 0 || this.#chance(2)) return { list: "", columns: query.columns };
    const columns = query.columns.map((column, i) => ({ ...column, name: this.#chance(3) ? `email${i}` : `q${i}` }));
    return { list: `(${columns.map(({ name }) => name).join(", ")})`, columns };
  }
}

/** What can be named of `*`. */
function starred({ sources, merged }: From): Column[] {
  const all = sources.flatMap(({ columns }) => columns);
  return all.filter(
    (column, i) =>
      all.findIndex(({ name }) => name === column.name) === i &&
      (merged.has(column.name) || all.filter(({ name }) => name === column.name).length === 1),
  );
}
