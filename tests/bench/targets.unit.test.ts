import { expect, test } from "vitest";
import { judge } from "./targets.ts";

test("reached only when every case reaches it", () => {
  const ratio = { what: "a ratio", bound: { atLeast: 0.6 }, unit: "" };
  expect(judge({ ...ratio, figures: { a: 0.6, b: 0.9 } }).reached).toBe(true);
  expect(judge({ ...ratio, figures: { a: 0.59, b: 0.9 } }).reached).toBe(false);
});

test("an upper bound", () => {
  const wait = { what: "a wait", bound: { atMost: 20 }, unit: "ms" };
  expect(judge({ ...wait, figures: { "": 20 } })).toEqual({
    what: "a wait",
    wanted: "≤ 20 ms",
    measured: "20",
    reached: true,
  });
  expect(judge({ ...wait, figures: { "": 20.5 } }).reached).toBe(false);
});

test("what could not be measured is not reached", () => {
  const one = { what: "x", bound: { atLeast: 1 }, unit: "" };
  expect(judge({ ...one, figures: { a: Number.NaN } }).reached).toBe("not measured");
  expect(judge({ ...one, figures: { a: 2, b: Number.NaN } }).reached).toBe(false);
});

test("both bounds the same: exactly that", () => {
  const complete = { what: "all of them", bound: { atLeast: 1, atMost: 1 }, unit: "" };
  expect(judge({ ...complete, figures: { "": 1 } })).toMatchObject({ wanted: "= 1", reached: true });
  expect(judge({ ...complete, figures: { "": 0.999 } }).reached).toBe(false);
  expect(judge({ ...complete, figures: { "": 1.001 } }).reached).toBe(false);
});
