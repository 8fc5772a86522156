import { readFileSync } from "node:fs";
import pg from "pg";

/** The target itself, reached beside the gateway: what really arrived, and what it left behind. */
export interface TargetAddress {
  readonly host: string;
  readonly port: number;
  readonly superuser: string;
  readonly superuserPassword: string;
  readonly statementLog: string;
}

/** What marks a statement of a test, in its text. */
export const marker = (id: string): string => `/* id:${id} */`;
const MARKER = /\/\* id:([0-9a-z-]+) \*\//g;

export async function asSuperuser<T>(
  target: TargetAddress,
  database: string,
  then: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const { host, port, superuser: user, superuserPassword: password } = target;
  const client = new pg.Client({ host, port, user, password, database });
  await client.connect();
  try {
    return await then(client);
  } finally {
    await client.end();
  }
}

/** From now on the target writes down every statement that reaches it. */
export async function logStatements(target: TargetAddress): Promise<void> {
  await asSuperuser(target, "postgres", async (client) => {
    await client.query("ALTER SYSTEM SET log_statement = 'all'");
    await client.query("SELECT pg_reload_conf()");
  });
}

/** Ids of the marked statements that the target has written down. */
export function arrivedAt(target: TargetAddress): Set<string> {
  return idsIn(readFileSync(target.statementLog, "utf8"));
}

export function idsIn(text: string): Set<string> {
  return new Set([...text.matchAll(MARKER)].map(([, id]) => id as string));
}
