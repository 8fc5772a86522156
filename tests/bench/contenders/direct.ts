import { chownSync, copyFileSync, statSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import type { Stack } from "@sallyport/local";
import type { BenchDatabase } from "../bench-database.ts";
import { libpqEnvironment, type Contender } from "./contender.ts";

/** Straight to the server. With TLS by the server itself, which gets a certificate of the stack's for that. */
export async function direct(stack: Stack, database: BenchDatabase): Promise<Contender> {
  await offerTls(stack);
  return {
    name: "direct",
    env: (tls) => libpqEnvironment({ ...database, host: "localhost" }, tls ? stack.pki.ca : undefined),
    processes: () => [{ name: "postgres", pid: requirePid(stack, "postgres") }],
  };
}

export function requirePid(stack: Stack, name: string): number {
  const pid = stack.supervisor.pid(name);
  if (pid === undefined) throw new Error(`${name} does not run`);
  return pid;
}

/** The server reads its certificate as its own user, and only from a file that nobody else may read. */
async function offerTls({ target, pki }: Stack): Promise<void> {
  const { uid, gid } = statSync(target.dataDirectory);
  const { cert, key } = pki.certificate("idp");
  for (const [from, name] of [
    [cert, "server.crt"],
    [key, "server.key"],
  ] as const) {
    const to = join(target.dataDirectory, name);
    copyFileSync(from, to);
    if (process.getuid?.() === 0) chownSync(to, uid, gid);
  }
  const admin = new pg.Client({
    host: target.host,
    port: target.port,
    user: target.superuser,
    password: target.superuserPassword,
    database: "postgres",
  });
  await admin.connect();
  try {
    await admin.query("ALTER SYSTEM SET ssl = on");
    await admin.query("SELECT pg_reload_conf()");
  } finally {
    await admin.end();
  }
}
