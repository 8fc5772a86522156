import { Column, Relation, Schema } from "@sallyport/proto/catalog_model";
import type { TargetConnection } from "./login.ts";
import { OF_USERS } from "./of-users.ts";
import { observeRoles, observeSettings } from "./observe-roles.ts";
import { TargetFault } from "./target-fault.ts";
import { sideQuery, type SideRows } from "./side-query.ts";

/**
 * A target's schema as its own catalogs describe it (section 51), in one snapshot. The server's own schemas are left out,
 * and so are temporary relations: they belong to one session.
 *
 * @param roles whose powers are told: those that the connection logs in with
 */
export async function observeSchema(
  target: TargetConnection,
  roles: readonly string[],
  signal: AbortSignal,
): Promise<Schema> {
  const ask = (sql: string): Promise<SideRows> => sideQuery(target, sql, signal);
  const identity = await identityOf(ask);
  await ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  // Definitions of views name every relation with its schema then, and nothing of ours can be shadowed.
  await ask("SET LOCAL search_path = ''");
  const relations = await readRelations(ask);
  const schema = Schema.fromPartial({
    serverVersion: target.parameters.get("server_version") ?? "",
    relations,
    functions: names(await ask(FUNCTIONS)),
    operators: names(await ask(OPERATORS)),
    types: names(await ask(TYPES)),
    identity,
    roles: await observeRoles(ask, roles),
    settings: await observeSettings(ask),
  });
  await ask("COMMIT");
  return schema;
}

/** Sequences too: they can be read like a table of one row. */
const KINDS = "c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')";

const RELATIONS = `SELECT c.oid, n.nspname, c.relname, c.relkind,
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END,
    EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
    EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1')
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE ${KINDS} AND ${OF_USERS} ORDER BY c.oid`;

const COLUMNS = `SELECT a.attrelid, a.attnum, a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod)
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE a.attnum > 0 AND NOT a.attisdropped AND ${KINDS} AND ${OF_USERS} ORDER BY a.attrelid, a.attnum`;

const INHERITANCE = `SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE ${KINDS} AND ${OF_USERS} ORDER BY i.inhrelid, i.inhseqno`;

const OF_ITS_RELATION =
  "d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = g.attrelid " +
  "AND d.refobjsubid > 0 AND d.refobjsubid <> g.attnum";
/**
 * A generated column depends on the columns of its expression: recorded on the column, or on its default (by version). The
 * few generated columns come first: without that, a table of 1,600 columns with defaults took the server seconds.
 */
const GENERATED = `WITH generated AS MATERIALIZED (
    SELECT a.attrelid, a.attnum, ad.oid AS definition
    FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
    WHERE a.attgenerated <> '' AND ${OF_USERS})
  SELECT g.attrelid, g.attnum, d.refobjsubid FROM generated g JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = g.definition
    WHERE ${OF_ITS_RELATION}
  UNION SELECT g.attrelid, g.attnum, d.refobjsubid FROM generated g JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = g.attrelid AND d.objsubid = g.attnum
    WHERE ${OF_ITS_RELATION} ORDER BY 1, 2, 3`;

const FUNCTIONS = `SELECT DISTINCT n.nspname || '.' || p.proname FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE ${OF_USERS} ORDER BY 1`;
const OPERATORS = `SELECT DISTINCT n.nspname || '.' || o.oprname FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE ${OF_USERS} ORDER BY 1`;
/** Types that are not merely a relation's row or an array of another. */
const TYPES = `SELECT DISTINCT n.nspname || '.' || t.typname FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
  WHERE ${OF_USERS} AND t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c') ORDER BY 1`;

const kinds: Readonly<Record<string, string>> = {
  r: "table",
  v: "view",
  m: "materialized-view",
  p: "partitioned",
  f: "foreign",
  S: "sequence",
};

/** Of the database, whatever its connection is called; empty where the server does not tell (managed ones may not). */
async function identityOf(ask: (sql: string) => Promise<SideRows>): Promise<string> {
  try {
    const [row] = await ask(
      "SELECT (pg_catalog.pg_control_system()).system_identifier, oid FROM pg_catalog.pg_database " +
        "WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()",
    );
    return `${row?.[0]}/${row?.[1]}`;
  } catch (error) {
    if (error instanceof TargetFault && error.code === "failed-precondition") return "";
    throw error;
  }
}

const names = (rows: SideRows): string[] => rows.map((row) => row[0] ?? "");

async function readRelations(ask: (sql: string) => Promise<SideRows>): Promise<Relation[]> {
  const byOid = new Map<string, Relation>();
  for (const [oid, schema, name, kind, definition, triggers, rules] of await ask(RELATIONS)) {
    byOid.set(
      oid ?? "",
      Relation.fromPartial({
        oid: Number(oid),
        schema: schema ?? "",
        name: name ?? "",
        kind: kinds[kind ?? ""] ?? "table",
        viewDefinition: definition ?? "",
        hasTriggers: triggers === "t",
        hasRules: rules === "t",
      }),
    );
  }
  const columns = new Map<string, Column>();
  for (const [oid, number, name, typeOid, type] of await ask(COLUMNS)) {
    const column = Column.fromPartial({
      number: Number(number),
      name: name ?? "",
      typeOid: Number(typeOid),
      type: type ?? "",
    });
    byOid.get(oid ?? "")?.columns.push(column);
    columns.set(`${oid}.${number}`, column);
  }
  for (const [oid, number, source] of await ask(GENERATED)) {
    columns.get(`${oid}.${number}`)?.generatedFrom.push(Number(source));
  }
  for (const [oid, parent] of await ask(INHERITANCE)) byOid.get(oid ?? "")?.parents.push(Number(parent));
  return [...byOid.values()];
}
