import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, inject, test } from "vitest";
import { run } from "../harness/clients.ts";

/** Every command in a block of the README that is marked `sh try` works as it stands, on this test's gateway. */

const gateway = inject("gateway");
const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");
const commands = [...readme.matchAll(/```sh try\n([\s\S]*?)```/g)].flatMap(([, block]) =>
  block!.split("\n").filter((line) => line.trim() !== ""),
);

test("the README has commands to try", () => {
  expect(commands.length).toBeGreaterThan(4);
});

test.each(commands)("%s", async (command) => {
  const here = command
    .replaceAll("port=15432", `port=${gateway.ports.edgePostgres}`)
    .replaceAll(".sallyport/", `${gateway.stateDir}/`);
  const result = await run("bash", ["-c", `cd ${JSON.stringify(root)} && ${here}`], {
    env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1", PAGER: "cat" },
  });
  expect(result.err).not.toMatch(/error/i);
  expect(result.code).toBe(0);
  expect(result.out.trim()).not.toBe("");
});
