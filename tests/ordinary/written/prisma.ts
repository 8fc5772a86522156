import type { StatementList } from "../statement-list.ts";

const ORDER = `"public"."orders"."id", "public"."orders"."customer_id", "public"."orders"."amount"::text, "public"."orders"."status", "public"."orders"."created_at"`;

/** The shapes of Prisma: its client's queries, and what `prisma db pull` and `migrate` ask of the catalogs. */
export const prisma: StatementList = {
  client: "Prisma: client, introspection, migrations",
  statements: [
    { sql: "SELECT 1" },
    {
      sql: `SELECT ${ORDER} FROM "public"."orders" WHERE "public"."orders"."status" = $1 ORDER BY "public"."orders"."id" ASC LIMIT $2 OFFSET $3`,
      parameters: ["open", "5", "0"],
    },
    {
      sql: `SELECT ${ORDER} FROM "public"."orders" WHERE ("public"."orders"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3`,
      parameters: ["7", "1", "0"],
    },
    {
      sql: `SELECT "public"."items"."order_id", "public"."items"."position", "public"."items"."sku" FROM "public"."items" WHERE "public"."items"."order_id" IN ($1,$2,$3) ORDER BY 1, 2 OFFSET $4`,
      parameters: ["1", "2", "3", "0"],
    },
    {
      sql: `SELECT COUNT(*) AS "_count._all" FROM (SELECT "public"."orders"."id" FROM "public"."orders" WHERE 1=1 OFFSET $1) AS "sub"`,
      parameters: ["0"],
    },
    {
      sql: `SELECT COUNT(*), SUM("amount"), AVG("amount"), MIN("amount"), MAX("amount") FROM (SELECT "public"."orders"."amount" FROM "public"."orders" WHERE 1=1 OFFSET $1) AS "sub"`,
      parameters: ["0"],
    },
    {
      sql: `SELECT COUNT(*) AS "_count$_all", "public"."orders"."status" FROM "public"."orders" WHERE 1=1 GROUP BY "public"."orders"."status" ORDER BY "public"."orders"."status" ASC OFFSET $1`,
      parameters: ["0"],
    },
    {
      sql: `SELECT "t0"."id", "t0"."status", "orders_items"."__prisma_data__" AS "items" FROM "public"."orders" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__"), '[]') AS "__prisma_data__" FROM (SELECT "t3"."__prisma_data__" FROM (SELECT JSONB_BUILD_OBJECT('position', "t2"."position", 'sku', "t2"."sku") AS "__prisma_data__" FROM (SELECT "t1".* FROM "public"."items" AS "t1" WHERE "t0"."id" = "t1"."order_id") AS "t2") AS "t3") AS "t4") AS "orders_items" ON TRUE WHERE "t0"."id" < $1 ORDER BY "t0"."id"`,
      parameters: ["4"],
    },
    { sql: "BEGIN" },
    {
      sql: `INSERT INTO "public"."orders" ("customer_id","amount","status") VALUES ($1,$2,$3) RETURNING "public"."orders"."id"`,
      parameters: ["4", "12.5", "new"],
    },
    {
      sql: `UPDATE "public"."orders" SET "status" = $1 WHERE ("public"."orders"."id" = $2 AND 1=1) RETURNING "public"."orders"."id", "public"."orders"."status"`,
      parameters: ["paid", "1001"],
    },
    {
      sql: `INSERT INTO "public"."items" ("order_id","position","sku","quantity") VALUES ($1,$2,$3,$4) ON CONFLICT ("order_id","position") DO UPDATE SET "quantity" = $5 WHERE 1=1 RETURNING "public"."items"."sku"`,
      parameters: ["1", "1", "p", "1", "3"],
    },
    { sql: `DELETE FROM "public"."items" WHERE ("public"."items"."order_id" = $1 AND 1=1)`, parameters: ["1001"] },
    { sql: "ROLLBACK" },
    { sql: "BEGIN" },
    { sql: "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE" },
    { sql: `SELECT ${ORDER} FROM "public"."orders" WHERE "public"."orders"."id" = $1 FOR UPDATE`, parameters: ["1"] },
    { sql: "COMMIT" },
    {
      sql: "SELECT EXISTS(SELECT 1 FROM pg_namespace WHERE nspname = $1), version(), current_setting('server_version_num')::integer as numeric_version",
      parameters: ["public"],
    },
    {
      sql: "SELECT namespace.nspname as namespace_name FROM pg_namespace as namespace WHERE namespace.nspname = ANY ( $1 ) ORDER BY namespace_name",
      parameters: ["{public}"],
    },
    {
      sql: `SELECT tbl.relname AS table_name, namespace.nspname as namespace, (tbl.relhassubclass and tbl.relkind = 'p') as is_partition, (tbl.relhassubclass and tbl.relkind = 'r') as has_subclass, tbl.relrowsecurity as has_row_level_security, reloptions, obj_description(tbl.oid, 'pg_class') as description
FROM pg_class AS tbl INNER JOIN pg_namespace AS namespace ON namespace.oid = tbl.relnamespace
WHERE ( (tbl.relkind in ('r','p') AND tbl.relispartition = 'f') OR tbl.relkind = 'p' ) AND namespace.nspname = ANY ( $1 ) ORDER BY namespace, table_name`,
      parameters: ["{public}"],
    },
    {
      sql: "SELECT views.viewname AS view_name, views.definition AS view_sql, views.schemaname AS namespace, obj_description(class.oid, 'pg_class') AS description FROM pg_catalog.pg_views views INNER JOIN pg_catalog.pg_namespace ns ON views.schemaname = ns.nspname INNER JOIN pg_catalog.pg_class class ON class.relnamespace = ns.oid AND class.relname = views.viewname WHERE schemaname = ANY ( $1 )",
      parameters: ["{public}"],
    },
    {
      sql: "SELECT t.typname as name, e.enumlabel as value, n.nspname as namespace, obj_description(t.oid, 'pg_type') as description FROM pg_type t JOIN pg_enum e ON t.oid = e.enumtypid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = ANY ( $1 ) ORDER BY e.enumsortorder",
      parameters: ["{public}"],
    },
    {
      sql: `SELECT oid.namespace, info.table_name, info.column_name, format_type(att.atttypid, att.atttypmod) as formatted_type, info.numeric_precision, info.numeric_scale, info.numeric_precision_radix, info.datetime_precision, info.data_type, info.udt_schema as type_schema_name, info.udt_name as full_data_type, pg_get_expr(attdef.adbin, attdef.adrelid) AS column_default, info.is_nullable, info.is_identity, info.character_maximum_length, col_description(att.attrelid, ordinal_position) AS description
FROM information_schema.columns info
JOIN pg_attribute att ON att.attname = info.column_name
JOIN (SELECT pg_class.oid, relname, pg_namespace.nspname as namespace FROM pg_class JOIN pg_namespace on pg_namespace.oid = pg_class.relnamespace AND pg_namespace.nspname = ANY ( $1 ) WHERE reltype > 0) as oid on oid.oid = att.attrelid AND relname = info.table_name AND namespace = info.table_schema
LEFT OUTER JOIN pg_attrdef attdef ON attdef.adrelid = att.attrelid AND attdef.adnum = att.attnum AND table_schema = namespace
WHERE table_schema = ANY ( $1 ) ORDER BY namespace, table_name, ordinal_position`,
      parameters: ["{public}"],
    },
    {
      sql: `SELECT con.oid AS "con_id", att2.attname AS "child_column", cl.relname AS "parent_table", att.attname AS "parent_column", con.confdeltype, con.confupdtype, con.conname AS constraint_name, child, parent, table_name, namespace
FROM (SELECT unnest(con1.conkey) AS "parent", unnest(con1.confkey) AS "child", cl.relname AS table_name, ns.nspname AS namespace, generate_subscripts(con1.conkey, 1) AS colidx, con1.oid, con1.confrelid, con1.conrelid, con1.conname, con1.confdeltype, con1.confupdtype FROM pg_class cl JOIN pg_constraint con1 ON con1.conrelid = cl.oid JOIN pg_namespace ns on cl.relnamespace = ns.oid WHERE ns.nspname = ANY($1) AND con1.contype = 'f') con
JOIN pg_attribute att on att.attrelid = con.confrelid AND att.attnum = con.child JOIN pg_class cl on cl.oid = con.confrelid JOIN pg_attribute att2 on att2.attrelid = con.conrelid AND att2.attnum = con.parent
ORDER BY namespace, table_name, constraint_name, con_id, con.colidx`,
      parameters: ["{public}"],
    },
    {
      sql: `WITH rawindex AS (SELECT indrelid, indexrelid, indisunique, indisprimary, unnest(indkey) AS indkeyid, generate_subscripts(indkey, 1) AS indkeyidx, unnest(indclass) AS indclass, unnest(indoption) AS indoption FROM pg_index WHERE indpred IS NULL AND NOT indisexclusion)
SELECT schemainfo.nspname AS namespace, indexinfo.relname AS index_name, tableinfo.relname AS table_name, columninfo.attname AS column_name, rawindex.indisunique AS is_unique, rawindex.indisprimary AS is_primary_key, rawindex.indkeyidx AS column_index, opclass.opcname AS opclass, opclass.opcdefault AS opcdefault, indexaccess.amname AS index_algo, CASE rawindex.indoption & 1 WHEN 1 THEN 'DESC' ELSE 'ASC' END AS column_order
FROM rawindex INNER JOIN pg_class AS tableinfo ON tableinfo.oid = rawindex.indrelid INNER JOIN pg_class AS indexinfo ON indexinfo.oid = rawindex.indexrelid INNER JOIN pg_namespace AS schemainfo ON schemainfo.oid = tableinfo.relnamespace LEFT JOIN pg_attribute AS columninfo ON columninfo.attrelid = tableinfo.oid AND columninfo.attnum = rawindex.indkeyid INNER JOIN pg_am AS indexaccess ON indexaccess.oid = indexinfo.relam LEFT JOIN pg_opclass AS opclass ON opclass.oid = rawindex.indclass
WHERE schemainfo.nspname = ANY ( $1 ) ORDER BY namespace, table_name, index_name, column_index`,
      parameters: ["{public}"],
    },
    {
      sql: "SELECT sequencename AS sequence_name, schemaname AS namespace, start_value, min_value, max_value, increment_by, cycle, cache_size FROM pg_sequences WHERE schemaname = ANY ( $1 ) ORDER BY 1",
      parameters: ["{public}"],
    },
    {
      sql: "SELECT p.proname AS name, n.nspname as namespace, CASE WHEN l.lanname = 'internal' THEN p.prosrc ELSE pg_get_functiondef(p.oid) END as definition FROM pg_proc p LEFT JOIN pg_namespace n ON p.pronamespace = n.oid LEFT JOIN pg_language l ON p.prolang = l.oid WHERE n.nspname = ANY ( $1 )",
      parameters: ["{public}"],
    },
    {
      sql: "SELECT ext.extname AS extension_name, ext.extversion AS extension_version, ext.extrelocatable AS extension_relocatable, pn.nspname AS extension_schema FROM pg_extension ext INNER JOIN pg_namespace pn ON ext.extnamespace = pn.oid ORDER BY ext.extname ASC",
    },
    { sql: "SELECT pg_advisory_lock(72707369)" },
    {
      sql: `CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`,
    },
    {
      sql: `INSERT INTO "_prisma_migrations" ("id", "checksum", "started_at", "migration_name") VALUES ($1, $2, $3, $4)`,
      parameters: ["1", "abc", "2026-01-01 00:00:00+00", "init"],
    },
    {
      sql: `UPDATE "_prisma_migrations" SET "finished_at" = CURRENT_TIMESTAMP, "applied_steps_count" = "applied_steps_count" + 1 WHERE "id" = $1`,
      parameters: ["1"],
    },
    {
      sql: `SELECT "id", "checksum", "migration_name", "applied_steps_count" FROM "_prisma_migrations" ORDER BY "started_at" ASC`,
    },
    { sql: "DROP TABLE _prisma_migrations" },
    { sql: "SELECT pg_advisory_unlock(72707369)" },
  ],
};
