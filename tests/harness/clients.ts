import { spawn } from "node:child_process";
import { once } from "node:events";
import type { GatewayAddress } from "./gateway.ts";

/** How a client program ended and what it said. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end, with input if any. */
export async function run(
  command: string,
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string | Buffer } = {},
): Promise<Ended> {
  const child = spawn(command, args, { env: { ...process.env, ...options.env }, stdio: ["pipe", "pipe", "pipe"] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}

/** libpq's environment for a connection through the gateway, TLS verified. */
export function libpq(gateway: GatewayAddress, profile: string, connection: string): Record<string, string> {
  const { user, token } = profileOf(gateway, profile);
  return {
    PGHOST: "localhost",
    PGPORT: String(gateway.ports.edgePostgres),
    PGDATABASE: connection,
    PGUSER: user,
    PGPASSWORD: token,
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: gateway.ca,
    PGCONNECT_TIMEOUT: "15",
    LC_ALL: "C.UTF-8",
  };
}

export function profileOf(gateway: GatewayAddress, name: string) {
  const profile = gateway.profiles[name];
  if (profile === undefined) throw new Error(`no profile ${name}`);
  return profile;
}

/** psql with one statement; errors are printed with their SQLSTATE. */
export function psqlAs(
  gateway: GatewayAddress,
  profile: string,
  connection: string,
  sql: string,
  ...options: string[]
): Promise<Ended> {
  return run("psql", ["-X", "-v", "VERBOSITY=verbose", ...options, "-c", sql], {
    env: libpq(gateway, profile, connection),
  });
}
