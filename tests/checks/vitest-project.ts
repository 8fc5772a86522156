/** Runs one Vitest project as a process of its own and counts from its JSON report, never from what it prints. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Tally {
  passed: number;
  failed: number;
}

export const add = (a: Tally, b: Tally): Tally => ({ passed: a.passed + b.passed, failed: a.failed + b.failed });

export interface Report {
  numTotalTests: number;
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { name: string; status: string; message: string; assertionResults: { status: string }[] }[];
}

export interface ProjectTally extends Tally {
  skipped: number;
  /** What failed without being a test: a file that did not load, a run that died, a tier without tests. */
  problems: string[];
}

/**
 * Counts a report together with the exit code. A file that does not load has no failed test in it, and an error outside
 * of any test shows in the exit code alone: each counts as one failure, so that no trouble is ever counted as nothing.
 */
export function tallyOf(report: Report | undefined, exitCode: number | null): ProjectTally {
  if (report === undefined)
    return { passed: 0, failed: 1, skipped: 0, problems: [`no report (exit code ${exitCode})`] };
  const problems = report.testResults
    .filter((file) => file.status === "failed" && !file.assertionResults.some((one) => one.status === "failed"))
    .map((file) => `${file.name}: ${file.message.split("\n")[0] ?? ""}`);
  if (report.numTotalTests === 0 && problems.length === 0) problems.push("no tests were found");
  if (exitCode !== 0 && report.numFailedTests === 0 && problems.length === 0) {
    problems.push(`an error outside of any test (exit code ${exitCode})`);
  }
  const skipped = report.numPendingTests + report.numTodoTests;
  return { passed: report.numPassedTests, failed: report.numFailedTests + problems.length, skipped, problems };
}

export async function runProject(project: string, root: string): Promise<ProjectTally> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-report-"));
  const reportFile = join(folder, "report.json");
  try {
    const exitCode = await new Promise<number | null>((resolve) => {
      const child = spawn(
        join(root, "node_modules/.bin/vitest"),
        ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`],
        { cwd: root, stdio: ["ignore", "inherit", "inherit"] },
      );
      child.on("error", () => resolve(null));
      child.on("close", resolve);
    });
    return tallyOf(await readReport(reportFile), exitCode);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function readReport(file: string): Promise<Report | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Report;
  } catch {
    return undefined;
  }
}
