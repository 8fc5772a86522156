import { expect, test } from "vitest";
import { NamedStatement_Kind } from "@sallyport/proto/verdict";
import { digestOf, type DigestPlace } from "./digest.ts";
import type { AdmissionUnit } from "./unit.ts";

const unit: AdmissionUnit = {
  unit: "portal",
  text: Buffer.from("EXECUTE wipe(1)"),
  parameters: [{ typeOid: 23, binary: false, value: Buffer.from("7") }],
  resultFormats: [0],
};
const wipe = { kind: NamedStatement_Kind.KIND_PREPARED, name: "wipe", text: "DELETE FROM a", normalized: "" };
const place: DigestPlace = {
  connection: "orders",
  database: "orders",
  context: { searchPath: ["public"], role: "app", settings: {}, named: [], schemaTouched: false },
  executes: [wipe],
};
const parameter = (change: object) => ({ ...unit, parameters: [{ ...unit.parameters![0]!, ...change }] });

test("a digest is the same for the same, and another for anything else that could have an effect", () => {
  const long = Buffer.alloc(1_000_000, "x");
  const last = Buffer.from(long);
  last[last.length - 1] = 0;
  const others: Record<string, Buffer> = {
    text: digestOf({ ...unit, text: Buffer.from("EXECUTE wipe(2)") }, place),
    "a value": digestOf(parameter({ value: Buffer.from("8") }), place),
    "a value's end": digestOf(parameter({ value: long }), place),
    "a value's last byte": digestOf(parameter({ value: last }), place),
    "no value": digestOf(parameter({ value: undefined }), place),
    "a value's format": digestOf(parameter({ binary: true }), place),
    "a value's type": digestOf(parameter({ typeOid: 25 }), place),
    "result formats": digestOf({ ...unit, resultFormats: [1] }, place),
    "what it runs": digestOf(unit, { ...place, executes: [{ ...wipe, text: "DELETE FROM b" }] }),
    "a name": digestOf(unit, { ...place, executes: [{ ...wipe, name: "wipe2" }] }),
    "a cursor": digestOf(unit, { ...place, executes: [{ ...wipe, kind: NamedStatement_Kind.KIND_CURSOR }] }),
    "one more": digestOf(unit, { ...place, executes: [wipe, wipe] }),
    nothing: digestOf(unit, { ...place, executes: [] }),
    role: digestOf(unit, { ...place, context: { ...place.context, role: "owner" } }),
    path: digestOf(unit, { ...place, context: { ...place.context, searchPath: ["archive", "public"] } }),
    database: digestOf(unit, { ...place, database: "other" }),
  };
  const all = [digestOf(unit, place), ...Object.values(others)].map((digest) => digest.toString("hex"));
  expect(new Set(all).size).toBe(all.length);
  expect(digestOf({ ...unit }, structuredClone(place))).toEqual(digestOf(unit, place));
});
