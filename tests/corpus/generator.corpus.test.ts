import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { bearer, connectApi, items } from "@sallyport/cli/api";
import { SERVICE_NAMES } from "@sallyport/local/ports";
import { afterAll, expect, test } from "vitest";
import { profileOf } from "../harness/clients.ts";
import { auditLog } from "../faults/audit-log.ts";
import { gateway, hiddenFrom } from "./place.ts";
import { leaks, newTotals, runAll } from "./random-run.ts";
import { statementFrom } from "./random-statements.ts";
import { told } from "./run-case.ts";

/**
 * Random queries over the schema with marked values: none of them, and no part of one, reaches the client, a reader of the
 * log without the right, a trace, a metric or a service's log.
 *
 *   CORPUS_QUERIES   how many (default 400; the slow tier takes 100,000)
 *   CORPUS_SECONDS   at most so long (default 60)
 *   CORPUS_SEED      of the first batch (default: always the same; above 1,000 queries another one each time)
 */
const QUERIES = Number(process.env["CORPUS_QUERIES"] ?? 400);
const SECONDS = Number(process.env["CORPUS_SECONDS"] ?? 60);
const SEED = Number(process.env["CORPUS_SEED"] ?? (QUERIES > 1_000 ? Date.now() % 1_000_000_000 : 20_261_122));

const BATCH = 200;
const tapes = fc.array(fc.nat(0xffff), { minLength: 40, maxLength: 240, size: "max" });

const api = connectApi(gateway.deployment);
afterAll(() => api.close());

const totals = newTotals();

test("no marked value reaches the client", { timeout: SECONDS * 1_000 + 120_000 }, async () => {
  const began = performance.now();
  const deadline = began + SECONDS * 1_000;
  let made: ReturnType<typeof statementFrom>[] = [];
  let batches = 0;
  let given = 0;
  await runAll(() => {
    if (given >= QUERIES || performance.now() > deadline) return undefined;
    if (made.length === 0) made = fc.sample(tapes, { seed: SEED + batches++, numRuns: BATCH }).map(statementFrom);
    given++;
    return made.pop();
  }, totals);
  const seconds = (performance.now() - began) / 1_000;
  const outcomes = [...totals.outcomes].toSorted(([, a], [, b]) => b - a).map(([code, n]) => `${code} ${n}`);
  console.log(
    `${totals.queries} queries from seed ${SEED} in ${seconds.toFixed(1)} s (${(totals.queries / seconds).toFixed(0)}/s), ` +
      `${totals.rows} rows, ${totals.cells} cells; ${outcomes.slice(0, 12).join(", ")}`,
  );
  expect(await explained()).toBe("");
  expect(totals.ended).toEqual([]);
  // Otherwise the generator has come apart from the schema.
  expect(totals.outcomes.get("passed") ?? 0).toBeGreaterThan(totals.queries / 2);
});

/** What leaked, shortened as far as it still does. */
async function explained(): Promise<string> {
  const [first] = totals.leaks;
  if (first === undefined) return "";
  const words = `${first.statement.way}, ${first.as.account} on ${first.as.connection}`;
  const all = `${first.statement.sql}\n${words}\n${first.finds.slice(0, 3).map(told).join("\n")}`;
  const shorter = await fc.check(
    fc.asyncProperty(tapes, async (tape) => !(await leaks(first.as, statementFrom(tape)))),
    { examples: [[[...first.statement.tape]]], numRuns: 1, interruptAfterTimeLimit: 45_000 },
  );
  const [tape] = shorter.counterexample ?? [];
  return tape === undefined ? `${all}\n(not again, alone)` : `${all}\nshortened: ${statementFrom(tape).sql}`;
}

test("no reader of the log without the right finds one", { timeout: 120_000 }, async () => {
  const marks = hiddenFrom("security");
  const reader = profileOf(gateway, "security");
  const log = auditLog(api, reader);
  const views = (await log.ask("SHOW TABLES")).map((row) => String(Object.values(row)[0]));
  expect(views).toContain("commands");
  for (const view of views) {
    const rows = await log.ask(`SELECT * FROM ${view} LIMIT 5000`);
    const finds = marks.inBytes(Buffer.from(JSON.stringify(rows)));
    expect(finds.map((find) => `${view}: ${told(find)}`)).toEqual([]);
  }
  // What was shown in clear to one who may see it is masked for the reader.
  const sessions = await log.ask(
    "SELECT session_id FROM sessions WHERE connection IN ('lab', 'open') ORDER BY commands DESC LIMIT 6",
  );
  expect(sessions.length).toBeGreaterThan(0);
  for (const { session_id: sessionId } of sessions) {
    const stream = api.audit.replay({ sessionId: String(sessionId), fromSeq: 0 }, bearer(reader.token));
    for await (const item of items(stream)) {
      const text = JSON.stringify(item, (_, value: unknown) =>
        isBytes(value) ? Buffer.from(value.data).toString("latin1") : value,
      );
      expect(marks.inBytes(Buffer.from(text)).map(told)).toEqual([]);
    }
  }
});

const isBytes = (value: unknown): value is { data: number[] } =>
  typeof value === "object" && value !== null && (value as { type?: unknown }).type === "Buffer";

/** Milliseconds, microseconds and nanoseconds since 1970, in which digits of a marked number stand by chance. */
const CLOCKS = /\b1\d{12}(?:\d{3}){0,2}\b/g;

test("no metric, trace or service's log has one", async () => {
  const marks = hiddenFrom("security");
  for (const service of SERVICE_NAMES) {
    const text = await (await fetch(`http://127.0.0.1:${gateway.ports.metrics[service]}/metrics`)).text();
    expect(text.length).toBeGreaterThan(100);
    expect(marks.inBytes(Buffer.from(text)).map((find) => `${service}: ${told(find)}`)).toEqual([]);
  }
  const files = readdirSync(gateway.logs).map((file) => join(gateway.logs, file));
  for (const file of [...files, gateway.traces]) {
    const finds = marks.inBytes(Buffer.from(readFileSync(file, "utf8").replace(CLOCKS, "")));
    expect(finds.map((find) => `${file}: ${told(find)}`)).toEqual([]);
  }
});
