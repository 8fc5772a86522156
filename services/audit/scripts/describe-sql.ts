/**
 * Writes docs/sql.md from `src/views` and from what the engine says of the views' columns. Run by `npm run generate`; a test
 * writes it again and compares.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openClickHouse, type Session } from "../src/clickhouse/clickhouse.ts";
import { migrate } from "../src/clickhouse/migrate.ts";
import { makeViews, readViews, type ViewSource } from "../src/clickhouse/views.ts";
import { allowedFunctionNames, allowedTableFunctions } from "../src/query/allowed-functions.ts";

export const sqlDocument = join(import.meta.dirname, "../../../docs/sql.md");

const groups: [title: string, about: string, names: string[]][] = [
  [
    "The four questions",
    "One schema for every protocol. Narrow by `at`, `session_id` or `principal`; `has(actors, 'workload:…')` finds what was done for somebody.",
    ["incident_who", "incident_path", "incident_decisions", "incident_evidence", "incident_timeline"],
  ],
  ["Sessions and what happened in them", "", ["sessions", "commands", "verdicts", "approvals", "exposures", "frames"]],
  ["People, tokens and rules", "", ["identities", "tokens", "token_lineage", "policy_sets"]],
  ["The log itself", "", ["event_log", "gaps", "audit_access"]],
];

/** The document, as it should stand in the repository. */
export async function describeSql(session: Session): Promise<string> {
  const views = new Map(readViews().map((view) => [view.name, view]));
  const lines = [
    "# Asking the log",
    "",
    "Written from `services/audit/src/views` and ClickHouse's own description by `npm run generate -w @sallyport/audit`; a test compares.",
    "What each fact holds: [events.md](events.md).",
    "",
    "```sh",
    `npx sallyport sql "SELECT at, principal, statement, verdict, status FROM commands ORDER BY at DESC LIMIT 10"`,
    `npx sallyport sql "SELECT * FROM incident_timeline WHERE session_id = {id:String} ORDER BY at" --param id=…`,
    "```",
    "",
    "The dialect is ClickHouse's. Times are UTC with microseconds. It needs the permission `audit`, and every question is itself an",
    "event (`audit_access`). Statements are shown without their constants, unless policy lets the reader `reveal` the class",
    "`statement-text`: then the same columns hold the texts as they were. Everything is followed within a second; what ClickHouse has not",
    "yet is counted by `sallyport status`.",
    "",
    "Allowed are `SELECT`, `WITH`, `EXPLAIN`, `DESCRIBE` and `SHOW TABLES` over these views, parameters `{name:Type}`, and a list of functions",
    "(at the end). Not allowed are table functions that reach anything, `INTO OUTFILE`, `FORMAT`, `SETTINGS`, other databases and system",
    "tables. There are limits on rows, bytes, time and memory.",
    "",
  ];
  const left = new Set(views.keys());
  for (const [title, about, names] of groups) {
    lines.push(`## ${title}`, "");
    if (about !== "") lines.push(about, "");
    for (const name of names) {
      left.delete(name);
      lines.push(...(await describeView(session, views.get(name) as ViewSource)));
    }
  }
  if (left.size > 0) throw new Error(`not in the document: ${[...left].join(", ")}`);
  lines.push("## Functions", "", wrapped([...allowedFunctionNames].map((name) => `\`${name}\``)), "");
  lines.push(
    `Aggregates also with \`If\`, \`Array\`, \`Distinct\`, \`OrNull\` and the like behind them. Table functions: ${[...allowedTableFunctions].map((name) => `\`${name}\``).join(", ")}.`,
  );
  return `${lines.join("\n").trimEnd()}\n`;
}

async function describeView(session: Session, view: ViewSource): Promise<string[]> {
  const types = await session.rows<{ name: string; type: string }>(`DESCRIBE TABLE log.${view.name}`);
  const revealed = await session.rows<{ name: string; type: string }>(`DESCRIBE TABLE log_revealed.${view.name}`);
  const [one, other] = [types, revealed].map((rows) =>
    rows.map(({ name, type }) => `${name} ${plain(type)}`).join("\n"),
  );
  if (one !== other) throw new Error(`${view.name} is not the same in both databases`);
  const documented = view.columns.map((column) => column.name).join(", ");
  const actual = types.map((column) => column.name).join(", ");
  if (documented !== actual) throw new Error(`${view.name}: documented are ${documented}; there are ${actual}`);
  return [
    `### \`${view.name}\``,
    "",
    view.about,
    "",
    "| column | type | |",
    "|---|---|---|",
    ...types.map(
      ({ name, type }, i) =>
        `| \`${name}\` | ${plain(type)} | ${(view.columns[i]?.about ?? "").replaceAll("|", "\\|").replaceAll("<", "&lt;")} |`,
    ),
    "",
  ];
}

/** Types as readers use them: how a column is stored is nothing to them. */
const plain = (type: string): string =>
  type
    .replace(/LowCardinality\((\w+)\)/g, "$1")
    .replace(/SimpleAggregateFunction\(\w+, ((?:[^()]|\([^()]*\))+)\)/g, "$1")
    .replace(/DateTime64\((\d)(?:, 'UTC')?\)/g, "DateTime64($1)");

function wrapped(words: string[]): string {
  const lines: string[] = [""];
  for (const word of words) {
    const last = lines.at(-1) as string;
    if (last.length + word.length > 118) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join("\n");
}

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-sql-"));
  const clickhouse = await openClickHouse({ kind: "embedded", folder });
  try {
    await migrate(clickhouse.work);
    await makeViews(clickhouse.work);
    writeFileSync(sqlDocument, await describeSql(clickhouse.work));
  } finally {
    await clickhouse.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
