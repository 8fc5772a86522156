import { readFileSync } from "node:fs";
import pg from "pg";
import type { LibpqEnvironment } from "./contenders/contender.ts";

/** `pg`'s settings for what libpq's environment says. */
export function clientConfig(env: LibpqEnvironment): pg.ClientConfig {
  return {
    host: env.PGHOST,
    port: Number(env.PGPORT),
    database: env.PGDATABASE,
    user: env.PGUSER,
    password: env.PGPASSWORD,
    connectionTimeoutMillis: 20_000,
    ssl: env.PGSSLMODE === "disable" ? false : { ca: authority(env["PGSSLROOTCERT"] ?? "") },
  };
}

const authorities = new Map<string, string>();
function authority(path: string): string {
  let pem = authorities.get(path);
  if (pem === undefined) authorities.set(path, (pem = readFileSync(path, "utf8")));
  return pem;
}

/** A session that is logged in. What ends it later is told to whoever queries it, never thrown from nowhere. */
export async function connected(env: LibpqEnvironment): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(env));
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** Resolves when a login succeeds; rejects with the last refusal after ten seconds, or when `alive` says no. */
export async function untilLogin(env: LibpqEnvironment, alive: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      await (await connected(env)).end();
      return;
    } catch (error) {
      if (performance.now() > deadline || !alive()) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
