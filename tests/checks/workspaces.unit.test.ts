/** `turbo boundaries` holds a workspace only to the rules of its tag: one without a tag would be free to import anything. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const patterns = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { workspaces: string[] }).workspaces;
const workspaces = patterns.flatMap((pattern) => globSync(`${pattern}/package.json`, { cwd: root })).map(dirname);

function tagOf(folder: string): string {
  if (folder === "services/lib/runtime") return "runtime";
  if (folder.startsWith("services/lib/")) return "lib";
  if (folder.startsWith("services/")) return "service";
  return folder.split("/")[0] ?? "";
}

test.each(workspaces)("%s carries the tag of its place", (folder) => {
  const { tags } = JSON.parse(readFileSync(join(root, folder, "turbo.json"), "utf8")) as { tags: string[] };
  expect(tags).toEqual([tagOf(folder)]);
});

test.each(workspaces)("%s has its types checked", (folder) => {
  const { scripts } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as {
    scripts?: Record<string, string>;
  };
  expect(scripts?.["types"]).toBe("tsc -p .");
});
