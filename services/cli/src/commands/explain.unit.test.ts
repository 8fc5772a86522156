import { Decided } from "@sallyport/proto/catalog";
import { DenyReason, Outcome } from "@sallyport/proto/verdict";
import { expect, test } from "vitest";
import { originsOf, placeOf, sentenceOf } from "./explain.ts";

test("a connection is named as psql takes it", () => {
  expect(placeOf("orders")).toEqual({ connection: "orders", database: "" });
  expect(placeOf("orders/archive")).toEqual({ connection: "orders", database: "archive" });
  for (const wrong of ["", "/x", "a/b/c"]) expect(() => placeOf(wrong)).toThrow(/is no connection/);
});

test.each([
  [{ origins: ["public.t.a"], exact: true, unknown: "" }, "public.t.a"],
  [{ origins: ["public.t.a", "public.t.b"], exact: false, unknown: "" }, "from public.t.a, public.t.b"],
  [{ origins: [], exact: true, unknown: "" }, ""],
  [{ origins: [], exact: false, unknown: "what f() returns" }, "unknown: what f() returns"],
  [{ origins: ["public.t.a"], exact: false, unknown: "a cast" }, "from public.t.a; unknown: a cast"],
])("origins in words: %j", (column, words) => expect(originsOf(column)).toBe(words));

test("an outcome in words; what is missing counts as a refusal", () => {
  const { OUTCOME_FORWARD, OUTCOME_HOLD, OUTCOME_DENY } = Outcome;
  const of = (decided: Partial<Decided>) => sentenceOf(Decided.fromPartial(decided));
  expect(of({ outcome: OUTCOME_FORWARD })).toBe("allowed");
  expect(of({ outcome: OUTCOME_HOLD })).toBe("held");
  expect(of({ outcome: OUTCOME_HOLD, message: "Ask." })).toBe("held: Ask.");
  expect(of({ outcome: OUTCOME_DENY, message: "No." })).toBe("refused: No.");
  expect(of({ outcome: OUTCOME_DENY, reason: DenyReason.DENY_REASON_NOT_PERMITTED })).toBe("refused: not permitted");
  expect(sentenceOf(undefined)).toMatch(/^refused/);
});
