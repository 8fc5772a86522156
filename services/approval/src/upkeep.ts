/** What happens without anybody asking: requests expire, and are withdrawn when their requester has lost access. */
import type { Store } from "@sallyport/decider";
import type { Logger } from "@sallyport/runtime";
import { endsAtMs, isOpen, type RequestCommand, type RequestState } from "./request.ts";
import type { Requests } from "./requests.ts";

const retryMs = 1_000;
/** setTimeout's limit is 2^31 ms; a longer wait is taken in steps. */
const longestMs = 24 * 3_600_000;

export interface UpkeepParts {
  requests: Requests;
  store: Pick<Store<RequestState, RequestCommand>, "handle">;
  log: Logger;
  now: () => number;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #running = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** Once all of EVENTS is folded: every timer is made again from what is open. */
  start(): void {
    this.#running = true;
    for (const { id } of this.#parts.requests.open()) this.look(id);
  }

  stop(): void {
    this.#running = false;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** A request has changed. Before `start` nothing is done: what is replayed may be over already. */
  look(id: string): void {
    if (!this.#running) return;
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    const known = this.#parts.requests.get(id);
    if (!known || !isOpen(known.request)) return;
    const cause = this.#parts.requests.doomed(id);
    if (cause !== undefined) return void this.#run(id, { do: "withdraw", cause });
    const wait = endsAtMs(known.request) - this.#parts.now();
    if (wait <= 0) return void this.#run(id, { do: "expire", nowMs: this.#parts.now() });
    this.#arm(id, Math.min(wait, longestMs));
  }

  #arm(id: string, ms: number): void {
    this.#timers.set(
      id,
      setTimeout(() => this.look(id), ms),
    );
  }

  async #run(id: string, command: RequestCommand): Promise<void> {
    try {
      // A refusal means that somebody was faster, or that clocks differ by a moment: the event that comes says which.
      const handled = await this.#parts.store.handle(id, command, { cause: "" });
      if (handled.kind === "done") return;
    } catch (error) {
      this.#parts.log.warn({ err: error, approval: id }, "cannot end a request yet");
    }
    if (this.#running) this.#arm(id, retryMs);
  }
}
