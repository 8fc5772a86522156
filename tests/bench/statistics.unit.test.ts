import { expect, test } from "vitest";
import { inTurns, median, percentile } from "./statistics.ts";

test("median and percentile", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(percentile(hundred, 99)).toBe(99);
  expect(percentile(hundred, 50)).toBe(50);
  expect(percentile([7], 99)).toBe(7);
});

test("in turns, not one after the other", async () => {
  const order: string[] = [];
  const results = await inTurns(2, ["A", "B"], async (name, round) => {
    order.push(`${name}${round}`);
    return round;
  });
  expect(order).toEqual(["A0", "B0", "A1", "B1"]);
  expect(results.get("B")).toEqual([0, 1]);
});
