import { expect, test } from "vitest";
import { hold } from "../testing/people.ts";
import { filled, type Voice } from "./quorum.ts";

const voice = (approver: string, ...policyIds: string[]): Voice => ({ approver, policyIds });

test.each([
  ["nobody yet", [hold("a", "dba")], [], 0, 1],
  ["one is enough", [hold("a", "dba")], [voice("x", "a")], 1, 1],
  ["a quorum of two", [hold("a", "dba", 2)], [voice("x", "a")], 1, 2],
  [
    "holds of one group are lifted together",
    [hold("a", "dba"), hold("b", "dba", 2)],
    [voice("x", "a", "b"), voice("y", "a", "b")],
    2,
    2,
  ],
  ["one person in two groups speaks for one", [hold("a", "dba"), hold("b", "security")], [voice("x", "a", "b")], 1, 2],
  [
    "... whichever helps, though it came first",
    [hold("a", "dba"), hold("b", "security")],
    [voice("x", "a", "b"), voice("y", "a")],
    2,
    2,
  ],
  [
    "a chain of moves",
    [hold("a", "g1"), hold("b", "g2"), hold("c", "g3")],
    [voice("x", "a", "b"), voice("y", "b", "c"), voice("z", "a")],
    3,
    3,
  ],
  ["too many of one group", [hold("a", "dba"), hold("b", "security")], [voice("x", "a"), voice("y", "a")], 1, 2],
  ["a quorum of 0 is one", [hold("a", "dba", 0)], [], 0, 1],
  ["voices for unknown holds", [hold("a", "dba")], [voice("x", "z")], 0, 1],
])("%s", (_, holds, voices, seats, needed) => {
  expect(filled(holds, voices)).toEqual({ filled: seats, needed });
});
