/**
 * What a statement that was never seen before costs: scanned, parsed, walked, and its lineage followed.
 *
 *     node services/policy/bench/lineage.ts [rounds]
 *
 * Prints p50 and p99 in ms over ordinary statements, each in many spellings, and of the slowest kinds.
 */

import type { RawStatement } from "../src/sql/parser.ts";
import { Analyser } from "../src/sql/analyser.ts";
import { lineageOf } from "../src/lineage/lineage.ts";
import { ColumnClasses } from "../src/schema/classes.ts";
import { SchemaIndex } from "../src/schema/schema-index.ts";
import { isRefused } from "../src/sql/outline.ts";
import { demoSchema } from "../testing/world.ts";

/** As people, drivers, dashboards and pgbench write them; `@` is another number every time. */
const ORDINARY = [
  "SELECT * FROM customers WHERE id = @",
  "SELECT id, name, email FROM customers WHERE id IN (@, @, @) ORDER BY name LIMIT @",
  "SELECT count(*) FROM orders WHERE status = 'open' AND amount > @",
  "SELECT o.id, o.amount, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.created_at > now() - interval '@ days'",
  "SELECT c.name, sum(o.amount) AS total FROM customers c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY c.id, c.name HAVING sum(o.amount) > @ ORDER BY 2 DESC LIMIT 20",
  'SELECT "public"."customers"."id", "public"."customers"."email" FROM "public"."customers" WHERE ("public"."customers"."id" = $1 AND 1=1) LIMIT @ OFFSET $3',
  "WITH recent AS (SELECT * FROM orders WHERE id > @), best AS (SELECT customer_id, max(amount) AS top FROM recent GROUP BY 1) SELECT c.*, b.top FROM customers c JOIN best b ON b.customer_id = c.id",
  "SELECT date_trunc('day', created_at) AS day, status, count(*), avg(amount) FROM orders WHERE id < @ GROUP BY 1, 2 ORDER BY 1",
  "SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY created_at DESC) AS place FROM orders WHERE amount < @",
  "UPDATE orders SET status = 'paid', amount = amount + @ WHERE id = @ RETURNING *",
  "INSERT INTO orders (customer_id, amount, status) VALUES (@, @, 'open') RETURNING id",
  "INSERT INTO orders (customer_id, status) SELECT id, 'new' FROM customers WHERE name LIKE 'a%' AND id > @",
  "DELETE FROM orders WHERE id = @",
  "SELECT who, reach FROM customer_contacts WHERE id = @",
  "SELECT CASE WHEN amount > @ THEN 'big' ELSE 'small' END AS size, coalesce(status, 'none') FROM orders UNION ALL SELECT 'all', name FROM customers",
  "SELECT id, (SELECT max(amount) FROM orders o WHERE o.customer_id = c.id) AS most FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.id > @)",
  "SELECT c.relname, n.nspname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND c.oid > @ ORDER BY 1,2",
  "COPY (SELECT id, amount FROM orders WHERE id > @) TO STDOUT WITH (FORMAT csv)",
];

const rounds = Number(process.argv[2] ?? 300);
const analyser = await Analyser.open();
const index = new SchemaIndex(demoSchema(), new ColumnClasses());
let number = 1_000;

const outlineOf = (text: string): readonly RawStatement[] | "unknown" => {
  const outline = analyser.outline("bench", text);
  if (outline instanceof Promise || isRefused(outline)) return "unknown";
  return outline.tree ?? "unknown";
};

function once(pattern: string): { parsed: number; followed: number } {
  const text = pattern.replaceAll("@", () => String(++number));
  const start = performance.now();
  const tree = outlineOf(text);
  const middle = performance.now();
  if (tree === "unknown") throw new Error(text);
  const { statements } = lineageOf(tree, {
    index,
    database: "orders",
    searchPath: ["public"],
    schemaTouched: false,
    named: [],
    temporary: [],
    syntax: outlineOf,
  });
  const end = performance.now();
  if (statements.some(({ unknown }) => unknown !== "")) throw new Error(text);
  return { parsed: middle - start, followed: end - middle };
}

const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? 0;
const shown = (values: readonly number[]): string =>
  `p50 ${percentile(values, 0.5).toFixed(3)}  p99 ${percentile(values, 0.99).toFixed(3)} ms`;

for (let i = 0; i < 30; i++) for (const pattern of ORDINARY) once(pattern);
const all: { pattern: string; parsed: number; followed: number }[] = [];
for (let i = 0; i < rounds; i++) for (const pattern of ORDINARY) all.push({ pattern, ...once(pattern) });

console.log(`${all.length} statements that were never seen before`);
console.log(`scan, parse, walk  ${shown(all.map(({ parsed }) => parsed))}`);
console.log(`lineage            ${shown(all.map(({ followed }) => followed))}`);
console.log(`together           ${shown(all.map(({ parsed, followed }) => parsed + followed))}`);
const kinds = ORDINARY.map((pattern) => {
  const of = all.filter((one) => one.pattern === pattern).map(({ parsed, followed }) => parsed + followed);
  return { pattern, p50: percentile(of, 0.5) };
});
for (const { pattern, p50 } of kinds.toSorted((a, b) => b.p50 - a.p50).slice(0, 5))
  console.log(`  ${p50.toFixed(3)} ms  ${pattern.slice(0, 90)}`);
await analyser.close();
