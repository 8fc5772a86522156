/**
 * A green check that looked at nothing is worse than none. So each check of checks.ts runs, by the very command that
 * the repository is checked with, on a small tree that is fine, and again with one fault planted in it.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Check, checks, runCheck } from "./checks.ts";

const execute = promisify(execFile);
const repository = join(import.meta.dirname, "../..");

type Files = Record<string, string>;

interface Planted {
  check: Check;
  fault: string;
  /** Files that are added or replaced: the fault. `edit` instead changes a file that is there. */
  plant: Files | ((read: (file: string) => Promise<string>) => Promise<Files>);
  /** What the check has to say about it. */
  says: RegExp;
}

const manifest = (name: string, dependencies: Record<string, string> = {}): string =>
  `${JSON.stringify({ name, version: "0.1.0", private: true, type: "module", scripts: { types: "tsc -p ." }, dependencies }, null, 2)}\n`;
const tsconfig = `{ "extends": "../../tsconfig.base.json", "include": ["**/*.ts"] }\n`;
const tagged = (tag: string): string => `{ "extends": ["//"], "tags": ["${tag}"] }\n`;

/** Two services that are fine, under the repository's own configuration of every tool. */
const fine: Files = {
  "package.json": `${JSON.stringify({ name: "planted", version: "0.1.0", private: true, type: "module", packageManager: "npm@11.19.1", devDependencies: { typescript: "*" }, workspaces: ["services/*"] }, null, 2)}\n`,
  "package-lock.json": `${JSON.stringify({ name: "planted", lockfileVersion: 3, packages: { "": { name: "planted", devDependencies: { typescript: "*" }, workspaces: ["services/*"] }, "node_modules/@planted/one": { resolved: "services/one", link: true }, "node_modules/@planted/two": { resolved: "services/two", link: true }, "services/one": { name: "@planted/one", version: "0.1.0" }, "services/two": { name: "@planted/two", version: "0.1.0" } } }, null, 2)}\n`,
  "services/one/package.json": manifest("@planted/one"),
  "services/one/tsconfig.json": tsconfig,
  "services/one/turbo.json": tagged("service"),
  "services/one/src/main.ts": `import { double } from "./double.ts";\n\nconsole.log(double(21));\n`,
  "services/one/src/double.ts": `export const double = (n: number): number => 2 * n;\n`,
  "services/two/package.json": manifest("@planted/two"),
  "services/two/tsconfig.json": tsconfig,
  "services/two/turbo.json": tagged("service"),
  "services/two/src/main.ts": `console.log("two");\n`,
};

const PROTO = "proto/sallyport/v1/one.proto";
const GENERATED = "proto/gen/sallyport/v1/one.ts";
const fineProto = `syntax = "proto3";

package sallyport.v1;

message One {
  string name = 1;
}
`;

const planted: Planted[] = [
  {
    check: checks.format,
    fault: "a file that is not formatted",
    plant: { "services/one/src/double.ts": `export const double=(n:number):number=>2*n\n` },
    says: /services\/one\/src\/double\.ts/,
  },
  {
    check: checks.lint,
    fault: "a promise that nobody awaits",
    plant: {
      "services/one/src/main.ts": `async function save(): Promise<void> {\n  await Promise.resolve();\n}\n\nsave();\n`,
    },
    says: /no-floating-promises/,
  },
  {
    check: checks.lint,
    fault: "an async function where nobody waits for its promise",
    plant: {
      "services/one/src/main.ts": `process.on("exit", async () => {\n  await Promise.resolve();\n});\n`,
    },
    says: /no-misused-promises/,
  },
  {
    check: checks.lint,
    fault: "two files that import each other",
    plant: {
      "services/one/src/double.ts": `import { two } from "./two.ts";\n\nexport const double = (n: number): number => two() * n;\n`,
      "services/one/src/two.ts": `import { double } from "./double.ts";\n\nexport const two = (): number => double(1);\n`,
    },
    says: /no-cycle/,
  },
  {
    check: checks.lint,
    fault: "a switch that forgets an outcome",
    plant: {
      "services/one/src/double.ts": `export function double(outcome: "forward" | "deny"): number {\n  switch (outcome) {\n    case "deny":\n      return 1;\n  }\n  return 2;\n}\n`,
      "services/one/src/main.ts": `import { double } from "./double.ts";\n\nconsole.log(double("deny"));\n`,
    },
    says: /switch-exhaustiveness-check/,
  },
  {
    check: checks.types,
    fault: "a string where a number belongs",
    plant: { "services/one/src/main.ts": `import { double } from "./double.ts";\n\nconsole.log(double("21"));\n` },
    says: /TS2345/,
  },
  {
    check: checks.unused,
    fault: "a file that nothing imports",
    plant: { "services/one/src/forgotten.ts": `export const forgotten = 1;\n` },
    says: /Unused files \(1\)\s+services\/one\/src\/forgotten\.ts/,
  },
  {
    check: checks.unused,
    fault: "an export that nothing imports",
    plant: {
      "services/one/src/double.ts": `export const double = (n: number): number => 2 * n;\nexport const forgotten = 1;\n`,
    },
    says: /Unused exports \(1\)\s+forgotten/,
  },
  {
    check: checks.boundaries,
    fault: "a service that imports another service",
    plant: {
      "services/one/package.json": manifest("@planted/one", { "@planted/two": "*" }),
      "services/one/src/main.ts": `import "@planted/two";\n`,
    },
    says: /@planted\/one[\s\S]*@planted\/two|@planted\/two[\s\S]*@planted\/one/,
  },
  {
    check: checks.boundaries,
    fault: "an import of a file in another service's folder",
    plant: { "services/one/src/main.ts": `import "../../two/src/main.ts";\n` },
    says: /leaves the package/,
  },
  {
    check: checks.lockfile,
    fault: "a dependency that is not locked",
    plant: { "services/one/package.json": manifest("@planted/one", { zod: "^4.0.0" }) },
    says: /services\/one\/package\.json: dependencies differ from package-lock\.json/,
  },
  {
    check: checks.lockfile,
    fault: "the address of a registry",
    plant: async (read) => ({
      "package-lock.json": (await read("package-lock.json")).replace(
        "services/one",
        "https://registry.example/one.tgz",
      ),
    }),
    says: /registry\.example/,
  },
  {
    check: checks.protoFormat,
    fault: "a .proto file that is not formatted",
    plant: { [PROTO]: `syntax="proto3";\npackage sallyport.v1;\n` },
    says: /one\.proto/,
  },
  {
    check: checks.protoLint,
    fault: "a message name in the wrong case",
    plant: { [PROTO]: `${fineProto}\nmessage planted_message {}\n` },
    says: /one\.proto:9:9:Message name "planted_message" should be PascalCase/,
  },
  {
    check: checks.protoBreaking,
    fault: "a field that becomes another type",
    plant: { [PROTO]: fineProto.replace("string", "uint64") },
    says: /one\.proto:6:3:Field "1" .* changed .*type from "string" to "uint64"/,
  },
  {
    check: checks.protoBreaking,
    fault: "a field that is gone",
    plant: { [PROTO]: fineProto.replace(/^.*string.*\n/m, "") },
    says: /Previously present field "1" .* was deleted/,
  },
  {
    check: checks.protoGenerated,
    fault: "generated code that was edited by hand",
    plant: async (read) => ({ [GENERATED]: `${await read(GENERATED)}// edited\n` }),
    says: /proto\/gen\/sallyport\/v1\/one\.ts: not what its \.proto file generates/,
  },
  {
    check: checks.protoGenerated,
    fault: "a message whose code was not generated",
    plant: { [PROTO]: `${fineProto}\nmessage Planted {}\n` },
    says: /one\.ts: not what its \.proto file generates[\s\S]*baseline\.binpb: older than the \.proto files/,
  },
];

test("every check has a planted violation", () => {
  expect(Object.values(checks).filter((check) => !planted.some((one) => one.check === check))).toEqual([]);
});

/** The tree without a fault has to pass, once a check. */
const provenFine = new Map<Check, Promise<void>>();

let template: string;

beforeAll(async () => {
  template = await fineTree();
});
afterAll(() => rm(template, { recursive: true }));

test.each(planted)("$check.name: $fault", async ({ check, plant, says }) => {
  if (!provenFine.has(check)) provenFine.set(check, passesOnFineTree(check));
  await provenFine.get(check);

  const root = await copyOfTree();
  const read = (file: string): Promise<string> => readFile(join(root, file), "utf8");
  await write(root, typeof plant === "function" ? await plant(read) : plant);
  const { ok, output } = await runCheck(check, root);
  expect(output).toMatch(says);
  expect(ok).toBe(false);
});

async function passesOnFineTree(check: Check): Promise<void> {
  const { ok, output } = await runCheck(check, await copyOfTree());
  expect(ok, output).toBe(true);
}

async function copyOfTree(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "sallyport-planted-"));
  onTestFinished(() => rm(root, { recursive: true, maxRetries: 3 }));
  await cp(template, root, { recursive: true, verbatimSymlinks: true });
  return root;
}

const CONFIGURATION = [
  ".oxfmtrc.json",
  ".oxlintrc.json",
  "knip.json",
  "tsconfig.base.json",
  "turbo.json",
  "proto/buf.yaml",
  "proto/buf.gen.yaml",
];

async function fineTree(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "sallyport-fine-"));
  await write(root, { ...fine, [PROTO]: fineProto });
  await Promise.all(CONFIGURATION.map((file) => cp(join(repository, file), join(root, file))));
  await links(root);
  const bin = join(repository, "node_modules/.bin");
  const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
  const buf = (...args: string[]) => execute(join(bin, "buf"), args, { cwd: join(root, "proto"), env });
  await buf("build", "--exclude-source-info", "-o", "baseline.binpb");
  await buf("generate");
  return root;
}

/** What `npm install` would leave, without installing: the tree's own workspaces, and the repository's @types. */
async function links(root: string): Promise<void> {
  const modules = join(root, "node_modules");
  await mkdir(join(modules, "@planted"), { recursive: true });
  await symlink("../../services/one", join(modules, "@planted/one"));
  await symlink("../../services/two", join(modules, "@planted/two"));
  for (const name of ["@types", "undici-types", "typescript"]) {
    await symlink(join(repository, "node_modules", name), join(modules, name));
  }
}

async function write(root: string, files: Files): Promise<void> {
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), text);
  }
}
