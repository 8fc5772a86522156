/** A schema as edges observe it (services/edge-postgres/src/target/observe-schema.ts has the same questions). */

import { Schema } from "@sallyport/proto/catalog_model";
import type pg from "pg";

const OF_USERS =
  "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_temp\\_%' " +
  "AND n.nspname NOT LIKE 'pg\\_toast\\_temp\\_%'";

const KINDS: Readonly<Record<string, string>> = {
  r: "table",
  v: "view",
  m: "materialized-view",
  p: "partitioned",
  f: "foreign",
  S: "sequence",
};

const RELATIONS = `
  SELECT c.oid::int8::int4 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
    coalesce(CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, '') AS "viewDefinition",
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS "hasTriggers",
    EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1') AS "hasRules",
    ARRAY(SELECT inhparent::int4 FROM pg_inherits WHERE inhrelid = c.oid ORDER BY inhseqno) AS parents
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S') AND ${OF_USERS} ORDER BY c.oid`;

const COLUMNS = `
  SELECT a.attrelid::int4 AS oid, a.attnum AS number, a.attname AS name, a.atttypid::int4 AS "typeOid",
    format_type(a.atttypid, a.atttypmod) AS type,
    ARRAY(SELECT DISTINCT d.refobjsubid FROM pg_depend d LEFT JOIN pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
      WHERE a.attgenerated <> '' AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid > 0
        AND d.refobjsubid <> a.attnum
        AND ((d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid)
          OR (d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum))) AS "generatedFrom"
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.attnum > 0 AND NOT a.attisdropped AND ${OF_USERS} ORDER BY a.attrelid, a.attnum`;

const names = (of: string, from: string): string =>
  `SELECT DISTINCT n.nspname || '.' || ${of} AS name FROM ${from} WHERE ${OF_USERS}`;
const FUNCTIONS = names("p.proname", "pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace");
const OPERATORS = names("o.oprname", "pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace");
const TYPES = `${names(
  "t.typname",
  "pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid",
)} AND t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c')`;

interface RelationRow {
  oid: number;
  schema: string;
  name: string;
  kind: string;
  viewDefinition: string;
  hasTriggers: boolean;
  hasRules: boolean;
  parents: number[];
}

interface ColumnRow {
  oid: number;
  number: number;
  name: string;
  typeOid: number;
  type: string;
  generatedFrom: number[];
}

export async function observedSchema(client: pg.Client): Promise<Schema> {
  const { rows } = await client.query<{ search_path: string }>("SHOW search_path");
  // Definitions of views name every relation with its schema then.
  await client.query("SET search_path = ''");
  try {
    const relations = await client.query<RelationRow>(RELATIONS);
    const columns = await client.query<ColumnRow>(COLUMNS);
    const list = async (sql: string): Promise<string[]> =>
      (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name);
    return Schema.fromPartial({
      serverVersion: "18.4",
      relations: relations.rows.map((relation) => ({
        ...relation,
        kind: KINDS[relation.kind] ?? "table",
        columns: columns.rows.filter(({ oid }) => oid === relation.oid),
      })),
      functions: await list(FUNCTIONS),
      operators: await list(OPERATORS),
      types: await list(TYPES),
    });
  } finally {
    await client.query("SELECT set_config('search_path', $1, false)", [rows[0]?.search_path ?? ""]);
  }
}
