interface Waiter {
  seq: number;
  settle(reached: boolean): void;
}

/** Those who wait until a sequence has been folded, or a time has been proven. */
export class SequenceWaiters {
  readonly #waiting = new Set<Waiter>();

  wait(seq: number, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => waiter.settle(false), deadlineMs);
      const waiter: Waiter = {
        seq,
        settle: (reached) => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          resolve(reached);
        },
      };
      this.#waiting.add(waiter);
    });
  }

  reached(seq: number): void {
    for (const waiter of this.#waiting) if (waiter.seq <= seq) waiter.settle(true);
  }

  cancel(): void {
    for (const waiter of this.#waiting) waiter.settle(false);
  }
}
