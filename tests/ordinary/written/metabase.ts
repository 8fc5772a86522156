import type { StatementList } from "../statement-list.ts";

const extended = (sql: string, ...parameters: (string | null)[]) => ({ sql, parameters });
const FIELDS =
  '"public"."orders"."id" AS "id", "public"."orders"."customer_id" AS "customer_id", "public"."orders"."amount" AS "amount", "public"."orders"."status" AS "status", "public"."orders"."created_at" AS "created_at"';

/** The shapes of Metabase: it comes over PgJDBC, looks at the schema, fingerprints its fields, and asks what people click. */
export const metabase: StatementList = {
  client: "Metabase: sync, fingerprints, questions",
  statements: [
    extended("SET extra_float_digits = 3"),
    extended("SET application_name = 'Metabase'"),
    extended("SET SESSION TIMEZONE TO 'UTC'"),
    extended("show timezone"),
    extended("SELECT current_database()"),
    extended(
      "SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_' OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY TABLE_SCHEM",
    ),
    extended(
      `with table_privileges as (select NULL as role, t.schemaname as schema, t.objectname as table,
 pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'update') as update,
 pg_catalog.has_any_column_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'select') as select,
 pg_catalog.has_table_privilege(current_user, '"' || replace(t.schemaname, '"', '""') || '"' || '.' || '"' || replace(t.objectname, '"', '""') || '"', 'delete') as delete
 from (select schemaname, tablename as objectname from pg_catalog.pg_tables union select schemaname, viewname as objectname from pg_catalog.pg_views union select schemaname, matviewname as objectname from pg_catalog.pg_matviews) t
 where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema' and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'usage'))
select t.* from table_privileges t order by 2, 3`,
    ),
    extended(
      `SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE NULL END AS type, d.description AS description, NULLIF(stat.n_live_tup, 0) IS NOT DISTINCT FROM -1 AS estimated
FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid LEFT JOIN pg_catalog.pg_description AS d ON c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass LEFT JOIN pg_stat_user_tables AS stat ON n.nspname = stat.schemaname AND c.relname = stat.relname
WHERE c.relnamespace = n.oid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind in ('r', 'p', 'v', 'f', 'm') AND n.nspname IN ('public') ORDER BY type, schema, name`,
    ),
    extended(
      `SELECT c.column_name AS name, CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN FORMAT('%s', c.udt_name) ELSE FORMAT('"%s"."%s"', c.udt_schema, c.udt_name) END AS "database-type", c.ordinal_position - 1 AS "database-position", c.table_schema AS "table-schema", c.table_name AS "table-name", pk.column_name IS NOT NULL AS "pk?", COL_DESCRIPTION(CAST(CAST(FORMAT('%I.%I', CAST(c.table_schema AS TEXT), CAST(c.table_name AS TEXT)) AS REGCLASS) AS OID), c.ordinal_position) AS "field-comment", ((column_default IS NULL) OR (LOWER(column_default) = 'null')) AND (is_nullable = 'NO') AND NOT (((column_default IS NOT NULL) AND (column_default LIKE '%nextval(%')) OR (is_identity <> 'NO')) AS "database-required", ((column_default IS NOT NULL) AND (column_default LIKE '%nextval(%')) OR (is_identity <> 'NO') AS "database-is-auto-increment"
FROM information_schema.columns AS c LEFT JOIN (SELECT tc.table_schema, tc.table_name, kc.column_name FROM information_schema.table_constraints AS tc INNER JOIN information_schema.key_column_usage AS kc ON tc.constraint_name = kc.constraint_name AND tc.table_schema = kc.table_schema AND tc.table_name = kc.table_name WHERE tc.constraint_type = 'PRIMARY KEY') AS pk ON c.table_schema = pk.table_schema AND c.table_name = pk.table_name AND c.column_name = pk.column_name
WHERE c.table_schema !~ '^information_schema|catalog_history|pg_' AND c.table_schema IN ('public') ORDER BY "table-schema", "table-name", "database-position"`,
    ),
    extended(
      `SELECT fk_ns.nspname AS "fk-table-schema", fk_table.relname AS "fk-table-name", fk_column.attname AS "fk-column-name", pk_ns.nspname AS "pk-table-schema", pk_table.relname AS "pk-table-name", pk_column.attname AS "pk-column-name"
FROM pg_constraint AS c INNER JOIN pg_class AS fk_table ON c.conrelid = fk_table.oid INNER JOIN pg_namespace AS fk_ns ON c.connamespace = fk_ns.oid INNER JOIN pg_attribute AS fk_column ON c.conrelid = fk_column.attrelid INNER JOIN pg_class AS pk_table ON c.confrelid = pk_table.oid INNER JOIN pg_namespace AS pk_ns ON pk_table.relnamespace = pk_ns.oid INNER JOIN pg_attribute AS pk_column ON c.confrelid = pk_column.attrelid
WHERE fk_ns.nspname !~ '^information_schema|catalog_history|pg_' AND c.contype = 'f'::char AND fk_column.attnum = ANY(c.conkey) AND pk_column.attnum = ANY(c.confkey) AND fk_ns.nspname IN ('public') ORDER BY "fk-table-schema", "fk-table-name"`,
    ),
    extended(
      `SELECT tmp.nspname, tmp.relname, (information_schema._pg_expandarray(i.indkey)).n FROM pg_index i JOIN (SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public') tmp ON tmp.oid = i.indrelid ORDER BY 1, 2, 3`,
    ),
    extended(
      "SELECT nspname, typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN (SELECT DISTINCT enumtypid FROM pg_enum e) ORDER BY 1, 2",
    ),
    extended('SELECT TRUE AS "_" FROM "public"."orders" WHERE 1 <> 1 LIMIT 0'),
    extended(
      `SELECT SUBSTRING("public"."orders"."status", 1, 1234) AS "substring1", "public"."orders"."created_at" AS "created_at", "public"."orders"."amount" AS "amount" FROM "public"."orders" ORDER BY "public"."orders"."id" LIMIT 10000`,
    ),
    extended(`SELECT ${FIELDS} FROM "public"."orders" ORDER BY "public"."orders"."id" LIMIT 2000`),
    extended(
      `-- Metabase:: userID: 1 queryType: MBQL queryHash: 0123abcd\nSELECT DATE_TRUNC('month', "public"."orders"."created_at") AS "created_at", COUNT(*) AS "count" FROM "public"."orders" GROUP BY DATE_TRUNC('month', "public"."orders"."created_at") ORDER BY DATE_TRUNC('month', "public"."orders"."created_at") ASC`,
    ),
    extended(
      `-- Metabase\nSELECT "source"."status" AS "status", SUM("source"."amount") AS "sum", AVG("source"."amount") AS "avg" FROM (SELECT "public"."orders"."status" AS "status", "public"."orders"."amount" AS "amount", DATE_PART('hour', "public"."orders"."created_at") AS "hour" FROM "public"."orders" WHERE "public"."orders"."created_at" >= timestamptz '2026-01-01 00:00:00.000Z') AS "source" WHERE "source"."hour" < 20 GROUP BY "source"."status" ORDER BY "sum" DESC, "source"."status" ASC`,
    ),
    extended(
      `-- Metabase\nSELECT COUNT(distinct "public"."orders"."customer_id") AS "count", FLOOR(("public"."orders"."amount" / 50.0)) * 50.0 AS "amount" FROM "public"."orders" LEFT JOIN "public"."items" AS "Items" ON "public"."orders"."id" = "Items"."order_id" WHERE ("Items"."sku" = $1 OR "Items"."sku" IS NULL) GROUP BY 2 ORDER BY 2`,
      "sku-1",
    ),
    extended(
      `-- Metabase\nSELECT CAST((items.doc #>> array['colour']::text[]) AS text) AS "colour", COUNT(*) FROM items GROUP BY 1 ORDER BY 1`,
    ),
    extended(
      `-- Metabase\nSELECT PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY amount) AS "p90", STDDEV_POP(amount) AS "sd" FROM orders`,
    ),
    extended(
      `SELECT DISTINCT "public"."orders"."status" AS "status" FROM "public"."orders" ORDER BY "status" LIMIT 1001`,
    ),
    extended(
      `-- Metabase\nSELECT "public"."customers"."id" AS "id", "public"."customers"."name" AS "name", "public"."customers"."email" AS "email" FROM "public"."customers" ORDER BY "public"."customers"."id" LIMIT 10`,
    ),
  ],
};
