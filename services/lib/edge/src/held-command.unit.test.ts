import { createHash } from "node:crypto";
import type { Parameter } from "@sallyport/proto/record";
import { NamedStatement_Kind, type ExecutedStatement } from "@sallyport/proto/verdict";
import { expect, test } from "vitest";
import { READABLE_BYTES, showUnit, type Shown } from "./held-command.ts";

const unit = (text: string, parameters: Parameter[] = []) => ({ unit: "portal", text: Buffer.from(text), parameters });
const named = (name: string, text: string): ExecutedStatement => ({
  kind: NamedStatement_Kind.KIND_PREPARED,
  name,
  text,
  normalized: "",
});
const value = (text: string, typeOid = 25): Parameter => ({ typeOid, binary: false, value: Buffer.from(text) });

function shown(of: Shown) {
  if (of.outcome !== "shown") throw new Error(of.message);
  return of;
}

test("a command is shown with its parameters, as its sender wrote them", () => {
  const { text, command } = shown(
    showUnit(
      unit("DELETE FROM orders WHERE id = $1 AND note = $2 AND at = $3 AND b = $4", [
        { typeOid: 23, binary: true, value: Buffer.from([0, 0, 0, 42]) },
        value("ünï\u202e"),
        { typeOid: 1114, binary: false, value: undefined },
        { typeOid: 0, binary: false, value: Buffer.from([0xff, 0xfe]) },
      ]),
      [],
    ),
  );
  expect(text).toContain("$4");
  expect(command.textLength).toBe(Buffer.byteLength(text));
  expect(command.parameterCount).toBe(4);
  expect(command.parameters).toMatchObject([
    { typeOid: 23, binary: true, null: false, value: "0000002a", length: 4, cut: false },
    { typeOid: 25, binary: false, value: "ünï\u202e", length: 8, cut: false },
    { typeOid: 1114, null: true, value: "", length: 0 },
    { binary: true, value: "fffe", length: 2 },
  ]);
});

test("a long value is cut in front of a character, and says so with its length and hash", () => {
  const long = `${"x".repeat(1023)}é${"y".repeat(50_000)}`;
  const { command } = shown(showUnit(unit("INSERT INTO t VALUES ($1, $2)", [value(long), value("short")]), []));
  const sha256 = createHash("sha256").update(long).digest();
  expect(command.parameters).toMatchObject([
    { value: "x".repeat(1023), length: Buffer.byteLength(long), cut: true, sha256 },
    { value: "short", cut: false },
  ]);
});

test("many values share what can be shown; how many there are is said", () => {
  const { command } = shown(
    showUnit(
      unit(
        "INSERT …",
        Array.from({ length: 3_000 }, () => value("z".repeat(1024))),
      ),
      [],
    ),
  );
  expect(command.parameterCount).toBe(3_000);
  expect(command.parameters.length).toBe(1_000);
  expect(command.parameters.reduce((sum, p) => sum + p.value.length, 0)).toBeLessThanOrEqual(64 * 1024);
  expect(command.parameters.at(-1)).toMatchObject({ value: "", length: 1024, cut: true });
});

test("the statements that it runs by their names are shown", () => {
  const { command } = shown(showUnit(unit("EXECUTE wipe(1)"), [named("wipe", "DELETE FROM orders WHERE id = $1")]));
  expect(command.executes).toMatchObject([{ name: "wipe", text: "DELETE FROM orders WHERE id = $1" }]);
});

test("what nobody can read to its end is not held: neither the text nor what it runs is ever cut", () => {
  expect(showUnit(unit("x".repeat(READABLE_BYTES)), []).outcome).toBe("shown");
  const tooLong = showUnit(unit(`DELETE FROM a -- ${"x".repeat(READABLE_BYTES)}\n; DROP TABLE b`), []);
  expect(tooLong).toMatchObject({ outcome: "unreadable" });
  expect(JSON.stringify(tooLong)).toContain("at most 65536");
  expect(JSON.stringify(tooLong)).not.toContain("DROP");
  expect(showUnit(unit("EXECUTE a"), [named("a", "y".repeat(READABLE_BYTES))]).outcome).toBe("unreadable");
});
