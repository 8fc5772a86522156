/** The server's catalogs as the oracle needs them, read on their own: not by the observation that the gateway uses. */

import type pg from "pg";
import { childrenOf, isNode, numberOf, parseTree } from "./node-tree.ts";
import type { TreeNode } from "./node-tree.ts";

export interface CatalogColumn {
  name: string;
  /** attnums of the columns of its expression */
  generatedFrom: number[];
}

export interface CatalogRelation {
  oid: number;
  schema: string;
  name: string;
  /** pg_class.relkind */
  kind: string;
  temporary: boolean;
  /** a trigger may put other values into a row before it is stored */
  changedByTrigger: boolean;
  columns: Map<number, CatalogColumn>;
  /** oids of its partitions and heirs, and theirs */
  heirs: Set<number>;
  /** of a column in `SELECT *`, from 0 */
  position: (number: number) => number;
}

export class ServerCatalog {
  readonly relations = new Map<number, CatalogRelation>();
  /** columns whose values are in a column of the session's own relations, by `oid.number` */
  readonly contents = new Map<string, ReadonlySet<string>>();
  /** columns of the server's own tables that hold data, texts or credentials, by `oid.number` */
  readonly hidden = new Map<string, string>();
  readonly #functions = new Map<number, string>();
  readonly #definitions = new Map<number, TreeNode>();

  static async read(client: pg.Client): Promise<ServerCatalog> {
    const catalog = new ServerCatalog();
    await catalog.#readRelations(client);
    catalog.#fill();
    const hidden = await client.query<{ key: string; name: string }>(`
      SELECT attrelid::int8 || '.' || attnum AS key, attrelid::regclass || '.' || attname AS name FROM pg_attribute
      WHERE attrelid < 16384 AND attnum > 0
        AND attname ~ '^(stavalues.*|rolpassword|umoptions|stxdmcv|stxdexpr|subconninfo)$' OR attrelid = 2613`);
    for (const { key, name } of hidden.rows) catalog.hidden.set(key, name);
    const named = await client.query<{ oid: number; name: string }>(
      "SELECT oid::int4 AS oid, proname AS name FROM pg_proc",
    );
    for (const { oid, name } of named.rows) catalog.#functions.set(oid, name);
    return catalog;
  }

  /** The temporary `items` is said to be a copy of customers; a temporary view shows what it does. */
  #fill(): void {
    const all = [...this.relations.values()];
    const customers = all.find(({ schema, name }) => schema === "public" && name === "customers");
    const column = (name: string): string => {
      const [number] = [...(customers?.columns ?? [])].find(([, found]) => found.name === name) ?? [];
      return `${customers?.oid}.${number}`;
    };
    for (const { oid, name, temporary } of all) {
      if (!temporary || name === "scratch") continue;
      this.contents.set(`${oid}.1`, new Set([column("id")]));
      this.contents.set(`${oid}.2`, new Set([column("email")]));
    }
  }

  relation(oid: number): CatalogRelation | undefined {
    return this.relations.get(oid);
  }

  /** attnum of its last column */
  width(oid: number): number {
    return Math.max(0, ...(this.relations.get(oid)?.columns.keys() ?? []));
  }

  functionName(oid: number): string {
    return this.#functions.get(oid) ?? `function ${oid}`;
  }

  /** What a materialized view was made of. */
  definition(oid: number): TreeNode | undefined {
    return this.#definitions.get(oid);
  }

  define(oid: number, query: TreeNode): void {
    this.#definitions.set(oid, query);
  }

  /** `schema.relation.column` */
  named(key: string): string {
    const [oid, number] = key.split(".").map(Number);
    const relation = this.relations.get(oid ?? 0);
    return `${relation?.schema}.${relation?.name}.${relation?.columns.get(number ?? 0)?.name ?? "?"}`;
  }

  async #readRelations(client: pg.Client): Promise<void> {
    const found = await client.query<{
      oid: number;
      schema: string;
      name: string;
      kind: string;
      temporary: boolean;
      triggers: boolean;
    }>(`
      SELECT c.oid::int4 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
        c.relpersistence = 't' AS temporary,
        EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 3 = 3
          AND t.tgtype & 20 <> 0) AS triggers
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.oid >= 16384 AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')`);
    for (const { oid, schema, name, kind, temporary, triggers } of found.rows) {
      const columns = new Map<number, CatalogColumn>();
      const position = (number: number): number => [...columns.keys()].toSorted((a, b) => a - b).indexOf(number);
      this.relations.set(oid, {
        oid,
        schema,
        name,
        kind,
        temporary,
        changedByTrigger: triggers,
        columns,
        heirs: new Set(),
        position,
      });
    }
    const columns = await client.query<{ oid: number; number: number; name: string; expression: string | null }>(`
      SELECT a.attrelid::int4 AS oid, a.attnum AS number, a.attname AS name,
        CASE WHEN a.attgenerated <> '' THEN d.adbin::text END AS expression
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2`);
    for (const { oid, number, name, expression } of columns.rows) {
      const tree = expression === null ? undefined : parseTree(expression);
      const generatedFrom = isNode(tree) ? [...variables(tree, new Set())] : [];
      this.relations.get(oid)?.columns.set(number, { name, generatedFrom });
    }
    const inherits = await client.query<{ parent: number; heir: number }>(`
      WITH RECURSIVE down(parent, heir) AS (
        SELECT inhparent, inhrelid FROM pg_inherits
        UNION SELECT down.parent, i.inhrelid FROM down JOIN pg_inherits i ON i.inhparent = down.heir)
      SELECT parent::int4 AS parent, heir::int4 AS heir FROM down`);
    for (const { parent, heir } of inherits.rows) this.relations.get(parent)?.heirs.add(heir);
  }
}

function variables(node: TreeNode, found: Set<number>): Set<number> {
  if (node.tag === "VAR") found.add(numberOf(node, "varattno"));
  for (const child of childrenOf(node)) variables(child, found);
  return found;
}
