import { setTimeout as delay } from "node:timers/promises";
import { AppError, type EventFollower, leaseMs } from "@sallyport/runtime";

const WAIT_MS = 1_000;
const STEP_MS = 10;
const FOLD_MS = 2_000;

/** What the directory knows, and whether that is all there is (invariant I7: who cannot see withdrawals lets nobody in). */
export class Freshness {
  readonly #follower: EventFollower;

  constructor(follower: EventFollower) {
    this.#follower = follower;
  }

  asOf(): number {
    return this.#follower.seq();
  }

  /** Waits a little for a proof of freshness; throws `unavailable` without one. Costs nothing when there is one. */
  async require(): Promise<void> {
    for (let waited = 0; performance.now() >= this.#follower.freshUntil(); waited += STEP_MS) {
      if (waited >= WAIT_MS) {
        throw new AppError("unavailable", "identity.fresh", "the latest withdrawals cannot be seen; nobody is let in");
      }
      await delay(STEP_MS);
    }
  }

  /**
   * Until a proof that was begun after now: then everything that was acknowledged before the call is folded, whichever
   * process published it. Gives up after `FOLD_MS`.
   */
  async everythingBeforeNow(): Promise<void> {
    const asked = performance.now();
    for (let waited = 0; this.#follower.freshUntil() < asked + leaseMs && waited < FOLD_MS; waited += STEP_MS) {
      await delay(STEP_MS);
    }
  }

  /** Until the own directory has folded an event that was just acknowledged. */
  folded = async (seq: number): Promise<void> => {
    if (await this.#follower.waitFor(seq, FOLD_MS)) return;
    throw new AppError("unavailable", "identity.fold", "the event was stored, but has not come back yet");
  };
}
