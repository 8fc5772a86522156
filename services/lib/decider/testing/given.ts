/** Given-when-then for deciders: `given(decider, facts).when(command).then(facts)` or `.thenRefused(code, /message/)`. */
import { deepStrictEqual, match, ok } from "node:assert/strict";
import type { ErrorCode } from "@sallyport/runtime";
import { Event } from "@sallyport/proto/event";
import type { Decider, Decision, Fact, Refusal } from "../src/decider.ts";

/** A fact, or a whole event where its time or cause matters. */
export type Given = Fact | { fact: Fact; atMs?: number; cause?: string };

export interface Outcome {
  /** Exactly these facts in this order, or this refusal. */
  then(expected: readonly Fact[] | Refusal): void;
  thenRefused(code: ErrorCode, message?: RegExp): void;
  decision: Decision;
}

export interface Prepared<State, Command> {
  state: State;
  when(command: Command): Outcome;
}

export function given<State, Command>(
  decider: Decider<State, Command>,
  facts: readonly Given[],
): Prepared<State, Command> {
  const state = facts.map(eventOf).reduce((folded, event) => decider.evolve(folded, event), decider.initial());
  return {
    state,
    when: (command) => {
      const decision = decider.decide(command, state);
      return {
        decision,
        // oxlint-disable-next-line unicorn/no-thenable -- it reads as given, when, then, and nobody awaits it
        then: (expected) =>
          deepStrictEqual(decision, "kind" in expected ? expected : { kind: "events", events: expected }),
        thenRefused: (code, message) => {
          ok(decision.kind === "refused", `expected a refusal, got ${JSON.stringify(decision)}`);
          deepStrictEqual(decision.code, code);
          if (message) match(decision.message, message);
        },
      };
    },
  };
}

function eventOf(item: Given, index: number): Event {
  const { fact, atMs = 0, cause = "" } = "fact" in item ? item : { fact: item };
  return { ...Event.fromPartial({ id: `given-${index + 1}`, version: index + 1, atMs, cause }), fact };
}
