import { readdirSync } from "node:fs";
import { setPriority } from "node:os";

/**
 * Gives way to the data path on small machines. On Linux a nice value belongs to a thread, and those that are started later
 * inherit it from the one that starts them: so all that are there now get it, before the engine is opened.
 *
 * @param nice -20 to 19
 */
export function giveWay(nice: number): void {
  setPriority(nice);
  if (process.platform !== "linux") return;
  for (const thread of readdirSync("/proc/self/task")) {
    try {
      setPriority(Number(thread), nice);
    } catch (error) {
      // it has ended meanwhile
      if ((error as { info?: { code?: string } }).info?.code !== "ESRCH") throw error;
    }
  }
}
