import type { Transform } from "@sallyport/proto/catalog_model";
import { expect, test } from "vitest";
import { DETECTORS, type DetectorName } from "../detect/find.ts";
import type { CellTransform } from "../plan/executable-plan.ts";
import { KeyedHash } from "../transform/keyed-hash.ts";
import { detectorSet } from "./detector-set.ts";
import { cellMask, type CellTools } from "./mask-cell.ts";

const tools: CellTools = {
  find: detectorSet(["US", "CH", "DE", "GB"]),
  hash: new KeyedHash(Buffer.alloc(32, 7)),
  maxScanBytes: 1024 * 1024,
};
const email: Transform = {
  kind: { $case: "partial", value: { keepFirst: 1, keepLast: 0, mask: "", keepSeparators: true } },
};
const card: Transform = {
  kind: { $case: "partial", value: { keepFirst: 0, keepLast: 4, mask: "", keepSeparators: true } },
};

function scan(more: Partial<CellTransform & { kind: "scan" }> = {}): CellTransform & { kind: "scan" } {
  return {
    kind: "scan",
    value: "text",
    wanted: DETECTORS,
    revealed: [],
    transforms: { email, "payment-card": card },
    ...more,
  };
}
function mask(cell: Buffer | string, transform: CellTransform = scan(), used = tools): string {
  const work = cellMask(transform, "orders", used)(Buffer.from(cell));
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value.toString("utf8");
}

test.each<[string, string]>([
  [
    "Prefers mail to ada1@example.org, paid with card 4000000000316762",
    "Prefers mail to a***@*******.***, paid with card ************6762",
  ],
  ["New card 4000 0000 0031 6762 from May.", "New card **** **** **** 6762 from May."],
  ["Call back after six.", "Call back after six."],
  ["", ""],
  ["call +41 44 668 18 00 or 756.9217.0769.85", "call [phone] or [national-id]"],
  ["DE89370400440532013000", "[iban]"],
  ["key AKIAIOSFODNN7EXAMPLE.", "key [access-key]."],
  ["postgres://bob@example.com:pw123456@db/x", "postgres://[access-key]@db/x"],
  ["ümlaut ada@example.com ümlaut", "ümlaut a**@*******.*** ümlaut"],
  ["４１１１ １１１１ １１１１ １１１１", "**** **** **** １１１１"],
])("text %j", (text, masked) => {
  expect(mask(text)).toBe(masked);
});

test("a find of a class that the principal may see stays, and does not count as another", () => {
  expect(mask("ada@example.com 4111 1111 1111 1111", scan({ revealed: ["payment-card"] }))).toBe(
    "a**@*******.*** 4111 1111 1111 1111",
  );
  expect(mask("ada@example.com 079 123 45 67", scan({ revealed: ["email"] }))).toBe("ada@example.com [phone]");
});

test("where finds overlap, the strictest class decides and nothing of either remains", () => {
  // an address whose local part is a card number: e-mail's transform would keep a digit, the card's four
  expect(mask("4111111111111111@example.com")).toBe("4***************@*******.***");
  const redact: Transform = { kind: { $case: "redact", value: { replacement: "" } } };
  expect(mask("4111111111111111@example.com", scan({ transforms: { email, "payment-card": redact } }))).toBe(
    "[payment-card]",
  );
});

test("every transform applies to finds; none is applied to a find without a class", () => {
  const transforms = (kind: Transform["kind"]): Partial<Record<DetectorName, Transform>> => ({ email: { kind } });
  const masked = (kind: Transform["kind"]): string =>
    mask("to ada@example.com!", scan({ transforms: transforms(kind) }));
  expect(masked({ $case: "redact", value: { replacement: "<gone>" } })).toBe("to <gone>!");
  expect(masked({ $case: "nullify", value: {} })).toBe("to [email]!");
  expect(masked({ $case: "hash", value: { prefix: "em_" } })).toMatch(/^to em_[0-9a-f]{32}!$/);
  expect(mask("to ada@example.com!", scan({ transforms: {} }))).toBe("to [email]!");
});

test("only the wanted detectors look", () => {
  expect(mask("ada@example.com 4111111111111111", scan({ wanted: ["payment-card"] }))).toBe(
    "ada@example.com ************1111",
  );
});

test("JSON stays JSON, and what is not changed stays as it was", () => {
  const json =
    '{"mail": "ada@example.com", "n": 4111111111111111, "deep": [1.50, {"4111 1111 1111 1111": null}], "big": 12345678901234567890}';
  const masked = mask(json, scan({ value: "json" }));
  expect(JSON.parse(masked)).toMatchObject({
    mail: "a**@*******.***",
    n: "************1111",
    deep: [1.5, { "**** **** **** 1111": null }],
  });
  expect(masked).toContain("1.50");
  expect(masked).toContain("12345678901234567890");
  const escaped = '"ada\\u0040example.com"';
  expect(JSON.parse(mask(escaped, scan({ value: "json" })))).toBe("a**@*******.***");
  expect(mask(`\u0001${json}`, scan({ value: "jsonb-binary" }))).toBe(`\u0001${masked}`);
  expect(mask('"open', scan({ value: "json" }))).toBe('"[redacted]"');
  expect(mask("\u0002{}", scan({ value: "jsonb-binary" }))).toBe('\u0001"[redacted]"');
});

test("XML stays XML", () => {
  const redact: Transform = { kind: { $case: "redact", value: { replacement: "<x>" } } };
  expect(mask("<a>ada@example.com</a>", scan({ value: "xml", transforms: { email: redact } }))).toBe(
    "<a>&lt;x&gt;</a>",
  );
});

test("what is not UTF-8 is redacted whole", () => {
  expect(mask(Buffer.from([0x61, 0xff, 0x40]))).toBe("[redacted]");
});

test("long cells: everything is looked at, across windows, or not passed", () => {
  const filler = "lorem ipsum ".repeat(15_000);
  for (const gap of [0, 1, 5, 120, 131_000, 131_072 - 8, 131_072 - 8_192 - 8]) {
    const text = `${"x".repeat(gap)} ada@example.com ${filler} 4111 1111 1111 1111 ${filler} bob@example.com`;
    const masked = mask(text);
    expect(masked).not.toMatch(/ada@|bob@|4111/);
    expect(masked).toContain(filler);
  }
});

test("a find longer than a window takes the rest with it", () => {
  const text = `before -----BEGIN RSA PRIVATE KEY-----\n${"QUJD\n".repeat(60_000)}-----END RSA PRIVATE KEY----- after`;
  const masked = mask(text);
  expect(masked).not.toContain("QUJD");
  expect(masked.startsWith("before [")).toBe(true);
  expect(masked).toMatch(/\d+ characters not scanned/);
});

test("beyond the bound nothing passes unseen", () => {
  const bounded = { ...tools, maxScanBytes: 64 * 1024 };
  const masked = mask(`${"é".repeat(40_000)} ada@example.com`, scan(), bounded);
  expect(masked).not.toContain("ada@");
  expect(masked).toMatch(/^é+\n\[redacted: \d+ characters not scanned\]$/);
  expect(JSON.parse(mask(JSON.stringify(["x".repeat(70_000)]), scan({ value: "json" }), bounded))).toMatch(
    /not scanned/,
  );
});

test("a planted value never survives, wherever it stands", () => {
  const random = randomFrom(11);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  const words = [
    "lorem",
    "42",
    "a@",
    "–",
    "\n",
    "(",
    ")",
    "2024-01-15",
    "«»",
    "😀",
    "key:",
    "..",
    "4111",
    "+",
    "é",
    "x_y",
    "\t",
    "0.5",
  ];
  const planted = [
    "ada.lovelace@example.com",
    "4000000000316762",
    "4111 1111 1111 1111",
    "+41 44 668 18 00",
    "CH93 0076 2011 6238 5295 7",
    "756.9217.0769.85",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2",
  ];
  for (let i = 0; i < 1_000; i++) {
    const value = pick(planted);
    const before = Array.from({ length: random(6) }, () => pick(words));
    const after = Array.from({ length: random(6) }, () => pick(words));
    const text = [...before, value, ...after].join(" ");
    expect(mask(text), text).not.toContain(value);
    const json = JSON.stringify({ [pick(words)]: [text] });
    expect(mask(json, scan({ value: "json" })), text).not.toContain(value);
    expect(() => JSON.parse(mask(json, scan({ value: "json" }))) as unknown).not.toThrow();
  }
}, 30_000);

function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("equal values have equal tokens, whatever the format", () => {
  const token = (value: "text" | "json" | "jsonb-binary", cell: string): string =>
    mask(cell, { kind: "hash", value, prefix: "em_" });
  expect(token("text", "a@b.c")).toBe(token("text", "a@b.c"));
  expect(token("text", "a@b.c")).not.toBe(token("text", "b@b.c"));
  expect(token("jsonb-binary", '\u0001"a@b.c"')).toBe(`\u0001${token("json", '"a@b.c"')}`);
});
