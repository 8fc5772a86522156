import { AppError, type EventFollower, leaseMs } from "@sallyport/runtime";

const WAIT_MS = 2_000;
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
    if (await this.#follower.provenSince(performance.now() - leaseMs, WAIT_MS)) return;
    throw new AppError("unavailable", "identity.fresh", "the latest withdrawals cannot be seen; nobody is let in");
  }

  /**
   * Until a proof that was begun after now: then everything that was acknowledged before the call is folded, whichever
   * process published it. Gives up after `FOLD_MS`.
   */
  async everythingBeforeNow(): Promise<void> {
    await this.#follower.provenSince(performance.now(), FOLD_MS);
  }

  /** Until the own directory has folded an event that was just acknowledged. */
  folded = async (seq: number): Promise<void> => {
    if (await this.#follower.waitFor(seq, FOLD_MS)) return;
    throw new AppError("unavailable", "identity.fold", "the event was stored, but has not come back yet");
  };
}
