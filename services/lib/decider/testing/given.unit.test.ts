import { TokenRevoked } from "@sallyport/proto/event";
import { expect, test } from "vitest";
import { type Decider, events, type Fact, refuse } from "../src/decider.ts";
import { given } from "./given.ts";

const fact = (reason: string): Fact => ({
  $case: "tokenRevoked",
  value: TokenRevoked.fromPartial({ tokenId: "t", principalId: "p", reason }),
});
const decider: Decider<number, string> = {
  initial: () => 0,
  decide: (command, state) => (state > 1 ? refuse("conflict", "too many") : events(fact(command))),
  evolve: (state) => state + 1,
};

test("tells facts and refusals apart, and fails when the expectation is wrong", () => {
  given(decider, [fact("a")])
    .when("b")
    .then([fact("b")]);
  given(decider, [fact("a"), { fact: fact("b"), atMs: 3 }])
    .when("c")
    .then(refuse("conflict", "too many"));
  given(decider, [fact("a"), fact("b")])
    .when("c")
    .thenRefused("conflict", /many/);
  expect(() =>
    given(decider, [])
      .when("b")
      .then([fact("a")]),
  ).toThrow();
  expect(() => given(decider, []).when("b").then([])).toThrow();
  expect(() => given(decider, []).when("b").thenRefused("conflict")).toThrow();
  expect(() =>
    given(decider, [fact("a"), fact("b")])
      .when("c")
      .thenRefused("internal"),
  ).toThrow();
});
