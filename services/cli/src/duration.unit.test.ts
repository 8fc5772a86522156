import { expect, test } from "vitest";
import { durationOf, parseDuration } from "./duration.ts";

test("a duration is a number with its unit", () => {
  expect(["45s", "30m", "8h", "90d"].map(parseDuration)).toEqual([45, 1_800, 28_800, 7_776_000]);
});

test("a duration is written as it is read", () => {
  expect([45, 1_800, 28_800, 5_400, 86_400, 90].map(durationOf)).toEqual(["45s", "30m", "8h", "90m", "1d", "90s"]);
});

test.each(["5", "", "0h", "-1h", "1.5h", "1h30m", "99999d", "1w", "h"])("%j is refused with the units", (text) => {
  expect(() => parseDuration(text)).toThrow(/45s, 30m, 8h or 90d/);
});
