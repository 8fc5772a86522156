/**
 * Runs the checks and tests, every one of them whatever the others say, and ends with the line `N passed, N failed`.
 *
 *   node tests/checks/run.ts check   the fast checks and the unit tests
 *   node tests/checks/run.ts test    those, and the tests on real servers: int, e2e, faults, corpus
 *
 * A check counts as one, a test file's every test as one. Exit code 1 when anything failed or a tier ran nothing.
 */
import { join } from "node:path";
import { checks, runCheck } from "./checks.ts";
import { type Tally, add, runProject } from "./vitest-project.ts";

const root = join(import.meta.dirname, "../..");
const projects = { check: ["unit"], test: ["unit", "int", "e2e", "faults", "corpus"] } as const;

const mode = process.argv[2];
if (mode !== "check" && mode !== "test") {
  console.error("usage: node tests/checks/run.ts check|test");
  process.exit(2);
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;

let total: Tally = { passed: 0, failed: 0 };
const failures: string[] = [];

for (const check of Object.values(checks)) {
  const { ok, output, milliseconds } = await runCheck(check, root);
  console.log(`${ok ? "ok    " : "FAILED"} ${check.name} (${seconds(milliseconds)})`);
  total = add(total, ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
  if (ok) continue;
  failures.push(check.name);
  console.log(output.trimEnd().replace(/^/gm, "    "));
  if ("remedy" in check) console.log(`    → ${check.remedy}`);
}

for (const project of projects[mode]) {
  console.log(`\n── ${project} tests`);
  const tally = await runProject(project, root);
  total = add(total, tally);
  if (tally.failed > 0) failures.push(`${project} tests (${tally.failed})`);
  if (tally.skipped > 0) console.log(`note: ${tally.skipped} ${project} tests were skipped`);
  for (const problem of tally.problems) console.log(`FAILED ${project}: ${problem}`);
}

console.log(failures.length > 0 ? `\nfailed: ${failures.join(", ")}` : "");
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
