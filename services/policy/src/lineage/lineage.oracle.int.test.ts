/**
 * The analyser's lineage against the server's own analysed tree (testing/oracle/README.md): nothing that flows may be
 * missing, what the server describes must be what was foreseen, and the share of too strict and unknown is reported.
 *
 * SALLYPORT_ORACLE_STATEMENTS (default 3000) and SALLYPORT_SEED choose the random statements; there are no more of them than
 * fit in SALLYPORT_ORACLE_SECONDS (default 60).
 */

import type { OutputColumn } from "@sallyport/proto/verdict";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compare } from "../../testing/oracle/compare.ts";
import type { Comparison } from "../../testing/oracle/compare.ts";
import { LineageCheck } from "../../testing/oracle/lineage-check.ts";
import { RandomQueries } from "../../testing/oracle/random-queries.ts";
import { trueLineage } from "../../testing/oracle/true-lineage.ts";
import { writtenQueries } from "../../testing/oracle/written-queries.ts";
import { Random } from "../../testing/random.ts";
import type { TextLineage } from "./lineage.ts";

const SEED = Number(process.env["SALLYPORT_SEED"] ?? 20_261_122);
const STATEMENTS = Number(process.env["SALLYPORT_ORACLE_STATEMENTS"] ?? 3_000);
const SECONDS = Number(process.env["SALLYPORT_ORACLE_SECONDS"] ?? 60);

let check: LineageCheck;

beforeAll(async () => {
  check = await LineageCheck.open();
}, 120_000);

afterAll(() => check?.close());

interface Summary {
  statements: number;
  refused: number;
  columns: number;
  exact: number;
  tooStrict: number;
  unknown: number;
  /** why columns are unknown, with how many, and an example */
  reasons: Map<string, { columns: number; example: string }>;
  tooLax: string[];
  wrong: string[];
  needless: number;
}

/** `seconds`: enough after so many. */
async function compareAll(texts: Iterable<string>, seconds = Number.POSITIVE_INFINITY): Promise<Summary> {
  const until = performance.now() + seconds * 1_000;
  const summary: Summary = {
    statements: 0,
    refused: 0,
    columns: 0,
    exact: 0,
    tooStrict: 0,
    unknown: 0,
    reasons: new Map(),
    tooLax: [],
    wrong: [],
    needless: 0,
  };
  for (const text of texts) {
    const checked = await check.check(text);
    if (checked.kind === "refused") summary.refused++;
    else add(summary, text, checked);
    if (performance.now() > until) break;
  }
  return summary;
}

function add(summary: Summary, text: string, { tooLax, wrong, needless, columns }: Comparison): void {
  summary.statements++;
  summary.needless += needless.length;
  summary.tooLax.push(...tooLax.map((what) => `${what}\n  in: ${text}`));
  summary.wrong.push(...wrong.map((what) => `${what}\n  in: ${text}`));
  for (const column of columns) {
    summary.columns++;
    if (column.kind === "exact") summary.exact++;
    else if (column.kind === "too strict") summary.tooStrict++;
    else {
      summary.unknown++;
      const before = summary.reasons.get(column.why);
      const shorter = before !== undefined && before.example.length <= text.length;
      summary.reasons.set(column.why, {
        columns: (before?.columns ?? 0) + 1,
        example: shorter ? before.example : text,
      });
    }
  }
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)} %`;

function report(title: string, summary: Summary): void {
  const { statements, refused, columns, exact, tooStrict, unknown, reasons } = summary;
  const lines = [
    `lineage oracle, ${title}: ${statements} statements (${refused} that the server refuses), ${columns} columns: ` +
      `${percent(exact, columns)} exact, ${percent(tooStrict, columns)} too strict, ${percent(unknown, columns)} unknown, ` +
      `${summary.tooLax.length} too lax`,
    ...[...reasons].map(([why, { columns: n, example }]) => `  unknown (${n}): ${why}: ${example.slice(0, 100)}`),
  ];
  console.log(lines.join("\n"));
}

/** Ceilings a little above what was measured, so that what gets worse shows. */
function expectBelow(summary: Summary, ceilings: { tooStrict: number; unknown: number; wrong?: number }): void {
  expect(summary.tooLax.toSorted((a, b) => a.length - b.length).slice(0, 10)).toEqual([]);
  if (ceilings.wrong === undefined) expect(summary.wrong.slice(0, 10)).toEqual([]);
  else expect(summary.wrong.length / summary.columns, "the share that is refused").toBeLessThan(ceilings.wrong);
  expect(summary.needless / summary.columns, "the share that is refused without need").toBeLessThan(0.002);
  expect(summary.tooStrict / summary.columns, "the share of too strict").toBeLessThan(ceilings.tooStrict);
  expect(summary.unknown / summary.columns, "the share of unknown").toBeLessThan(ceilings.unknown);
}

test("written queries: nothing too lax, and described as foreseen", async () => {
  const summary = await compareAll(writtenQueries().map(({ text }) => text));
  report("written queries", summary);
  expectBelow(summary, { tooStrict: 0.004, unknown: 0.045 });
  expect(summary.statements).toBeGreaterThan(1_900);
}, 300_000);

test(
  "random queries: nothing too lax, and described as foreseen",
  async () => {
    const queries = new RandomQueries(new Random(SEED));
    const summary = await compareAll(statementsOf(queries, STATEMENTS), SECONDS);
    report(`random queries with seed ${SEED}`, summary);
    expectBelow(summary, { tooStrict: 0.004, unknown: 0.045 });
    expect(summary.refused / summary.statements, "the share that the server refuses").toBeLessThan(0.05);
    expect(summary.statements).toBeGreaterThan(Math.min(300, STATEMENTS / 2));
  },
  (SECONDS + 60) * 1_000,
);

function* statementsOf(queries: RandomQueries, count: number): Generator<string> {
  for (let n = 0; n < count; n++) yield queries.next();
}

/** With one name in several of the schemas, every table that it could mean is said: what can be seen is up to privileges. */
test.for([
  [["archive", "public"]],
  [["hr", "archive", "app", "public"]],
  [["app", "public", "pg_catalog"]],
  [["Weird Schema", "archive"]],
] as const)("with search_path %s: nothing too lax, and described as foreseen", { timeout: 300_000 }, async ([path]) => {
  await check.setSearchPath(path);
  try {
    const texts = writtenQueries().map(({ text }) => text);
    const summary = await compareAll(texts.filter((_text, i) => i % 4 === path.length % 4));
    report(`search_path ${path.join(", ")}`, summary);
    expectBelow(summary, { tooStrict: 0.4, unknown: 0.25, wrong: 0.01 });
    expect(summary.statements).toBeGreaterThan(200);
  } finally {
    await check.setSearchPath(["public"]);
  }
});

test("views made of the queries: the server writes their definitions, and nothing is too lax", async () => {
  const queries = new RandomQueries(new Random(SEED + 1));
  const random = statementsOf(queries, Math.min(1_000, Math.ceil(STATEMENTS / 6)));
  const texts = await check.viewsOf([...writtenQueries().map(({ text }) => text), ...random]);
  const summary = await compareAll(texts);
  report("views", summary);
  expectBelow(summary, { tooStrict: 0.004, unknown: 0.045 });
  expect(summary.statements).toBeGreaterThan(1_000);
}, 300_000);

test("the comparison notices what is left out", async () => {
  const text =
    "SELECT email || name AS both, phone, count(*) OVER () AS n FROM customers WHERE notes LIKE 'a%' ORDER BY id";
  const analysed = await check.server.analyse(text);
  if (analysed.kind === "refused") throw new Error(analysed.message);
  const { catalog } = check.server;
  const truth = trueLineage(catalog, analysed.queries);
  const compared = (change: (said: TextLineage) => void): Comparison => {
    const said = check.analyse(text);
    change(said);
    return compare({ said, truth, fields: analysed.fields }, catalog);
  };
  const outputs = ({ statements }: TextLineage): OutputColumn[] => statements[0]?.outputs ?? [];
  const first = (said: TextLineage): OutputColumn => outputs(said)[0] as OutputColumn;

  expect(compared(() => undefined)).toMatchObject({ tooLax: [], wrong: [] });
  const forgotten = compared((said) => void (first(said).sources = first(said).sources.slice(1)));
  expect(forgotten.tooLax).toEqual(["column 1 (both): public.customers.name"]);
  const untransformed = compared((said) => void (first(said).exact = true));
  expect(untransformed.tooLax).toEqual(["column 1 (both): the values are not as they stand in a column"]);
  const unprobed = compared((said) => void (said.probes = []));
  expect(unprobed.tooLax).toEqual(["probes public.customers.id", "probes public.customers.notes"]);
  const fewer = compared((said) => void outputs(said).pop());
  expect(fewer.wrong).toEqual(["2 columns, the server describes 3"]);
  const elsewhere = compared((said) => void (first(said).describedNumber = 3));
  expect(elsewhere.wrong).toHaveLength(1);
  const stricter = compared((said) => void first(said).sources.push(...(outputs(said)[1]?.sources ?? [])));
  expect(stricter.columns[0]).toEqual({ kind: "too strict", more: ["public.customers.phone"] });
});

/** Of known statements, so that the oracle does not go blind. */
test.for([
  ["SELECT email FROM customers", ["customers.email"]],
  ["SELECT upper(v.line) FROM contact_lines v", ["customers.email", "customers.name"]],
  ["SELECT copied FROM over_copies", ["customers.email"]],
  ["SELECT gross FROM totals", ["totals.gross", "totals.net", "totals.tax"]],
  ["SELECT secret FROM app.base", ["base.secret", "heir.secret", "heir_of_two.secret"]],
  ["SELECT secret FROM ONLY app.base", ["base.secret"]],
  ["SELECT CASE WHEN email = 'a' THEN name END FROM customers", ["customers.name"]],
  ["SELECT count(email) FROM customers", []],
  [
    "WITH RECURSIVE t (a, b) AS (SELECT name, email FROM customers UNION SELECT b, a FROM t) SELECT a FROM t",
    ["customers.email", "customers.name"],
  ],
  ["UPDATE customers SET name = email RETURNING name", ["customers.email"]],
  ["UPDATE customers SET name = email RETURNING old.name", ["customers.name"]],
  ["SELECT (s.r).f2 FROM (SELECT ROW(email, phone) AS r FROM customers) s", ["customers.phone"]],
  ["SELECT email FROM customers EXCEPT SELECT iban FROM archive.orders", ["customers.email"]],
] as const)("what flows: %s", async ([text, columns]) => {
  const analysed = await check.server.analyse(text);
  if (analysed.kind === "refused") throw new Error(analysed.message);
  const { catalog } = check.server;
  const [output] = trueLineage(catalog, analysed.queries).outputs;
  const named = [...(output?.flows ?? [])].map((flow) => catalog.named(flow).replace(/^[^.]*\./, ""));
  expect(named.toSorted()).toEqual(columns);
});
