/**
 * Worker threads for texts that are too large to be parsed beside everybody else's (I9): one text a thread at a time,
 * sessions in turns, a deadline for each text, a bound on what waits. A thread that misses its deadline or runs out of
 * stack is replaced.
 */

import { Worker } from "node:worker_threads";
import type { Job, Report } from "./analyser-worker.ts";
import type { Understanding } from "./outline.ts";

export interface PoolOptions {
  threads: number;
  /** ms that one text may take, once its turn has come */
  deadlineMs: number;
  /** texts that may wait, of all sessions */
  maxWaiting: number;
  /** texts that may wait, of one session */
  maxWaitingPerSession: number;
}

interface Waiting {
  text: string;
  settle: (understanding: Understanding) => void;
}

interface Thread {
  worker: Worker;
  ready: boolean;
  current: (Waiting & { id: number; timer: NodeJS.Timeout }) | undefined;
}

const REFUSED = {
  slow: "it takes too long to understand",
  failed: "it could not be analysed",
  busy: "too many large statements are being analysed; try again",
  closed: "the policy service is shutting down",
};

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #threads: Thread[] = [];
  /** session → its texts; the Map's order is the order of turns */
  readonly #waiting = new Map<string, Waiting[]>();
  #count = 0;
  #lastId = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    for (let i = 0; i < options.threads; i++) this.#start();
  }

  run(session: string, text: string): Promise<Understanding> {
    const queue = this.#waiting.get(session);
    const full = this.#count >= this.#options.maxWaiting || (queue?.length ?? 0) >= this.#options.maxWaitingPerSession;
    if (this.#closed) return Promise.resolve({ refused: REFUSED.closed });
    if (full) return Promise.resolve({ refused: REFUSED.busy });
    const { promise, resolve } = Promise.withResolvers<Understanding>();
    const waiting = { text, settle: resolve };
    if (queue === undefined) this.#waiting.set(session, [waiting]);
    else queue.push(waiting);
    this.#count++;
    this.#turn();
    return promise;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const queue of this.#waiting.values())
      for (const waiting of queue) waiting.settle({ refused: REFUSED.closed });
    this.#waiting.clear();
    await Promise.all(
      this.#threads.splice(0).map((thread) => {
        this.#settle(thread, { refused: REFUSED.closed });
        return thread.worker.terminate();
      }),
    );
  }

  #start(): void {
    const worker = new Worker(new URL("./analyser-worker.ts", import.meta.url), {
      name: "analyser",
      // A stack that the parser's recursion over texts of 1 MiB does not need: what overflows it is refused.
      resourceLimits: { stackSizeMb: 4, maxOldGenerationSizeMb: 768 },
    });
    const thread: Thread = { worker, ready: false, current: undefined };
    worker.unref();
    worker.on("message", (report: Report) => this.#hear(thread, report));
    worker.on("error", () => this.#replace(thread, REFUSED.failed));
    worker.on("exit", () => this.#replace(thread, REFUSED.failed));
    this.#threads.push(thread);
  }

  #hear(thread: Thread, report: Report): void {
    if (report.kind === "ready") thread.ready = true;
    else if (report.id === thread.current?.id) {
      this.#settle(thread, report.understanding);
      if (report.spent) this.#replace(thread, REFUSED.failed);
    }
    this.#turn();
  }

  #replace(thread: Thread, why: string): void {
    const at = this.#threads.indexOf(thread);
    if (at < 0) return;
    this.#threads.splice(at, 1);
    this.#settle(thread, { refused: why });
    void thread.worker.terminate();
    if (!this.#closed) this.#start();
  }

  #settle(thread: Thread, understanding: Understanding): void {
    const current = thread.current;
    if (current === undefined) return;
    thread.current = undefined;
    clearTimeout(current.timer);
    current.settle(understanding);
  }

  #turn(): void {
    for (const thread of this.#threads) {
      if (!thread.ready || thread.current !== undefined) continue;
      const next = this.#next();
      if (next === undefined) return;
      const id = ++this.#lastId;
      const timer = setTimeout(() => this.#replace(thread, REFUSED.slow), this.#options.deadlineMs);
      thread.current = { ...next, id, timer };
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has no origin
      thread.worker.postMessage({ id, text: next.text } satisfies Job);
    }
  }

  /** The session at the head of the turns gives one text and goes to the end. */
  #next(): Waiting | undefined {
    const first = this.#waiting.entries().next();
    if (first.done === true) return undefined;
    const [session, queue] = first.value;
    this.#waiting.delete(session);
    const next = queue.shift();
    if (queue.length > 0) this.#waiting.set(session, queue);
    if (next !== undefined) this.#count--;
    return next;
  }
}
