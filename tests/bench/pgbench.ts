import { existsSync, readdirSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { parsePgbench, type PgbenchResult } from "./pgbench-output.ts";

export type QueryMode = "simple" | "prepared";

export interface PgbenchRun {
  /** libpq's environment of the contender */
  readonly env: Readonly<Record<string, string>>;
  readonly mode: QueryMode;
  readonly clients: number;
  readonly seconds: number;
}

/** Tries with more and more time for the logins, which pgbench takes out of the time that it is given. */
const ATTEMPTS = 4;

/** `pgbench -S` (the built-in select-only script) to its end. Rejects with what it said when it fails. */
export async function runPgbench(run: PgbenchRun): Promise<PgbenchResult> {
  let forLogins = 0;
  for (let attempt = 1; ; attempt++) {
    const result = await selectOnly(run, run.seconds + forLogins);
    if (result !== undefined && result.failed > 0) throw new Error(`${result.failed} transactions of pgbench failed`);
    const measured = run.seconds + forLogins - (result?.connecting ?? Infinity) / 1000;
    if (result !== undefined && measured >= run.seconds * 0.75) return result;
    if (attempt === ATTEMPTS) throw new Error(`pgbench had not logged in ${run.clients} clients after ${forLogins} s`);
    forLogins = result === undefined ? 3 * attempt : Math.ceil(result.connecting / 1000);
  }
}

/** Undefined: the time was up before the last client had logged in. */
async function selectOnly(run: PgbenchRun, seconds: number): Promise<PgbenchResult | undefined> {
  const jobs = Math.min(run.clients, 2);
  const args = `--no-vacuum --select-only --protocol=${run.mode} --client=${run.clients} --jobs=${jobs} --time=${seconds}`;
  const { output, code } = await pgbench(run.env, args.split(" "));
  if (code !== 0) throw new Error(`pgbench ended with ${code}:\n${output.trim()}`);
  return /^number of transactions actually processed: 0$/m.test(output) ? undefined : parsePgbench(output);
}

/** Makes and fills pgbench's tables: 100,000 accounts for each step of `scale`. */
export async function initialisePgbench(env: Readonly<Record<string, string>>, scale: number): Promise<void> {
  const { output, code } = await pgbench(env, ["--initialize", "--quiet", `--scale=${scale}`]);
  if (code !== 0) throw new Error(`pgbench --initialize ended with ${code}:\n${output.trim()}`);
}

async function pgbench(env: Readonly<Record<string, string>>, args: readonly string[]) {
  const child = spawn(program(), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { output, code };
}

/** The program itself: Debian's /usr/bin/pgbench is a Perl wrapper, whose start would be counted too. */
function program(): string {
  const versions = "/usr/lib/postgresql";
  if (!existsSync(versions)) return "pgbench";
  const found = readdirSync(versions)
    .map((version) => join(versions, version, "bin/pgbench"))
    .filter((path) => existsSync(path))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .at(-1);
  return found ?? "pgbench";
}
