/**
 * Fair turns for work that is done in steps: every job gets a few milliseconds, then the next one, then the event loop.
 * So one session's 4 MiB cell delays another's e-mail address by a turn, not by itself.
 */
export class Turns {
  readonly #sliceMs: number;
  readonly #jobs: Job[] = [];
  #running = false;

  constructor(sliceMs = 4) {
    this.#sliceMs = sliceMs;
  }

  /** Resolves to what the generator returns; rejects with what it throws. */
  run<T>(work: Generator<void, T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({
        step: (until) => {
          try {
            do {
              const result = work.next();
              if (result.done) {
                resolve(result.value);
                return true;
              }
            } while (performance.now() < until);
            return false;
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
            return true;
          }
        },
      });
      if (!this.#running) this.#turn();
    });
  }

  #turn(): void {
    this.#running = true;
    const until = performance.now() + this.#sliceMs;
    for (let job = this.#jobs.shift(); job; job = this.#jobs.shift()) {
      if (!job.step(until)) this.#jobs.push(job);
      if (performance.now() >= until) break;
    }
    if (this.#jobs.length > 0) setImmediate(() => this.#turn());
    else this.#running = false;
  }
}

interface Job {
  /** Works until the time is up; true when done. */
  step(until: number): boolean;
}
