/** Runs in a worker thread: understands one text after the other, however large or deep. */

import { parentPort } from "node:worker_threads";
import type { Understanding } from "./outline.ts";
import { loadParser } from "./parser.ts";
import { understand } from "./understand.ts";

export interface Job {
  id: number;
  text: string;
}

export type Report =
  | { kind: "ready" }
  /** `spent`: the parser ran out of stack, and this thread is not to be used again */
  | { kind: "done"; id: number; understanding: Understanding; spent: boolean };

const port = parentPort;
if (port === null) throw new Error("this module is a worker's");

const tooDeep: Understanding = { refused: "it nests too deeply" };

await loadParser();
port.on("message", ({ id, text }: Job) => {
  const attempt = understand(text, Number.POSITIVE_INFINITY);
  const spent = attempt === "exhausted";
  const understanding = attempt === "exhausted" || attempt === "too-large" ? tooDeep : attempt;
  port.postMessage({ kind: "done", id, understanding, spent } satisfies Report);
});
port.postMessage({ kind: "ready" } satisfies Report);
