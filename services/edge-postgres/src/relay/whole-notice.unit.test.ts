import type { ResultMask } from "@sallyport/edge";
import { expect, test } from "vitest";
import { decodeFields } from "../wire/backend.ts";
import { wholeNotice } from "./whole-notice.ts";

const masked = (...whole: string[]): ResultMask => ({ whole }) as unknown as ResultMask;

const said = (mask: ResultMask): Record<string, string> => {
  const notice = wholeNotice(mask);
  expect(String.fromCharCode(notice[0] as number)).toBe("N");
  expect(notice.readUInt32BE(1)).toBe(notice.length - 1);
  return Object.fromEntries(decodeFields(notice, 5, notice.length));
};

test("nothing is said of columns that pass, or that are masked by their own class", () => {
  expect(wholeNotice(masked())).toHaveLength(0);
});

test("one column, several, and more than anybody reads", () => {
  expect(said(masked("count"))).toMatchObject({
    S: "NOTICE",
    V: "NOTICE",
    C: "00000",
    M: "1 column of this result is masked whole (count): it is computed from data that is hidden from you, or could be.",
  });
  expect(said(masked("count", "upper"))["M"]).toMatch(
    /^2 columns of this result are masked whole \(count, upper\): they are computed from/,
  );
  const many = Array.from({ length: 1_664 }, (_, i) => `c${i}`);
  expect(said(masked(...many))["M"]).toContain("(c0, c1, c2, c3, c4, c5, c6, c7 and 1656 more)");
});

test("a name does not speak to the terminal", () => {
  expect(said(masked("a\u001b[2J\r\nb\u202e"))["M"]).toContain("(a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd})");
});

test("the same mask, the same bytes", () => {
  const mask = masked("count");
  expect(wholeNotice(mask)).toBe(wholeNotice(mask));
});
