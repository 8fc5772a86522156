import { expect, test } from "vitest";
import { subjectMatcher } from "./subject-match.ts";

test.each([
  ["events.>", "events.a.b", true],
  ["events.>", "events", false],
  ["events.*.b", "events.a.b", true],
  ["events.*.b", "events.a.b.c", false],
  ["events.*", "events.a.b", false],
  ["events.a.b", "events.a", false],
])("%s and %s: %s", (pattern, subject, expected) => {
  expect(subjectMatcher([pattern])(subject)).toBe(expected);
  expect(subjectMatcher(["other", pattern])(subject)).toBe(expected);
});
