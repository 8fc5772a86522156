import { expect, test } from "vitest";
import { decodeFields } from "../wire/backend.ts";
import { mayReport, scrubReport } from "./scrub.ts";

const scrubbed = (fields: Record<string, string>, isError = true): Record<string, string> => {
  const bytes = scrubReport(new Map(Object.entries(fields)), isError);
  return Object.fromEntries(decodeFields(bytes, 5, bytes.length));
};

test("severity, SQLSTATE and position stay, every word of the target goes", () => {
  const fields = scrubbed({
    S: "FEHLER",
    V: "ERROR",
    C: "22P02",
    M: 'invalid input syntax for type integer: "emil@example.com"',
    D: "emil",
    H: "emil",
    P: "8",
    W: "emil",
    q: "emil",
    t: "emil",
  });
  expect(fields).toMatchObject({
    S: "ERROR",
    V: "ERROR",
    C: "22P02",
    P: "8",
    M: "invalid_text_representation at the target",
  });
  expect(JSON.stringify(fields)).not.toContain("emil");
});

test("a SQLSTATE that code has chosen carries nothing", () => {
  expect(scrubbed({ V: "ERROR", C: "EMILA", M: "x" })["C"]).toBe("XX000");
  expect(scrubbed({ V: "ERROR", C: "22EML", M: "x" })["C"]).toBe("22000");
  expect(scrubbed({ V: "emil", C: "22012", P: "emil" })).not.toHaveProperty("P");
  expect(scrubbed({ V: "emil", C: "00000" }, false)["V"]).toBe("NOTICE");
});

test.each([
  ["TimeZone", "Europe/Berlin", true],
  ["TimeZone", "<EMIL>0", false],
  ["DateStyle", "ISO, MDY", true],
  ["application_name", "emil@example.com", false],
  ["search_path", "emil", false],
  ["is_superuser", "off", true],
  ["my.setting", "x", false],
])("%s = %s may be reported: %s", (name, value, may) => expect(mayReport(name, value)).toBe(may));
