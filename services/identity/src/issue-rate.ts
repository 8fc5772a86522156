const BURST = 300;
const PER_SECOND = 5;
const MAX_KNOWN = 10_000;

/**
 * How fast one principal may have tokens issued. Each is an event that is kept for ever, so a job in a loop must not be
 * able to fill the bus. A bucket of `BURST`, refilled with `PER_SECOND`.
 */
export class IssueRate {
  readonly #now: () => number;
  readonly #buckets = new Map<string, { left: number; atMs: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** False: not now. */
  take(principalId: string): boolean {
    const now = this.#now();
    const known = this.#buckets.get(principalId) ?? { left: BURST, atMs: now };
    const left = Math.min(BURST, known.left + (Math.max(0, now - known.atMs) / 1000) * PER_SECOND);
    this.#buckets.delete(principalId);
    // The least recently used is forgotten first, and by then full again.
    if (this.#buckets.size >= MAX_KNOWN) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(principalId, { left: Math.max(0, left - 1), atMs: now });
    return left >= 1;
  }
}
