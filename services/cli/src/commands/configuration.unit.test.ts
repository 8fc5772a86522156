import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { Change_Kind } from "@sallyport/proto/catalog";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createPrinter } from "../output.ts";
import { readFolder, show } from "./configuration.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"))));
afterEach(() => {
  rmSync(folder, { recursive: true });
  process.exitCode = undefined;
});

test("a folder that cannot be read is told in a sentence with the way out, in no system's words", () => {
  const missing = join(folder, "nosuch");
  expect(() => readFolder(missing)).toThrow(
    `${missing} cannot be read: it does not exist. Name the folder with your YAML and Cedar files with -f.`,
  );
  writeFileSync(join(folder, "a.yaml"), "x: 1");
  expect(() => readFolder(join(folder, "a.yaml"))).toThrow(/a\.yaml cannot be read: it is not a folder\./);
  expect(readFolder(folder)).toEqual([{ path: "a.yaml", text: "x: 1" }]);
});

function asJson(...given: [Parameters<typeof show>[1], Parameters<typeof show>[2]]): unknown {
  const out = new PassThrough() as unknown as NodeJS.WriteStream & PassThrough;
  const err = new PassThrough() as unknown as NodeJS.WriteStream & PassThrough;
  show({ print: createPrinter("json", out, err) }, ...given);
  return JSON.parse(String(out.read()));
}

test("as JSON a plan is one object that carries its digest, with changes or with problems", () => {
  const change = { kind: Change_Kind.KIND_ADD, what: "connection orders", detail: "" };
  expect(asJson({ changes: [change], problems: [] }, { digest: "abc" })).toEqual({
    digest: "abc",
    changes: [{ change: "add", what: "connection orders", detail: "" }],
    problems: [],
  });
  expect(process.exitCode).toBeUndefined();
  const problem = { path: "a.yaml", line: 1, column: 2, message: "no" };
  expect(asJson({ changes: [], problems: [problem] }, { digest: "" })).toEqual({
    digest: "",
    changes: [],
    problems: [problem],
  });
  expect(process.exitCode).toBe(2);
});
