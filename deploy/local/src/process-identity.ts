import { readFileSync } from "node:fs";

/**
 * A process beyond its number, which is used again: when it was started, and in which boot of the machine (proc(5): field 22
 * of `stat`, ticks since boot).
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly boot: string;
  readonly startedTicks: number;
}

/** Undefined: there is no such process, or it has ended and nobody has asked for its exit code. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  try {
    // The second field is the program's name in brackets, in which anything may stand.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // Its first thread may have ended while others (field 20) still hold its files and ports.
    const over = fields[0] === "Z" && Number(fields[17]) <= 1;
    if (over || fields[0] === "X") return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return { pid, boot, startedTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

/** Is it that very process that has the number now? */
export function isAlive({ pid, boot, startedTicks }: ProcessIdentity): boolean {
  const now = identityOf(pid);
  return now !== undefined && now.boot === boot && now.startedTicks === startedTicks;
}

/** The program and its arguments; empty when nobody may know. */
export function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}
