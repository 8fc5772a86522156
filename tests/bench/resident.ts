/** Resident memory of a process, bytes (proc(5), /proc/<pid>/status and clear_refs). */
import { readFileSync, writeFileSync } from "node:fs";

export interface Resident {
  readonly now: number;
  /** since `forgetPeak` */
  readonly peak: number;
}

export function residentOf(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return { now: field(status, "VmRSS"), peak: field(status, "VmHWM") };
}

/** The kernel's high-water mark begins anew. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

function field(status: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status);
  if (found === null) throw new Error(`no ${name} in /proc/<pid>/status`);
  return Number(found[1]) * 1024;
}
