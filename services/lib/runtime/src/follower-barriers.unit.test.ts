import { expect, test } from "vitest";
import { Barriers, leaseMs } from "./follower-barriers.ts";

test("a question proves freshness as of the time it was asked, once its sequence is folded", () => {
  const barriers = new Barriers();
  expect(barriers.freshUntil()).toBe(0);
  barriers.add(1_000, 5);
  barriers.add(1_150, 7);
  expect(barriers.reached(4)).toBe(false);
  expect(barriers.freshUntil()).toBe(0);
  expect(barriers.reached(5)).toBe(true);
  expect(barriers.freshUntil()).toBe(1_000 + leaseMs);
  expect(barriers.reached(9)).toBe(true);
  expect(barriers.freshUntil()).toBe(1_150 + leaseMs);
  expect(barriers.reached(10)).toBe(false);
});

test("questions that are never answered do not pile up", () => {
  const barriers = new Barriers();
  for (let i = 0; i < 1_000; i++) barriers.add(i, i + 1);
  barriers.reached(900);
  expect(barriers.freshUntil()).toBe(0);
});
