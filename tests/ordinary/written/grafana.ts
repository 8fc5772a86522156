import type { StatementList } from "../statement-list.ts";

const IN_RANGE = "created_at BETWEEN '2026-01-01T00:00:00Z' AND '2026-03-31T23:59:59Z'";
const simple = (sql: string) => ({ sql });

/** The shapes of Grafana's PostgreSQL source: macros written out, variables, annotations, and what its query editor asks. */
export const grafana: StatementList = {
  client: "Grafana: panels, variables, annotations, query editor",
  statements: [
    simple(";"),
    simple("SELECT 1"),
    simple(
      `SELECT floor(extract(epoch from created_at)/86400)*86400 AS "time", avg(amount) AS "amount" FROM orders WHERE ${IN_RANGE} GROUP BY 1 ORDER BY 1`,
    ),
    simple(`SELECT created_at AS "time", status AS metric, amount AS value FROM orders WHERE ${IN_RANGE} ORDER BY 1,2`),
    simple(
      `SELECT extract(epoch from created_at) AS "time", amount FROM orders WHERE extract(epoch from created_at) BETWEEN 1767225600 AND 1774998000 ORDER BY 1`,
    ),
    simple(
      `SELECT $__grafana$x$__grafana$ AS quoted, date_bin('1 day', created_at, '2000-01-01') AS "time", status, count(*), sum(amount) FROM orders WHERE ${IN_RANGE} AND status IN ('open','paid') GROUP BY 2, 3 ORDER BY 2, 3`,
    ),
    simple(
      `SELECT time_bucket AS "time", lag(total) OVER (ORDER BY time_bucket) AS before, total FROM (SELECT date_trunc('week', created_at) AS time_bucket, sum(amount) AS total FROM orders GROUP BY 1) weekly ORDER BY 1`,
    ),
    simple("SELECT DISTINCT status FROM orders ORDER BY 1"),
    simple("SELECT id AS __value, 'order ' || id::text AS __text FROM orders ORDER BY id LIMIT 20"),
    simple(
      `SELECT created_at AS "time", 'shipped' AS text, status AS tags FROM orders WHERE ${IN_RANGE} AND status = 'shipped' ORDER BY 1 LIMIT 100`,
    ),
    simple(`SELECT width_bucket(amount, 0, 500, 10) AS bucket, count(*) FROM orders GROUP BY 1 ORDER BY 1`),
    simple(
      "SELECT quote_ident(table_name) FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache') ORDER BY 1",
    ),
    simple(
      `SELECT CASE WHEN table_schema = ANY (SELECT unnest(string_to_array(current_setting('search_path'), ','))) THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema','pg_catalog') ORDER BY CASE WHEN table_schema = ANY (SELECT unnest(string_to_array(current_setting('search_path'), ','))) THEN 0 ELSE 1 END, 1`,
    ),
    simple(
      `SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns WHERE CASE WHEN array_length(parse_ident('orders'),1) = 2 THEN quote_ident(table_schema) = (parse_ident('orders'))[1] AND quote_ident(table_name) = (parse_ident('orders'))[2] ELSE quote_ident(table_name) = 'orders' AND quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '"$user"' THEN user ELSE trim(s[i]) END FROM generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), array_upper(string_to_array(current_setting('search_path'),','),1)) as i, string_to_array(current_setting('search_path'),',') s) END ORDER BY 1`,
    ),
    simple("SELECT current_setting('server_version_num')::int/100 AS version"),
    simple("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"),
    simple("EXPLAIN SELECT status FROM orders WHERE id = 1"),
    simple("SELECT customers.name, customers.phone FROM customers ORDER BY id LIMIT 3"),
  ],
};
