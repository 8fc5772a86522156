import type { Event } from "@sallyport/proto/event";
import type { Decider } from "./decider.ts";

/** An aggregate as of a sequence in EVENTS. */
export interface Versioned<State> {
  state: State;
  /** of its last event; 0: none yet */
  seq: number;
  /** of its last event; 0: none yet */
  version: number;
}

/** States of one kind by aggregate id, oldest use dropped first past `max`. */
export class StateCache<State> {
  readonly #decider: Pick<Decider<State, never>, "initial" | "evolve">;
  readonly #max: number;
  readonly #states = new Map<string, Versioned<State>>();

  constructor(decider: Pick<Decider<State, never>, "initial" | "evolve">, max = Number.POSITIVE_INFINITY) {
    this.#decider = decider;
    this.#max = max;
  }

  get(id: string): Versioned<State> | undefined {
    return this.#states.get(id);
  }

  entries(): IterableIterator<[string, Versioned<State>]> {
    return this.#states.entries();
  }

  put(id: string, versioned: Versioned<State>): void {
    this.#states.delete(id);
    this.#states.set(id, versioned);
    if (this.#states.size > this.#max) this.#states.delete(this.#states.keys().next().value!);
  }

  /** Drops a state that nobody needs any more; it can still be loaded from the stream. */
  forget(id: string): void {
    this.#states.delete(id);
  }

  /** The next event of an aggregate. One that does not follow what is known makes it unknown, never wrong. */
  fold(id: string, event: Event, seq: number): Versioned<State> | undefined {
    const known = this.#states.get(id);
    if (known && known.seq >= seq) return known;
    const version = known?.version ?? 0;
    if (event.version !== version + 1) {
      this.#states.delete(id);
      return undefined;
    }
    const state = this.#decider.evolve(known?.state ?? this.#decider.initial(), event);
    const next = { state, seq, version: event.version };
    this.put(id, next);
    return next;
  }
}

/** The id in `Event.aggregate` (`kind/id`). */
export const aggregateId = (event: Event): string => event.aggregate.slice(event.aggregate.indexOf("/") + 1);
