import type { ResultMask } from "@sallyport/edge";
import { expect, test } from "vitest";
import { decodeFields } from "../wire/backend.ts";
import { wholeNotice } from "./whole-notice.ts";

type Shape = { name: string; tableOid?: number; transform?: string };

const masked = (...columns: Shape[]): ResultMask =>
  ({
    classes: columns.map(({ name, tableOid = 0, transform = "null" }, index) => ({ index, name, tableOid, transform })),
  }) as unknown as ResultMask;

const said = (mask: ResultMask): Record<string, string> => {
  const notice = wholeNotice(mask);
  expect(String.fromCharCode(notice[0] as number)).toBe("N");
  expect(notice.readUInt32BE(1)).toBe(notice.length - 1);
  return Object.fromEntries(decodeFields(notice, 5, notice.length));
};

test("nothing is said of columns that pass, or that are masked by their own class", () => {
  expect(wholeNotice(masked())).toHaveLength(0);
  expect(wholeNotice(masked({ name: "a", transform: "pass" }, { name: "b", tableOid: 16_400 }))).toHaveLength(0);
});

test("one column, several, and more than anybody reads", () => {
  expect(said(masked({ name: "count" }, { name: "email", tableOid: 16_400, transform: "partial" }))).toMatchObject({
    S: "NOTICE",
    V: "NOTICE",
    C: "00000",
    M: "1 column of this result is masked whole (count): it has no origin, and the statement touches data that is hidden from you, or could.",
  });
  expect(said(masked({ name: "count" }, { name: "upper", transform: "redact" }))["M"]).toMatch(
    /^2 columns of this result are masked whole \(count, upper\): they have no origin/,
  );
  const many = Array.from({ length: 1_664 }, (_, i) => ({ name: `c${i}` }));
  expect(said(masked(...many))["M"]).toContain("(c0, c1, c2, c3, c4, c5, c6, c7 and 1656 more)");
});

test("a name does not speak to the terminal", () => {
  expect(said(masked({ name: "a\u001b[2J\r\nb\u202e" }))["M"]).toContain("(a\u{fffd}[2J\u{fffd}\u{fffd}b\u{fffd})");
});

test("the same mask, the same bytes", () => {
  const mask = masked({ name: "count" });
  expect(wholeNotice(mask)).toBe(wholeNotice(mask));
});
