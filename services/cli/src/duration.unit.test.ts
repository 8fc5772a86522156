import { expect, test } from "vitest";
import { parseDuration } from "./duration.ts";

test("a duration is a number with its unit", () => {
  expect(["45s", "30m", "8h", "90d"].map(parseDuration)).toEqual([45, 1_800, 28_800, 7_776_000]);
});

test.each(["5", "", "0h", "-1h", "1.5h", "1h30m", "99999d", "1w", "h"])("%j is refused with the units", (text) => {
  expect(() => parseDuration(text)).toThrow(/45s, 30m, 8h or 90d/);
});
