import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Stack } from "../stack.ts";

/** What a client program said and how it ended. */
export interface ClientResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface PsqlOptions {
  /** User name at the gateway. */
  readonly user: string;
  /** Access or personal token, sent as the password. */
  readonly token: string;
  /** `connection` or `connection/database`. */
  readonly connection: string;
  readonly args?: readonly string[];
}

export function conninfo(stack: Pick<Stack, "ports" | "pki">, user: string, connection: string): string {
  return `host=localhost port=${stack.ports.edgePostgres} dbname=${connection} user=${user} sslmode=verify-full sslrootcert=${stack.pki.ca}`;
}

/** Debian's psql with nothing of ours installed, over TLS with verify-full. */
export function startPsql(stack: Stack, options: PsqlOptions): ChildProcess {
  return spawn(
    "psql",
    ["-X", "--no-password", ...(options.args ?? []), conninfo(stack, options.user, options.connection)],
    {
      env: { ...process.env, PGPASSWORD: options.token, PGCONNECT_TIMEOUT: "10", LC_ALL: "C.UTF-8" },
      stdio: ["pipe", "pipe", "pipe"],
    },
  );
}

/** Runs psql on statements given as `-c` options and waits for its end. */
export async function psql(stack: Stack, options: PsqlOptions, ...statements: string[]): Promise<ClientResult> {
  const args = [...(options.args ?? []), ...statements.flatMap((statement) => ["-c", statement])];
  return finish(startPsql(stack, { ...options, args }));
}

export async function finish(child: ChildProcess): Promise<ClientResult> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => err.push(chunk));
  child.stdin?.end();
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}
