import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allCases, type Case } from "./case-file.ts";
import { Target } from "./place.ts";
import { isPlain, runCase } from "./run-case.ts";

/** Every case of `cases/`, through the real edge, in each mode in which it applies. */

const cases = allCases();
let target: Target;
let before: string;
const totals = { runs: 0, cases: 0, open: [] as string[] };

/** One number over everything that the cases could change for good. */
const STATE = `SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (
  SELECT query_to_xml(format('SELECT * FROM %s ORDER BY 1', oid::regclass), true, false, '')::text || oid::regclass::text AS x
  FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text IN ('public', 'other')) AS tables`;

beforeAll(async () => {
  target = await Target.open();
  before = await target.value(STATE);
});

afterAll(async () => {
  await target.close();
  console.log(
    `${totals.cases} cases, ${totals.runs} runs (cases × modes); open findings: ${totals.open.join("\n  ") || "none"}`,
  );
});

async function check(one: Case): Promise<void> {
  const { modes, problems } = await runCase(one, target);
  totals.cases++;
  totals.runs += modes.length;
  expect(modes.length, "it runs in no mode").toBeGreaterThan(0);
  if (one.open !== undefined) {
    totals.open.push(`${one.id} (${problems[0]?.split("\n    as ")[0] ?? "mended"})`);
    expect(problems, `mended: take "open: ${one.open}" out of the case`).not.toEqual([]);
    return;
  }
  expect(problems.length, `${one.title}\n${problems.join("\n")}\n`).toBe(0);
}

// Queries do not get into each other's way; what changes something, even for a moment, runs alone.
const named = (wanted: boolean) => cases.filter((one) => isPlain(one) === wanted).map((one) => [one.id, one] as const);
describe.concurrent("queries", () => {
  test.for(named(true))("%s", ([, one]) => check(one));
});
describe("commands", () => {
  test.for(named(false))("%s", ([, one]) => check(one));
});

test("nothing that was refused or held has changed anything", async () => {
  expect(await target.value(STATE)).toBe(before);
});
