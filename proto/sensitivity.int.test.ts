import { execFile } from "node:child_process";
import { appendFile, cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { type ClassifiedField, type DescriptorSet, fieldsOf } from "./sensitivity.ts";

const run = promisify(execFile);
const buf = join(import.meta.dirname, "../node_modules/.bin/buf");

async function fieldsBelow(folder: string): Promise<ClassifiedField[]> {
  const { stdout } = await run(buf, ["build", "--exclude-source-info", "-o", "-#format=json"], {
    cwd: folder,
    maxBuffer: 64 * 1024 * 1024,
  });
  return fieldsOf(JSON.parse(stdout) as DescriptorSet);
}

const unclassified = (fields: ClassifiedField[]): string[] =>
  fields.filter((field) => field.sensitivity === undefined).map((field) => field.name);

test("every field of every message says how freely its content may travel", async () => {
  const fields = await fieldsBelow(import.meta.dirname);
  expect(fields.length).toBeGreaterThan(400);
  expect(unclassified(fields)).toEqual([]);
});

test("a field that says nothing, or DATA_UNSPECIFIED, is named", async () => {
  const copy = await mkdtemp(join(tmpdir(), "sallyport-sensitivity-"));
  onTestFinished(() => rm(copy, { recursive: true }));
  await cp(join(import.meta.dirname, "buf.yaml"), join(copy, "buf.yaml"));
  await cp(join(import.meta.dirname, "sallyport"), join(copy, "sallyport"), { recursive: true });
  await appendFile(
    join(copy, "sallyport/v1/principal.proto"),
    `message Planted {
       message Inner { oneof kind { string planted_nested = 1; } }
       map<string, string> planted_map = 1;
       string planted_unspecified = 2 [(sensitivity) = DATA_UNSPECIFIED];
       string fine = 3 [(sensitivity) = DATA_SECRET];
     }`,
  );
  expect(unclassified(await fieldsBelow(copy))).toEqual([
    "sallyport.v1.Planted.planted_map",
    "sallyport.v1.Planted.planted_unspecified",
    "sallyport.v1.Planted.Inner.planted_nested",
  ]);
});
