import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

/** The first line of its standard output that matches. Rejects when it ends before, or after `deadlineMs`. */
export function said(child: ChildProcess, pattern: RegExp, deadlineMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = "";
    const timer = setTimeout(() => reject(new Error(`not ready after ${deadlineMs} ms`)), deadlineMs);
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      const line = out.split("\n").find((one) => pattern.test(one));
      if (line === undefined || !out.includes("\n")) return;
      clearTimeout(timer);
      resolve(line);
    });
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`ended with ${signal ?? code}`));
    });
  });
}

/** Asks it to end with `signal`, and makes it after three seconds. */
export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
  await exit;
  clearTimeout(timer);
}
