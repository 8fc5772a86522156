/**
 * Writes src/lineage/catalog-columns.ts: `node services/policy/scripts/generate-catalog-columns.ts URL…`, with a URL of
 * each server version whose catalogs are to be known (any database, any role).
 */

import { readFileSync, writeFileSync } from "node:fs";
import pg from "pg";
import { catalogKind } from "../src/sql/catalogs.ts";

const FILE = new URL("../src/lineage/catalog-columns.ts", import.meta.url);

const QUERY = `SELECT n.nspname AS schema, c.relname AS name, string_agg(a.attname, ' ' ORDER BY a.attnum) AS columns
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v', 'm', 'f') AND c.oid < 16384
    AND a.attnum > 0 AND NOT a.attisdropped GROUP BY 1, 2`;

const versions: number[] = [];
/** `schema.name columns` → major versions */
const found = new Map<string, number[]>();
for (const url of process.argv.slice(2)) {
  const client = new pg.Client(url);
  await client.connect();
  const { rows: numbers } = await client.query<{ server_version_num: string }>("SHOW server_version_num");
  const major = Math.floor(Number(numbers[0]?.server_version_num) / 10_000);
  versions.push(major);
  const { rows } = await client.query<{ schema: string; name: string; columns: string }>(QUERY);
  for (const { schema, name, columns } of rows) {
    if (catalogKind(schema, name) !== "catalog") continue;
    const line = `${schema}.${name} ${columns}`;
    found.set(line, [...(found.get(line) ?? []), major]);
  }
  await client.end();
}
if (found.size === 0) throw new Error("usage: node generate-catalog-columns.ts postgres://… [postgres://…]");

const lines = [...found].map(([line, of]) => `${of.toSorted((a, b) => a - b).join(",")} ${line}`);
const byName = (line: string): string => line.slice(line.indexOf(" ") + 1);
const sorted = lines.toSorted((a, b) => (byName(a) < byName(b) ? -1 : 1));
const before = readFileSync(FILE, "utf8");
const head = before.slice(0, before.indexOf("/** from "));
writeFileSync(
  FILE,
  `${head}/** from PostgreSQL ${versions.toSorted((a, b) => a - b).join(", ")}: versions, relation, columns in order */
export const CATALOG_COLUMNS = \`
${sorted.join("\n")}
\`;
`,
);
