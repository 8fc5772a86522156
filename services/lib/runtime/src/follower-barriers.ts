/** How long one proof of freshness counts (I7: the lease is at most 500 ms). */
export const leaseMs = 500;

/** Questions asked of the stream, each waiting for its sequence to be folded. Times are `performance.now()`. */
export class Barriers {
  #open: Array<{ asked: number; last: number }> = [];
  #provenAt = Number.NEGATIVE_INFINITY;

  /** Asked at `asked`, the stream's last sequence was `last`. */
  add(asked: number, last: number): void {
    if (this.#open.length >= 16) this.#open.shift();
    this.#open.push({ asked, last });
  }

  /** Everything up to `seq` is folded. True when that proves something. */
  reached(seq: number): boolean {
    let proven = false;
    while (this.#open.length > 0 && this.#open[0]!.last <= seq) {
      this.#provenAt = Math.max(this.#provenAt, this.#open.shift()!.asked);
      proven = true;
    }
    return proven;
  }

  /** When the newest proof was asked for; nothing yet: minus infinity. */
  provenAt(): number {
    return this.#provenAt;
  }

  freshUntil(): number {
    return this.#provenAt === Number.NEGATIVE_INFINITY ? 0 : this.#provenAt + leaseMs;
  }
}
