import { readFileSync } from "node:fs";
import type { PartialTransform } from "@sallyport/proto/catalog_model";
import { expect, test } from "vitest";
import { asValueOf, JSONB_VERSION, valueKind } from "../plan/value-type.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { partialText } from "./partial.ts";

/** The vectors are published: edges are tested with the same. */
function vectors(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), "utf8"));
}
const counts = (point: string): boolean => /[A-Za-z0-9]|[^ -~\t]/u.test(point);

const partial = vectors("partial") as { name: string; transform: PartialTransform; value: string; masked: string }[];
test.each(partial)("partial: $name", ({ transform, value, masked }) => {
  expect(partialText(value, transform)).toBe(masked);
});

test("partial never returns the value, and never more than half of it", () => {
  const random = randomFrom(7);
  const alphabet = [..."abcXYZ019 -.@_é\u0301😀\t\u00a0"];
  for (let i = 0; i < 20_000; i++) {
    const text = Array.from({ length: random(12) }, () => alphabet[random(alphabet.length)]!).join("");
    const transform = { keepFirst: random(4), keepLast: random(4), mask: "", keepSeparators: random(2) === 1 };
    const points = [...text];
    const masked = [...partialText(text, transform)];
    expect(masked.length).toBe(points.length);
    if (points.length === 0) continue;
    const maskable = points.filter((point) => !transform.keepSeparators || counts(point)).length;
    const shown = masked.filter(
      (point, at) => point === points[at] && (!transform.keepSeparators || counts(point)),
    ).length;
    expect(shown).toBeLessThanOrEqual(maskable / 2);
    expect(masked.join("")).not.toBe(text);
  }
});

const hash = vectors("hash") as {
  key: string;
  cases: { connection: string; prefix: string; value: string; token: string }[];
};
test.each(hash.cases)("hash of $value in $connection", ({ connection, prefix, value, token }) => {
  expect(new KeyedHash(Buffer.from(hash.key)).token(connection, prefix, Buffer.from(value))).toBe(token);
});

test("a short key is refused, without saying what it is", () => {
  expect(() => new KeyedHash(Buffer.from("hunter2"))).toThrow(/at least 32 bytes/);
  expect(() => new KeyedHash(Buffer.from("hunter2"))).not.toThrow(/hunter2/);
});

const OIDS: Record<string, number> = { text: 25, varchar: 1043, json: 114, jsonb: 3802, xml: 142 };
const redact = vectors("redact") as { name: string; type: string; binary: boolean; replacement: string; hex: string }[];
test.each(redact)("redact: $name", ({ type, binary, replacement, hex }) => {
  const kind = valueKind(OIDS[type]!, undefined, binary);
  if (kind === "other") throw new Error(type);
  const plain = { json: "[redacted]", "jsonb-binary": "[redacted]", xml: "<gone>", text: replacement }[kind];
  expect(asValueOf(kind, plain)).toBe(replacement);
  expect(Buffer.from(replacement).toString("hex")).toBe(hex);
});

test("types that hold text, and those that do not", () => {
  expect(["text", "varchar", "json", "xml"].map((type) => valueKind(OIDS[type]!, undefined, false))).toEqual([
    "text",
    "text",
    "json",
    "xml",
  ]);
  expect([
    valueKind(99_999, "citext", false),
    valueKind(99_999, "public.citext", true),
    valueKind(99_999, "mood", false),
  ]).toEqual(["text", "text", "other"]);
  expect([valueKind(20, undefined, false), valueKind(1009, undefined, false), valueKind(17, undefined, false)]).toEqual(
    ["other", "other", "other"],
  );
  expect(asValueOf("jsonb-binary", 'a"b')).toBe(`${JSONB_VERSION}"a\\"b"`);
});

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
