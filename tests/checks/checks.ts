/**
 * The fast checks, as data: `npm run check` and `npm test` run them on the repository, planted-violations.int.test.ts
 * runs the very same commands on a small tree with one fault in it.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

const repository = join(import.meta.dirname, "../..");
const bin = join(repository, "node_modules/.bin");

export interface Check {
  name: string;
  /** Run in the root of the tree that is looked at; the program comes from the repository's own node_modules. */
  command: readonly [program: string, ...args: string[]];
  /** What a person does about findings, where a command can do it. */
  remedy?: string;
}

export const checks = {
  format: { name: "format", command: ["oxfmt", "--check"], remedy: "npm run format" },
  lint: { name: "lint", command: ["oxlint", "--deny-warnings", "--report-unused-disable-directives"] },
  types: { name: "types", command: ["turbo", "run", "types", "--continue", "--output-logs=errors-only"] },
  unused: { name: "unused (knip)", command: ["knip", "--no-progress", "--no-config-hints"] },
  boundaries: { name: "boundaries", command: ["turbo", "boundaries"] },
  lockfile: { name: "lockfile", command: ["node", join(import.meta.dirname, "lockfile.ts")], remedy: "npm install" },
  protoFormat: {
    name: "proto format",
    command: ["buf", "format", "--diff", "--exit-code", "proto"],
    remedy: "npm run format",
  },
  protoLint: { name: "proto lint", command: ["buf", "lint", "proto"] },
  protoBreaking: {
    name: "proto breaking",
    command: ["buf", "breaking", "proto", "--against", "proto/baseline.binpb"],
  },
  protoGenerated: {
    name: "proto generated",
    command: ["node", join(repository, "proto/generated-is-current.ts")],
    remedy: "npm run generate",
  },
} satisfies Record<string, Check>;

export interface Outcome {
  ok: boolean;
  /** Both streams in the order of arrival, without colours. */
  output: string;
  milliseconds: number;
}

export async function runCheck(check: Check, root: string): Promise<Outcome> {
  const started = performance.now();
  const [program, ...args] = check.command;
  const child = spawn(join(bin, program), args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      NO_COLOR: "1",
      FORCE_COLOR: undefined,
      TURBO_TELEMETRY_DISABLED: "1",
      TURBO_NO_UPDATE_NOTIFIER: "1",
      DO_NOT_TRACK: "1",
    },
  });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ok = await new Promise<boolean>((resolve) => {
    child.on("error", (error) => {
      chunks.push(Buffer.from(`${program}: ${error.message}\n`));
      resolve(false);
    });
    child.on("close", (code) => resolve(code === 0));
  });
  return { ok, output: Buffer.concat(chunks).toString(), milliseconds: performance.now() - started };
}
