/** What is in the log of each stream, as far as this process has put or found it there. */
export class Progress {
  readonly #sequences = new Map<string, number>();
  #busTimeUs = 0;

  /** Everything up to `sequence` is in the table. */
  reached(stream: string, sequence: number, busTimeUs: number): void {
    this.#sequences.set(stream, sequence);
    this.#busTimeUs = Math.max(this.#busTimeUs, busTimeUs);
  }

  committed(stream: string): number {
    return this.#sequences.get(stream) ?? 0;
  }

  /** Age of the newest message in the log, ms. Meaningful while others wait. */
  lagMs(nowMs: number): number {
    return this.#busTimeUs === 0 ? 0 : Math.max(0, Math.round(nowMs - this.#busTimeUs / 1000));
  }
}
