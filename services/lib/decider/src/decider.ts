import type { ErrorCode } from "@sallyport/runtime";
import type { Event } from "@sallyport/proto/event";

/** A past-tense fact, as it stands in an Event. */
export type Fact = NonNullable<Event["fact"]>;

export type Decision = { kind: "events"; events: readonly Fact[] } | Refusal;
export interface Refusal {
  kind: "refused";
  code: ErrorCode;
  /** a sentence that the caller may read */
  message: string;
}

/**
 * One kind of aggregate. `decide` and `evolve` are pure: no clock, no randomness, no look elsewhere; what they need is in
 * the command. Several facts of one decision are published one after the other, each guarded: a crash in between leaves
 * the first ones, so each must be true by itself.
 */
export interface Decider<State, Command> {
  initial(): State;
  decide(command: Command, state: State): Decision;
  evolve(state: State, event: Event): State;
}

export const events = (...facts: Fact[]): Decision => ({ kind: "events", events: facts });
export const refuse = (code: ErrorCode, message: string): Refusal => ({ kind: "refused", code, message });
