import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import type { BenchOptions } from "./options.ts";
import type { Target } from "./targets.ts";
import { textTable } from "./text-table.ts";

/** What one section found: rows for people, `data` for programs, targets that it judges. */
export interface SectionReport {
  readonly title: string;
  /** what the figures are and how they were taken, in a sentence or two */
  readonly note: string;
  readonly table: readonly (readonly string[])[];
  readonly data: unknown;
  readonly targets: readonly Target[];
}

export interface Report {
  readonly sections: Record<string, SectionReport>;
  /** what could not be measured, and why */
  readonly problems: string[];
}

export function printSection({ title, note, table }: SectionReport): void {
  console.log(`\n${title}\n${note}\n\n${textTable(table)}`);
}

export function printTargets({ sections, problems }: Report): void {
  const targets = Object.values(sections).flatMap((section) => section.targets);
  if (targets.length > 0) {
    const rows = targets.map(({ what, wanted, measured, reached }) => [
      reached === "not measured" ? reached : reached ? "reached" : "NOT REACHED",
      what,
      wanted,
      measured,
    ]);
    console.log(`\nTargets of the issue\n\n${textTable([["", "what", "wanted", "measured"], ...rows])}`);
  }
  for (const problem of problems) console.log(`\n! ${problem}`);
}

export function writeJson(path: string, report: Report, options: BenchOptions, startedAt: Date): void {
  const { sections, problems } = report;
  const value = {
    startedAt: startedAt.toISOString(),
    machine: machine(),
    options,
    sections: Object.fromEntries(
      Object.entries(sections).map(([name, { title, note, data }]) => [name, { title, note, ...(data as object) }]),
    ),
    targets: Object.values(sections).flatMap((section) => section.targets),
    problems,
  };
  writeFileSync(path, JSON.stringify(value, null, 2) + "\n");
}

/** On what, and with which versions: figures of different machines do not compare, ratios do. */
export function machine(): Record<string, string | number> {
  return {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? "",
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
    pgbench: version("pgbench", "--version"),
    pgbouncer: version("pgbouncer", "--version"),
    natsServer: version("nats-server", "--version"),
    commit: version("git", "rev-parse", "--short", "HEAD"),
  };
}

function version(program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0] ?? "";
  } catch {
    return "";
  }
}
