/**
 * CPU time of processes with everything that they started. A child that has ended counts in its parent once that has
 * waited for it, so nothing is lost between two looks.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { parseProcStat, type ProcStat } from "./proc-stat.ts";
import { median } from "./statistics.ts";

/** A process of a contender. Several of one name are added up. */
export interface NamedProcess {
  readonly name: string;
  readonly pid: number;
}

/** Seconds of CPU by process name. */
export type CpuSeconds = ReadonlyMap<string, number>;

/** Name under which the benchmark's own ended children (pgbench, the row reader) are counted. */
export const CLIENT = "client";

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** What the processes have used since they began, and what clients have that this process waited for. */
export function cpuOf(processes: readonly NamedProcess[]): CpuSeconds {
  const all = readAll();
  const children = Map.groupBy(all.values(), (stat) => stat.parent);
  const ticks = (pid: number): number => {
    const stat = all.get(pid);
    if (stat === undefined) return 0;
    let sum = stat.user + stat.system + stat.childUser + stat.childSystem;
    for (const child of children.get(pid) ?? []) sum += ticks(child.pid);
    return sum;
  };
  const seconds = new Map<string, number>();
  for (const { name, pid } of processes) seconds.set(name, (seconds.get(name) ?? 0) + ticks(pid) / ticksPerSecond);
  const self = all.get(process.pid);
  if (self !== undefined) seconds.set(CLIENT, (self.childUser + self.childSystem) / ticksPerSecond);
  return seconds;
}

export function cpuBetween(before: CpuSeconds, after: CpuSeconds): CpuSeconds {
  return new Map([...after].map(([name, seconds]) => [name, Math.max(0, seconds - (before.get(name) ?? 0))]));
}

/** Tells when processes do no more than they always do. */
export interface Quiet {
  /**
   * Waits until they use little more than when idle: what one measurement left to do (the log follows the data path) must
   * not burden the next. False when they are still busy after `deadlineMs`.
   */
  wait(deadlineMs: number): Promise<boolean>;
}

const WINDOW_MS = 250;
/** Of a core, over what was seen idle. */
const SLACK = 0.08;

/** Looks for a few seconds how little they use: services that prove their leases are never quite still. */
export async function learnQuiet(processes: () => readonly NamedProcess[]): Promise<Quiet> {
  const used = async (): Promise<number> => {
    const [before, started] = [total(processes()), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, WINDOW_MS));
    return (total(processes()) - before) / ((performance.now() - started) / 1000);
  };
  const windows: number[] = [];
  for (let i = 0; i < 16; i++) windows.push(await used());
  const idle = median(windows);
  return {
    async wait(deadlineMs) {
      const deadline = performance.now() + deadlineMs;
      while (performance.now() < deadline) {
        // two windows, so that a pause between two inserts does not count
        if ((await used()) <= idle + SLACK && (await used()) <= idle + SLACK) return true;
      }
      return false;
    },
  };
}

function total(processes: readonly NamedProcess[]): number {
  let sum = 0;
  for (const [name, seconds] of cpuOf(processes)) if (name !== CLIENT) sum += seconds;
  return sum;
}

function readAll(): Map<number, ProcStat> {
  const stats = new Map<number, ProcStat>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = read(Number(entry));
    if (stat !== undefined) stats.set(stat.pid, stat);
  }
  return stats;
}

function read(pid: number): ProcStat | undefined {
  try {
    return parseProcStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined; // ended meanwhile
  }
}
