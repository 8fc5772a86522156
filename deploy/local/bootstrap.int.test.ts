/** The bootstrap in a tree of its own, in which everything is installed and the program to start is ours. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";

const repository = join(import.meta.dirname, "../..");

async function tree(main: string, nodeVersion = process.versions.node): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "sallyport-bootstrap-"));
  onTestFinished(() => rm(root, { recursive: true }));
  const packages = { "": { name: "sallyport" } };
  const files: Record<string, string> = {
    "package.json": JSON.stringify({ type: "module", devDependencies: { node: nodeVersion } }),
    "package-lock.json": JSON.stringify({ packages }),
    "node_modules/.package-lock.json": JSON.stringify({ packages: {} }),
    "deploy/local/src/main.ts": main,
  };
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
  await cp(join(repository, "deploy/local/bootstrap.mjs"), join(root, "deploy/local/bootstrap.mjs"));
  await mkdir(join(root, "node_modules/.bin"));
  await symlink(process.execPath, join(root, "node_modules/.bin/node"));
  return root;
}

function bootstrap(root: string, ...args: string[]): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [join(root, "deploy/local/bootstrap.mjs"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
}

test("the program gets the arguments, the project's node and its folder; its exit code is the bootstrap's", async () => {
  const root = await tree(`
    console.log(JSON.stringify({ args: process.argv.slice(2), first: process.env.PATH.split(":")[0], at: process.cwd() }));
    const code: number = 7;
    process.exit(code);`);
  const child = bootstrap(root, "start", "--exit", "--fresh");
  const [[output], [code]] = await Promise.all([once(child.stdout, "data"), once(child, "close")]);
  const seen = JSON.parse(String(output)) as unknown;
  expect(seen).toEqual({ args: ["--exit", "--fresh"], first: join(root, "node_modules/.bin"), at: root });
  expect(code).toBe(7);
});

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s reaches the program, and its orderly end is waited for",
  async (signal) => {
    const root = await tree(`
    const alive = setInterval(() => {}, 1000);
    process.on("${signal}", () => {
      clearInterval(alive);
      process.exitCode = 3;
    });
    console.log("ready");`);
    const child = bootstrap(root, "start");
    await once(child.stdout, "data");
    child.kill(signal);
    expect(await once(child, "close")).toEqual([3, null]);
  },
);

test("a program that a signal ends gives 128 and the signal's number", async () => {
  const root = await tree(`process.kill(process.pid, "SIGKILL");`);
  expect(await once(bootstrap(root, "start"), "close")).toEqual([137, null]);
});

test.each([
  { what: "another version of node", args: ["start"], version: "1.2.3", says: /should be Node\.js 1\.2\.3 and is v/ },
  { what: "an unknown word", args: ["strat"], version: undefined, says: /usage: .*start\|test\|bench/ },
  { what: "a word of every object", args: ["toString"], version: undefined, says: /usage: .*start\|test\|bench/ },
])("$what is one readable message and exit code 1", async ({ args, version, says }) => {
  const child = bootstrap(await tree("", version), ...args);
  const chunks: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  expect(await once(child, "close")).toEqual([1, null]);
  const message = Buffer.concat(chunks).toString();
  expect(message).toMatch(says);
  expect(message).not.toMatch(/^\s+at /m);
});
