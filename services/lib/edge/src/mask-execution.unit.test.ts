import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { PartialTransform } from "@sallyport/proto/catalog_model";
import { ColumnPlan, ColumnPlan_Action } from "@sallyport/proto/masking";
import { type CellOutput, executionOf } from "./mask-execution.ts";

/** Too small at first, so that it has to grow. */
class GrowingOutput implements CellOutput {
  bytes: Buffer;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  reserve(length: number): void {
    const needed = this.at + length;
    if (needed <= this.bytes.length) return;
    const bytes = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(bytes, 0, 0, this.at);
    this.bytes = bytes;
  }
}

/** The whole cell, in the middle of a larger source, into the middle of a small output that must grow. */
function run(plan: Partial<ColumnPlan>, value: string | Buffer): string | null | Buffer {
  const execution = executionOf(ColumnPlan.fromPartial(plan));
  if (execution.kind !== "local") throw new Error(execution.kind);
  const cell = Buffer.from(value as string);
  const source = Buffer.concat([Buffer.from("<<"), cell, Buffer.from(">>")]);
  const out = new GrowingOutput(4);
  out.reserve(3);
  out.bytes.write("abc", 0);
  out.at = 3;
  const length = execution.transform(source, 2, 2 + cell.length, out);
  expect(source.equals(Buffer.concat([Buffer.from("<<"), cell, Buffer.from(">>")]))).toBe(true);
  expect(out.bytes.toString("latin1", 0, 3)).toBe("abc");
  if (length < 0) {
    expect(out.at).toBe(3);
    return null;
  }
  expect(out.at).toBe(3 + length);
  return out.bytes.toString("utf8", 3, out.at);
}

const partial = (keepFirst: number, keepLast: number, mask = "", keepSeparators = false): Partial<ColumnPlan> => ({
  action: ColumnPlan_Action.ACTION_PARTIAL,
  partial: { keepFirst, keepLast, mask, keepSeparators },
});

test("pass, hash and scan are not executed here", () => {
  const kind = (action: ColumnPlan_Action): string => executionOf(ColumnPlan.fromPartial({ action })).kind;
  expect(kind(ColumnPlan_Action.ACTION_PASS)).toBe("pass");
  expect(kind(ColumnPlan_Action.ACTION_HASH)).toBe("remote");
  expect(kind(ColumnPlan_Action.ACTION_SCAN)).toBe("remote");
});

test("what is not understood is NULL", () => {
  expect(run({ action: ColumnPlan_Action.ACTION_UNSPECIFIED }, "secret")).toBeNull();
  expect(run({ action: 99 as ColumnPlan_Action }, "secret")).toBeNull();
  expect(run({ action: ColumnPlan_Action.ACTION_PARTIAL }, "secret")).toBeNull();
  expect(run({ action: ColumnPlan_Action.ACTION_NULL }, "secret")).toBeNull();
});

test("redact", () => {
  expect(run({ action: ColumnPlan_Action.ACTION_REDACT }, "secret")).toBe("[redacted]");
  expect(run({ action: ColumnPlan_Action.ACTION_REDACT, redact: { replacement: "—" } }, "")).toBe("—");
});

test("partial keeps code points, not bytes", () => {
  expect(run(partial(0, 4, "", true), "4111-1111-1111-1111")).toBe("****-****-****-1111");
  expect(run(partial(1, 0), "engineer@example.org")).toBe(`e${"*".repeat(19)}`);
  expect(run(partial(1, 1), "Grüße")).toBe("G***e");
  expect(run(partial(1, 1, "·"), "日本語です")).toBe("日···す");
  expect(run(partial(2, 2, "🙈"), "🙂a🙂b🙂c🙂d")).toBe("🙂a🙈🙈🙈🙈🙂d");
});

test("partial gives short values away by nothing", () => {
  expect(run(partial(1, 1), "abcd")).toBe("a**d");
  expect(run(partial(2, 2), "abcd")).toBe("****");
  expect(run(partial(2, 2), "abc")).toBe("***");
  expect(run(partial(1, 1, "", true), "a-b")).toBe("*-*");
  expect(run(partial(4, 4), "")).toBe("");
  expect(run(partial(0, 0), "x")).toBe("*");
});

test("partial redacts what is not UTF-8", () => {
  expect(run(partial(1, 1), Buffer.from([0x61, 0xff, 0x62, 0x63, 0x64]))).toBe("[redacted]");
  expect(run(partial(1, 1), Buffer.from([0xc3]))).toBe("[redacted]");
});

// masking says what the transforms mean; both must agree to the byte
const vectors = <T>(name: string): T[] =>
  JSON.parse(readFileSync(new URL(`../../../masking/vectors/${name}.json`, import.meta.url), "utf8")) as T[];

test("masking's vectors: partial", () => {
  const all = vectors<{ name: string; transform: PartialTransform; value?: string; valueHex?: string; masked: string }>(
    "partial",
  );
  expect(all.length).toBeGreaterThan(5);
  for (const { name, transform, value, valueHex, masked } of all) {
    const cell = valueHex === undefined ? (value ?? "") : Buffer.from(valueHex, "hex");
    expect(run({ action: ColumnPlan_Action.ACTION_PARTIAL, partial: transform }, cell), name).toBe(masked);
  }
});

test("masking's vectors: redact", () => {
  const all = vectors<{ name: string; replacement: string; hex: string }>("redact");
  expect(all.length).toBeGreaterThan(3);
  for (const { name, replacement, hex } of all) {
    const out = run({ action: ColumnPlan_Action.ACTION_REDACT, redact: { replacement } }, "secret");
    expect(Buffer.from(out as string).toString("hex"), name).toBe(hex);
  }
});
