import type { ObservationProblem } from "@sallyport/proto/catalog";

export interface Observation {
  atMs: number;
  edge: string;
  /** undefined: the schema was seen */
  problem: ObservationProblem | undefined;
}

/** What edges said of targets just now, whether anything had changed or not. Kept in memory only: for who waits for it. */
export class Observations {
  readonly #waiting = new Map<string, Set<(observation: Observation) => void>>();

  came(connection: string, database: string, observation: Observation): void {
    const key = JSON.stringify([connection, database]);
    for (const resolve of this.#waiting.get(key) ?? []) resolve(observation);
  }

  /** The next one of this database; undefined: none came in time. */
  async next(
    connection: string,
    database: string,
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<Observation | undefined> {
    const key = JSON.stringify([connection, database]);
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting);
    const { promise, resolve } = Promise.withResolvers<Observation | undefined>();
    const giveUp = (): void => resolve(undefined);
    const timer = setTimeout(giveUp, deadlineMs);
    signal.addEventListener("abort", giveUp, { once: true });
    waiting.add(resolve);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(key);
    }
  }
}
