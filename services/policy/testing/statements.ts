/** Random statements over the demo's relations. Most of them mean something to the server. */

import type { Random } from "./random.ts";

const RELATIONS: Readonly<Record<string, readonly string[]>> = {
  customers: ["id", "name", "email", "phone", "card_number", "notes"],
  orders: ["id", "customer_id", "amount", "status", "created_at"],
  "public.customers": ["id", "name", "email", "phone"],
  "archive.orders": ["id", "amount", "iban"],
  customer_contacts: ["id", "who", "reach"],
  measurements: ["id", "value"],
  totals: ["a", "b", "c"],
};
const TABLES = ["customers", "orders", "archive.orders", "totals", "measurements", "audited"];
const WRITABLE: Readonly<Record<string, readonly string[]>> = {
  customers: ["id", "name", "email", "phone", "card_number", "notes"],
  orders: ["id", "customer_id", "amount", "status"],
  "archive.orders": ["id", "amount", "iban"],
  totals: ["a", "b"],
  measurements: ["id", "value"],
  audited: ["id"],
};

interface Source {
  alias: string;
  columns: readonly string[];
}

export class Statements {
  readonly #random: Random;
  #aliases = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): string {
    this.#aliases = 0;
    const how = this.#random.below(10);
    if (how < 5) return this.#select(3, []);
    if (how === 5) return this.#insert();
    if (how === 6) return this.#update();
    if (how === 7) return this.#delete();
    if (how === 8) return this.#merge();
    const inner = this.#random.pick([() => this.#insert(true), () => this.#update(true), () => this.#delete(true)])();
    return `WITH w AS (${inner}) ${this.#random.pick(["SELECT * FROM w", "SELECT count(*) FROM w", this.#select(1, [])])}`;
  }

  #alias(): string {
    return `a${++this.#aliases}`;
  }

  #select(depth: number, outer: readonly Source[]): string {
    const random = this.#random;
    const ctes: string[] = [];
    const known: Source[] = [];
    const wanted = depth > 0 ? Math.max(0, random.below(6) - 3) : 0;
    while (ctes.length < wanted) {
      // Named like a relation now and then: it hides it.
      const name = random.pick(["w1", "w2", "orders", "customers", "totals"]);
      if (known.some(({ alias }) => alias === name)) break;
      const columns = ["x", "y"];
      ctes.push(`${name}(x, y) AS (${this.#two(depth - 1)})`);
      known.push({ alias: name, columns });
    }
    const sources: Source[] = [];
    const from = this.#from(depth, sources, known);
    const all = [...sources, ...outer];
    const targets = Array.from({ length: 1 + random.below(3) }, () => this.#target(depth, sources, all)).join(", ");
    const where = random.below(2) === 0 ? ` WHERE ${this.#condition(depth, all)}` : "";
    const lock = depth === 3 && random.below(8) === 0 && ctes.length === 0 ? " FOR UPDATE" : "";
    const order = random.below(5) === 0 ? ` ORDER BY ${this.#column(sources)}` : "";
    const recursive = random.below(2) === 0 ? "RECURSIVE " : "";
    return `${ctes.length > 0 ? `WITH ${recursive}${ctes.join(", ")} ` : ""}SELECT ${targets} FROM ${from}${where}${order}${lock}`;
  }

  /** A query of two columns. */
  #two(depth: number): string {
    const sources: Source[] = [];
    const from = this.#from(depth, sources, []);
    return `SELECT ${this.#column(sources)}::text, ${this.#column(sources)}::text FROM ${from}`;
  }

  #from(depth: number, sources: Source[], known: readonly Source[]): string {
    let from = this.#item(depth, sources, known);
    for (let i = 0; i < this.#random.below(3); i++) {
      const left = [...sources];
      const lateral = this.#random.below(4) === 0 && depth > 0;
      if (lateral) {
        const alias = this.#alias();
        from = `${from}, LATERAL (SELECT ${this.#column(left)} AS x) ${alias}`;
        sources.push({ alias, columns: ["x"] });
        continue;
      }
      const right = this.#item(depth, sources, known);
      const how = this.#random.below(4);
      if (how === 0) from = `${from} CROSS JOIN ${right}`;
      else if (how === 1) from = `${from} NATURAL JOIN ${right}`;
      else if (how === 2)
        from = `${from} LEFT JOIN ${right} ON ${this.#column(sources)}::text = ${this.#column(sources)}::text`;
      else from = `${from} JOIN ${right} USING (id)`;
    }
    return from;
  }

  #item(depth: number, sources: Source[], known: readonly Source[]): string {
    const random = this.#random;
    if (known.length > 0 && random.below(2) === 0) {
      const cte = random.pick(known);
      const alias = this.#alias();
      sources.push({ alias, columns: cte.columns });
      return `${cte.alias} ${alias}`;
    }
    if (depth > 0 && random.below(5) === 0) {
      const alias = this.#alias();
      sources.push({ alias, columns: ["x", "y"] });
      return `(${this.#two(depth - 1)}) ${alias}(x, y)`;
    }
    const name = random.pick(Object.keys(RELATIONS));
    const columns = RELATIONS[name] ?? [];
    const hidden = known.some((cte) => cte.alias === name);
    if (!hidden && random.below(3) === 0 && !sources.some(({ alias }) => alias === name)) {
      sources.push({ alias: name.split(".").at(-1) ?? name, columns });
      return name;
    }
    const alias = this.#alias();
    sources.push({ alias, columns: hidden ? ["x", "y"] : columns });
    return `${name} ${random.below(2) === 0 ? "AS " : ""}${alias}`;
  }

  #column(sources: readonly Source[]): string {
    const source = this.#random.pick(sources);
    const column = this.#random.pick(source.columns);
    return this.#random.below(4) === 0 ? column : `${source.alias}.${column}`;
  }

  #target(depth: number, sources: readonly Source[], all: readonly Source[]): string {
    const random = this.#random;
    const source = random.pick(sources);
    const column = this.#column(all);
    switch (random.below(16)) {
      case 0:
        return "*";
      case 1:
        return `${source.alias}.*`;
      case 2:
        return `to_json(${source.alias})`;
      case 3:
        return `(${source.alias}).*`;
      case 4:
        return `(${source.alias}).${random.pick(source.columns)}`;
      case 5:
        return `CASE WHEN ${this.#condition(0, all)} THEN ${column}::text END`;
      case 6:
        return `upper(${column}::varchar)`;
      case 7:
        return `order_total(1)`;
      case 8:
        return depth > 0 ? `(SELECT ${this.#column(all)}::text LIMIT 1)` : column;
      case 9:
        return depth > 0 ? `EXISTS (${this.#select(depth - 1, all)})` : column;
      case 10:
        return `coalesce(${column}::text, ${this.#column(all)}::text)`;
      case 11:
        return `ROW(${column}, ${source.alias}.*)`;
      case 12:
        return `row_number() OVER (ORDER BY ${column})`;
      case 13:
        return source.alias;
      case 14:
        return `orders.order_total`;
      default:
        return column;
    }
  }

  #condition(depth: number, sources: readonly Source[]): string {
    const random = this.#random;
    const column = this.#column(sources);
    switch (random.below(7)) {
      case 0:
        return `${column}::text = '1'`;
      case 1:
        return `${column}::text IN ('1', '2')`;
      case 2:
        return depth > 0 ? `${column}::text IN (SELECT x FROM (${this.#two(depth - 1)}) q(x, y))` : "true";
      case 3:
        return `${column} IS NOT NULL AND ${this.#column(sources)}::text LIKE 'a%'`;
      case 4:
        return depth > 0 ? `EXISTS (${this.#select(depth - 1, sources)})` : "1 = 1";
      case 5:
        return `1 <-> 2 = 3`;
      default:
        return `NOT (${column}::text = ${this.#column(sources)}::text)`;
    }
  }

  #returning(always: boolean, alias: string, columns: readonly string[]): string {
    if (!always && this.#random.below(2) === 0) return "";
    return ` RETURNING ${this.#random.pick(["*", `${alias}.*`, columns[0] ?? "1", `to_json(${alias})`, "1"])}`;
  }

  #insert(returning = false): string {
    const table = this.#random.pick(TABLES);
    const columns = WRITABLE[table] ?? [];
    const alias = table.split(".").at(-1) ?? table;
    const column = this.#random.pick(columns);
    const conflict =
      table === "orders" && this.#random.below(2) === 0
        ? " ON CONFLICT (id) DO UPDATE SET amount = excluded.amount + orders.amount"
        : "";
    const sources: Source[] = [];
    const from = this.#from(1, sources, []);
    const type = ["name", "email", "phone", "card_number", "notes", "status", "iban"].includes(column) ? "text" : "int";
    const values = this.#random.pick([
      "VALUES (1)",
      `SELECT NULL::${type}`,
      `SELECT length(${this.#column(sources)}::text)::${type} FROM ${from}`,
      "DEFAULT VALUES",
    ]);
    const list = values === "DEFAULT VALUES" ? "" : ` (${column})`;
    return `INSERT INTO ${table}${list} ${values}${conflict}${this.#returning(returning, alias, columns)}`;
  }

  #update(returning = false): string {
    const table = this.#random.pick(TABLES.filter((name) => name !== "audited"));
    const columns = WRITABLE[table] ?? [];
    const alias = this.#alias();
    const sources: Source[] = [{ alias, columns }];
    const from = this.#random.below(3) === 0 ? ` FROM ${this.#from(1, sources, [])}` : "";
    const column = this.#random.pick(columns);
    const value = this.#random.pick(["NULL", "DEFAULT", column, `(SELECT NULL FROM orders LIMIT 1)`]);
    const where = this.#random.below(2) === 0 ? ` WHERE ${this.#condition(1, sources)}` : "";
    return `UPDATE ${table} ${alias} SET ${column} = ${value}${from}${where}${this.#returning(returning, alias, columns)}`;
  }

  #delete(returning = false): string {
    const table = this.#random.pick(TABLES);
    const columns = WRITABLE[table] ?? [];
    const alias = this.#alias();
    const sources: Source[] = [{ alias, columns }];
    const using = this.#random.below(3) === 0 ? ` USING ${this.#from(1, sources, [])}` : "";
    const where = this.#random.below(2) === 0 ? ` WHERE ${this.#condition(1, sources)}` : "";
    return `DELETE FROM ${table} AS ${alias}${using}${where}${this.#returning(returning, alias, columns)}`;
  }

  #merge(): string {
    const sources: Source[] = [];
    const item = this.#item(1, sources, []);
    const source = sources[0] as Source;
    const on = this.#random.pick([`t.id::text = ${source.alias}.${this.#random.pick(source.columns)}::text`, "true"]);
    const matched = this.#random.pick([
      "DELETE",
      "UPDATE SET amount = 1",
      "UPDATE SET amount = t.amount + 1",
      "DO NOTHING",
    ]);
    const more = this.#random.pick([
      "",
      " WHEN NOT MATCHED THEN INSERT (id) VALUES (77)",
      " WHEN NOT MATCHED BY SOURCE THEN DELETE",
    ]);
    const returning = this.#random.pick(["", " RETURNING t.id", " RETURNING *", " RETURNING merge_action(), t.*"]);
    return `MERGE INTO orders t USING ${item} ON ${on} WHEN MATCHED THEN ${matched}${more}${returning}`;
  }
}
