import type { NamedProcess } from "../cpu.ts";

/** One way from a client to the same PostgreSQL server. */
export interface Contender {
  readonly name: "direct" | "pgbouncer" | "recording-only" | "sallyport";
  /** What libpq, and `pg` through `clientConfig`, need to connect. */
  readonly env: (tls: boolean) => LibpqEnvironment;
  /** That do its work, the server included: their CPU is counted. */
  readonly processes: () => readonly NamedProcess[];
  /** Before each measurement. */
  readonly prepare?: () => Promise<void>;
}

export interface LibpqEnvironment extends Readonly<Record<string, string>> {
  readonly PGHOST: string;
  readonly PGPORT: string;
  readonly PGDATABASE: string;
  readonly PGUSER: string;
  readonly PGPASSWORD: string;
  readonly PGSSLMODE: "disable" | "verify-full";
}

/** With TLS the server's certificate and name are verified, as every example of ours does. */
export function libpqEnvironment(
  server: { host: string; port: number; database: string; user: string; password: string },
  ca: string | undefined,
): LibpqEnvironment {
  return {
    PGHOST: server.host,
    PGPORT: String(server.port),
    PGDATABASE: server.database,
    PGUSER: server.user,
    PGPASSWORD: server.password,
    PGSSLMODE: ca === undefined ? "disable" : "verify-full",
    PGGSSENCMODE: "disable",
    PGCONNECT_TIMEOUT: "20",
    LC_ALL: "C.UTF-8",
    ...(ca === undefined ? {} : { PGSSLROOTCERT: ca }),
  };
}
