import type { KnownVerdict } from "@sallyport/edge";
import { serialize } from "pg-protocol";
import type { BackendState } from "./backend-state.ts";
import type { Question } from "./command.ts";
import type { FrontendState } from "./frontend-state.ts";
import type { TargetOutbox } from "./target-outbox.ts";

/**
 * Whose turn it is on the client's side: one message at a time, and the next one waits while something is under way that it
 * depends on.
 */
export interface TurnParts {
  readonly frontend: FrontendState;
  readonly backend: BackendState<Question>;
  readonly outbox: TargetOutbox;
  /** A cancel request to the target is under way: it would end whatever runs there when it arrives. */
  cancelling(): boolean;
  /** Takes the next message. */
  resume(): void;
  /** The session ends with this. */
  broken(error: unknown): void;
}

const FLUSH = serialize.flush();

export class Turn {
  /** Something is under way that the next message has to wait for. */
  busy = false;
  /** The message at hand is to be looked at again. */
  again = false;
  ended = false;
  /** Extended-protocol messages were sent since the last Sync. */
  unsynced = false;
  /** What was sent last may be cancelled for its rows: nothing is sent behind it that the request could meet. */
  alone = false;
  readonly #parts: TurnParts;
  #onSettled: (() => void) | undefined;
  #urged = false;

  constructor(parts: TurnParts) {
    this.#parts = parts;
  }

  /** The target has answered everything, or takes COPY data. */
  get settled(): boolean {
    const { outbox, backend, frontend } = this.#parts;
    if (frontend.phase === "copy-in") return true;
    return outbox.empty && backend.waiting === 0 && !this.#parts.cancelling();
  }

  /** A command that has rows goes to the target. */
  sent({ limits }: KnownVerdict): void {
    if (limits.length > 0) this.alone = true;
  }

  /** Looks at the message at hand again once everything is answered. */
  settleThenAgain(): void {
    this.again = true;
    this.settle(() => {});
  }

  /** Waits until the target has answered everything. */
  settle(then: () => void): void {
    const { outbox, frontend } = this.#parts;
    if (this.settled) return then();
    // Without a Sync the server keeps its answers until they fill a buffer.
    if (this.unsynced) outbox.pass(FLUSH, 0, FLUSH.length, frontend.cycle);
    outbox.flush();
    this.busy = true;
    this.#onSettled = () => {
      this.busy = false;
      then();
      this.#parts.resume();
    };
  }

  /** Too many answers are awaited to read on: the server is asked for what it has, once for each crowd. */
  urge(): void {
    const { outbox, frontend } = this.#parts;
    if (this.#urged) return;
    this.#urged = true;
    if (this.unsynced) outbox.pass(FLUSH, 0, FLUSH.length, frontend.cycle);
  }

  /** There is room again. */
  relieved(): void {
    this.#urged = false;
  }

  /** Answers have come. */
  answered(): void {
    if (this.#onSettled === undefined || !this.settled) return;
    const settled = this.#onSettled;
    this.#onSettled = undefined;
    settled();
  }

  wait<T>(promise: Promise<T>, then: (value: T) => void): void {
    this.busy = true;
    promise.then(
      (value) => {
        this.busy = false;
        if (this.ended) return;
        try {
          then(value);
        } catch (error) {
          return this.break(error);
        }
        this.#parts.resume();
      },
      (error: unknown) => {
        this.busy = false;
        this.break(error);
      },
    );
  }

  break(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.#parts.broken(error);
  }
}
