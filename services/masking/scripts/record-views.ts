/**
 * Records how a real server writes the definitions of views, and what their columns really hold, for
 * src/lineage/recorded-views.unit.test.ts. Each base column holds a marker of its own, so that what a view's column shows can
 * be read from its rows.
 *
 *   PGPASSWORD=… node scripts/record-views.ts "host=127.0.0.1 port=5432 user=postgres dbname=postgres"
 *
 * Makes and drops the schemas `lineage` and `lineage_other` in that database. Needs psql.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Schema } from "@sallyport/proto/catalog_model";

const dsn = process.argv[2];
if (dsn === undefined) throw new Error("usage: record-views.ts DSN");

const SETUP = `
DROP SCHEMA IF EXISTS lineage, lineage_other CASCADE;
CREATE SCHEMA lineage; CREATE SCHEMA lineage_other;
SET search_path = lineage;
CREATE TABLE people (id int PRIMARY KEY, name text, email text, phone varchar(40), extra jsonb, tags text[]);
INSERT INTO people VALUES (1, 'plain', 'zqemail', 'zqphone', '{"mail": "zqemail"}', '{zqphone}');
CREATE TABLE orders (id int, person_id int, email text, note text);
INSERT INTO orders VALUES (1, 1, 'plain', 'zqnote');
CREATE TABLE log (at date, email text) PARTITION BY RANGE (at);
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO log VALUES ('2026-05-05', 'zqemail');
CREATE TABLE lineage_other.people (id int, email text);
INSERT INTO lineage_other.people VALUES (1, 'plain');
CREATE FUNCTION leak(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM lineage.people WHERE id = $1';
CREATE FUNCTION everyone() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM lineage.people';
CREATE FUNCTION glue(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1 || '-' || $2$$;
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = glue);
`;

const VIEWS: Record<string, string> = {
  plain: "SELECT id, name, email, phone FROM people",
  aliased: "SELECT p.email AS a, p.phone AS b, p.id AS email FROM people p",
  star: "SELECT * FROM people",
  two_tables: "SELECT p.email AS pe, o.email AS oe, o.note FROM people p JOIN orders o ON o.person_id = p.id",
  join_using: "SELECT id, p.email, o.note FROM people p JOIN orders o USING (id)",
  join_using_email: "SELECT email FROM people FULL JOIN orders USING (email)",
  natural_join: "SELECT * FROM (SELECT id, email FROM people) a NATURAL LEFT JOIN (SELECT id, note FROM orders) b",
  join_alias: "SELECT j.x, j.y FROM (people p JOIN orders o ON true) AS j(x, n, y)",
  using_alias: "SELECT u.id, p.email FROM people p JOIN orders o USING (id) AS u",
  cast_text: "SELECT phone::text AS t, email::varchar(3) AS v, id::text AS i FROM people",
  cast_other: "SELECT extra::text AS t, (extra ->> 'mail') AS m, tags[1] AS g FROM people",
  expressions:
    "SELECT upper(email) AS u, email || phone AS both_, coalesce(phone, name) AS c, length(name) AS l FROM people",
  case_when: "SELECT CASE WHEN id = 1 THEN email ELSE name END AS c FROM people",
  constants: "SELECT 1 AS one, 'x'::text AS x, now() AS t, NULL::text AS n FROM people",
  aggregates: "SELECT max(email) AS m, count(*) AS c, string_agg(phone, ',') AS s FROM people",
  grouped: "SELECT email, count(*) AS n FROM people GROUP BY email",
  distinct_on: "SELECT DISTINCT ON (phone) phone, email FROM people ORDER BY phone",
  windowed: "SELECT id, first_value(email) OVER (ORDER BY id) AS f FROM people",
  sub_select: "SELECT s.a, s.b FROM (SELECT email AS a, name AS b FROM people) s",
  nested: "SELECT x.z FROM (SELECT y.e AS z FROM (SELECT email AS e FROM people) y) x",
  scalar: "SELECT o.id, (SELECT p.email FROM people p WHERE p.id = o.person_id) AS e FROM orders o",
  exists_: "SELECT o.id, EXISTS (SELECT FROM people p WHERE p.email = o.email) AS e FROM orders o",
  array_: "SELECT ARRAY(SELECT email FROM people) AS a",
  lateral_: "SELECT o.id, l.e FROM orders o, LATERAL (SELECT p.email AS e FROM people p WHERE p.id = o.person_id) l",
  lateral_outer: "SELECT l.e FROM people p, LATERAL (SELECT p.email AS e) l",
  with_: "WITH w AS (SELECT email AS x, id FROM people) SELECT w.x, w.id FROM w",
  with_names: "WITH w(a, b) AS (SELECT phone, email FROM people) SELECT b, a FROM w",
  with_nested: "WITH a AS (SELECT email FROM people), b AS (SELECT a.email FROM a) SELECT b.email FROM b",
  with_shadow: "WITH people AS (SELECT note AS email FROM orders) SELECT people.email FROM people",
  with_recursive:
    "WITH RECURSIVE w(n, e) AS (SELECT 1, email FROM people UNION ALL SELECT n + 1, e FROM w WHERE n < 2) SELECT n, e FROM w",
  union_: "SELECT name FROM people UNION SELECT email FROM people",
  union_all: "SELECT id, note FROM orders UNION ALL SELECT id, phone FROM people",
  except_: "SELECT email FROM people EXCEPT SELECT note FROM orders",
  intersect_: "SELECT email FROM people INTERSECT SELECT email FROM people",
  union_nested: "(SELECT name FROM people UNION ALL SELECT note FROM orders) UNION ALL SELECT phone FROM people",
  values_: "SELECT v.a FROM (VALUES ('x'), ((SELECT email FROM people))) v(a)",
  whole_row: "SELECT p AS p, to_jsonb(p) AS j, (p).email AS e, row(p.phone)::text AS r FROM people p",
  row_star: "SELECT (p).* FROM people p",
  unnested: "SELECT u.t FROM people p, unnest(p.tags) u(t)",
  jsonb_each_: "SELECT e.key, e.value FROM people p, jsonb_each_text(p.extra) e",
  json_table: "SELECT t.m FROM people p, JSON_TABLE(p.extra, '$' COLUMNS (m text PATH '$.mail')) t",
  xml_: "SELECT query_to_xml('SELECT email FROM lineage.people', true, true, '')::text AS x",
  user_function: "SELECT leak(o.id) AS l, o.id FROM orders o",
  user_set: "SELECT e.email, e.id FROM everyone() e",
  user_operator: "SELECT name === email AS g, name FROM people",
  partitioned: "SELECT email FROM log",
  one_partition: "SELECT email FROM log_1",
  other_schema: "SELECT o.email AS a, p.email AS b FROM lineage_other.people o JOIN people p ON true",
  view_of_view: "SELECT a, b FROM aliased",
  view_of_view_of_view: "SELECT v.b AS c FROM view_of_view v",
  view_of_expression: "SELECT u FROM expressions",
  view_of_star: "SELECT extra, email FROM star",
  table_sample: "SELECT email FROM people TABLESAMPLE SYSTEM (100)",
  only_: "SELECT email FROM ONLY people",
  column_names: "SELECT t.b, t.c FROM people t(a, b, c)",
  quoted: `SELECT email AS "Odd ""Name""", phone AS "select" FROM people`,
  ordered: "SELECT name FROM people ORDER BY email LIMIT 1",
  rollup_: "SELECT email, grouping(email) AS g FROM people GROUP BY ROLLUP (email)",
  collated: `SELECT email COLLATE "C" AS e FROM people`,
  any_value_: "SELECT any_value(phone) AS a FROM people",
};

function psql(sql: string): string {
  return execFileSync("psql", ["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", dsn!], {
    input: sql,
    encoding: "utf8",
  });
}
const json = (sql: string): unknown =>
  JSON.parse(psql(`SET search_path = ''; SELECT coalesce(json_agg(r), '[]') FROM (${sql}) r`)) as unknown;

psql(
  SETUP +
    Object.entries(VIEWS)
      .map(([name, sql]) => `CREATE VIEW ${name} AS ${sql};`)
      .join("\n"),
);

type Row = Record<string, unknown>;
const relations = json(`SELECT c.oid::int, n.nspname AS schema, c.relname AS name,
    CASE c.relkind WHEN 'v' THEN 'view' WHEN 'p' THEN 'partitioned' ELSE 'table' END AS kind,
    CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) ELSE '' END AS "viewDefinition",
    (SELECT coalesce(json_agg(json_build_object('number', a.attnum, 'name', a.attname, 'typeOid', a.atttypid::int,
       'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum), '[]')
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT coalesce(json_agg(i.inhparent::int), '[]') FROM pg_inherits i WHERE i.inhrelid = c.oid) AS parents
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('lineage', 'lineage_other') AND c.relkind IN ('r', 'p', 'v') ORDER BY c.oid`) as Row[];
const functions = (
  json(`SELECT n.nspname || '.' || p.proname AS name FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'lineage'`) as Row[]
).map((row) => row["name"]);

const MARKERS = ["email", "phone", "note"];
const holds = Object.fromEntries(
  Object.keys(VIEWS).map((name) => {
    const columns = (relations.find((r) => r["name"] === name)?.["columns"] ?? []) as Row[];
    const rows = psql(
      `SELECT ${columns.map((c) => `quote_nullable("${String(c["name"]).replaceAll('"', '""')}"::text)`).join(` || chr(31) || `)} FROM lineage.${name}`,
    );
    const cells = rows
      .trimEnd()
      .split("\n")
      .map((row) => row.toLowerCase().split("\u001f"));
    return [
      name,
      columns.map((_, i) => MARKERS.filter((marker) => cells.some((row) => row[i]?.includes(`zq${marker}`)))),
    ];
  }),
);
const version = psql("SHOW server_version").trim();
psql("DROP SCHEMA lineage, lineage_other CASCADE");

const schema = Schema.toJSON(Schema.fromJSON({ serverVersion: version, relations, functions }));
const to = new URL("../src/lineage/recorded-views.json", import.meta.url);
writeFileSync(to, `${JSON.stringify({ schema, holds }, null, 1)}\n`);
console.log(`${Object.keys(VIEWS).length} views of PostgreSQL ${version} recorded`);
