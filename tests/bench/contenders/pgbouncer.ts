import { spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Stack } from "@sallyport/local";
import type { BenchDatabase } from "../bench-database.ts";
import { ended } from "../child.ts";
import { untilLogin } from "../clients.ts";
import { freePort } from "../free-port.ts";
import { libpqEnvironment, type Contender } from "./contender.ts";
import { requirePid } from "./direct.ts";

export interface RunningContender extends Contender {
  stop(): Promise<void>;
}

/** pgbouncer refuses to run as root: root starts it as `nobody`. */
const UNPRIVILEGED = 65534;

/**
 * Debian's pgbouncer, session pooling (transaction pooling cannot do prepared statements before 1.21), with a
 * configuration of its own in a folder of its own.
 */
export async function pgbouncer(stack: Stack, database: BenchDatabase): Promise<RunningContender> {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-pgbouncer-"));
  const port = await freePort();
  prepare(folder, port, stack, database);
  const asNobody = process.getuid?.() === 0 ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : {};
  const child = spawn("pgbouncer", ["-q", join(folder, "pgbouncer.ini")], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
    ...asNobody,
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-2000)));
  const env = (tls: boolean) =>
    libpqEnvironment({ ...database, host: "localhost", port }, tls ? stack.pki.ca : undefined);
  const stop = async (): Promise<void> => {
    await ended(child, "SIGINT");
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await untilLogin(env(false), () => child.exitCode === null && child.pid !== undefined);
  } catch (error) {
    await stop();
    throw new Error(`pgbouncer does not answer: ${said.trim() || String(error)}`, { cause: error });
  }
  return {
    name: "pgbouncer",
    env,
    processes: () => [
      { name: "pgbouncer", pid: child.pid! },
      { name: "postgres", pid: requirePid(stack, "postgres") },
    ],
    stop,
  };
}

function prepare(folder: string, port: number, stack: Stack, database: BenchDatabase): void {
  const { cert, key } = stack.pki.certificate("idp");
  const file = (name: string): string => join(folder, name);
  copyFileSync(cert, file("server.crt"));
  copyFileSync(key, file("server.key"));
  writeFileSync(file("users.txt"), `"${database.user}" "${database.password}"\n`);
  writeFileSync(
    file("pgbouncer.ini"),
    [
      "[databases]",
      `${database.database} = host=${database.host} port=${database.port} dbname=${database.database}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${file("users.txt")}`,
      "pool_mode = session",
      "default_pool_size = 100",
      "max_client_conn = 1200",
      "ignore_startup_parameters = extra_float_digits",
      "client_tls_sslmode = allow",
      `client_tls_cert_file = ${file("server.crt")}`,
      `client_tls_key_file = ${file("server.key")}`,
      "server_tls_sslmode = disable",
      "log_connections = 0",
      "log_disconnections = 0",
      "",
    ].join("\n"),
  );
  for (const name of ["server.crt", "server.key", "users.txt", "pgbouncer.ini"]) {
    chmodSync(file(name), 0o600);
    if (process.getuid?.() === 0) chownSync(file(name), UNPRIVILEGED, UNPRIVILEGED);
  }
  if (process.getuid?.() === 0) chownSync(folder, UNPRIVILEGED, UNPRIVILEGED);
}
