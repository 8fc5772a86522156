/**
 * Writes src/lineage/function-table.ts: `node services/policy/scripts/generate-function-table.ts URL…`, with a URL of
 * each server version whose functions are to be known (any database, any role). Run it for a new major version too:
 * what is in the file must hold on every version.
 */

import { readFileSync, writeFileSync } from "node:fs";
import pg from "pg";
import { serverFunctions } from "../testing/server-functions.ts";
import type { ServerFunction } from "../testing/server-functions.ts";

const FILE = new URL("../src/lineage/function-table.ts", import.meta.url);
const WIDTH = 116;

/**
 * A session can set them to any text. Those that drivers ask for every day count as harmless all the same: a computed
 * set_config is `opaque` and needs a permit of its own.
 */
const FREE_TEXT_BUT_COMMON = ["search_path", "DateStyle", "TimeZone", "client_encoding"];

const functions: ServerFunction[] = [];
const settings = new Map<string, boolean>();
const versions: string[] = [];
for (const url of process.argv.slice(2)) {
  const client = new pg.Client(url);
  await client.connect();
  versions.push((await client.query<{ server_version: string }>("SHOW server_version")).rows[0]?.server_version ?? "");
  functions.push(...(await serverFunctions(client)));
  const { rows } = await client.query<{ name: string; harmless: boolean }>(
    `SELECT name, vartype <> 'string' OR context NOT IN ('user', 'superuser') OR name = ANY ($1) AS harmless
     FROM pg_settings WHERE name NOT LIKE '%.%'`,
    [FREE_TEXT_BUT_COMMON],
  );
  for (const { name, harmless } of rows) settings.set(name, harmless && settings.get(name) !== false);
  await client.end();
}
if (functions.length === 0) throw new Error("usage: node generate-function-table.ts postgres://… [postgres://…]");

const overloads = Map.groupBy(functions, ({ name }) => name);

/** Immutable in every overload on every version. */
const immutable = [...overloads]
  .filter(([, of]) => of.every(({ volatility, kind }) => volatility === "immutable" && kind !== "p"))
  .map(([name]) => name);

const columns = [...overloads].flatMap(([name, of]) => {
  // Aggregates and window functions cannot be called in FROM.
  const lines = of.filter(({ kind }) => kind === "f").flatMap(columnsLine);
  return [...new Set(lines)].map((line) => `${name} ${line}`);
});

/** `least-most column …`; `?`: what it returns depends on the call. Nothing for what returns one plain value. */
function columnsLine({ least, most, returns, columns: named }: ServerFunction): string[] {
  const counts = least === most ? String(least) : `${least}-${most === Number.POSITIVE_INFINITY ? "" : most}`;
  if (named.length > 0 && named.every((name) => name !== "")) return [`${counts} ${named.join(" ")}`];
  return /^(record|"any"|anyelement|anynonarray|anycompatible|anycompatiblenonarray)$/.test(returns)
    ? [`${counts} ?`]
    : [];
}

function wrapped(words: readonly string[]): string {
  let text = "";
  let line = " ";
  for (const word of words) {
    if (line.length + word.length + 1 > WIDTH) {
      text += `${line}\n`;
      line = " ";
    }
    line += ` ${word}`;
  }
  return `${text}${line}\n`;
}

const before = readFileSync(FILE, "utf8");
const head = before.slice(0, before.indexOf("/** from "));
writeFileSync(
  FILE,
  `${head}/** from ${versions.map((version) => `PostgreSQL ${version.split(" ")[0]}`).join(", ")} */
export const IMMUTABLE: ReadonlySet<string> = new Set(
  \`
${wrapped(immutable.toSorted())}\`
    .trim()
    .split(/\\s+/),
);

export const HARMLESS_SETTINGS: ReadonlySet<string> = new Set(
  \`
${wrapped([...settings].flatMap(([name, harmless]) => (harmless ? [name.toLowerCase()] : [])).toSorted())}\`
    .trim()
    .split(/\\s+/),
);

export const RESULT_COLUMNS = \`
${columns.toSorted().join("\n")}
\`;
`,
);
