import { readdirSync, readFileSync } from "node:fs";
import { connectApi } from "@sallyport/cli/api";
import pg from "pg";
import { inject } from "vitest";
import { profileOf } from "../harness/clients.ts";
import type { ServiceName } from "@sallyport/local/ports";
import { auditLog, type AuditLog } from "./audit-log.ts";
import type { FaultsGateway } from "./global-gateway.ts";
import { RawClient } from "./raw-client.ts";
import { asSuperuser } from "./target.ts";
import { pause, until } from "./until.ts";

export const gateway: FaultsGateway = inject("faults");
export const api = connectApi(gateway.deployment);
export const log: AuditLog = auditLog(api, profileOf(gateway, "security"));

/** How a raw client logs in as an account. */
export function asAccount(name: string): { port: number; ca: string; user: string; token: string } {
  const { user, token } = profileOf(gateway, name);
  return { port: gateway.ports.edgePostgres, ca: gateway.ca, user, token };
}

export const rawTcp = (): Promise<RawClient> => RawClient.tcp(gateway.ports.edgePostgres);
export const rawTls = (): Promise<RawClient> => RawClient.tls(gateway.ports.edgePostgres, gateway.ca);

export async function pgClient(profile: string, database: string): Promise<pg.Client> {
  const { user, token, port, ca } = asAccount(profile);
  const ssl = { ca: readFileSync(ca, "utf8"), servername: "localhost" };
  const client = new pg.Client({ host: "127.0.0.1", port, user, password: token, database, ssl });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** What a service's Prometheus endpoint says. */
export async function metricsOf(service: ServiceName): Promise<string> {
  return (await fetch(`http://127.0.0.1:${gateway.ports.metrics[service]}/metrics`)).text();
}

/** What the edge holds on to. */
export interface Held {
  readonly sessions: number;
  readonly descriptors: number;
  /** connections of the gateway's role at the target */
  readonly backends: number;
}

export async function held(): Promise<Held> {
  const metrics = await metricsOf("edge-postgres");
  const backends = await asSuperuser(gateway.superuser, "postgres", (client) =>
    client.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = '${gateway.target.user}'`,
    ),
  );
  return {
    sessions: Number(/^sallyport_sessions(?:\{[^}]*\})? (\d+)/m.exec(metrics)?.[1] ?? Number.NaN),
    descriptors: readdirSync(`/proc/${gateway.edgePid}/fd`).length,
    backends: backends.rows[0]!.n,
  };
}

/** Everything that was taken since `before` is given back. A few descriptors more are pooled connections and files. */
export async function givenBack(before: Held): Promise<void> {
  let now = before;
  const isBack = (): boolean =>
    now.sessions === before.sessions && now.backends <= before.backends && now.descriptors <= before.descriptors + 4;
  await until("sessions, descriptors and backends are given back", async () => {
    now = await held();
    return isBack() ? true : undefined;
  }).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}: ${JSON.stringify({ before, now })}`);
  });
}

/** Resident memory of the edge, MiB. */
export function edgeMemory(): number {
  const status = readFileSync(`/proc/${gateway.edgePid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** An ordinary session beside everything that happens: it must not notice. */
export class Canary {
  answers = 0;
  slowestMs = 0;
  readonly troubles: string[] = [];
  #stopped = false;
  readonly #running: Promise<void>;

  constructor() {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** It is answered so many times more, from now on. */
  async sings(times: number): Promise<void> {
    const wanted = this.answers + times;
    await until("the canary is answered", () =>
      this.answers >= wanted || this.troubles.length > 0 ? true : undefined,
    );
  }

  async #run(): Promise<void> {
    try {
      const client = await pgClient("engineer", "orders");
      while (!this.#stopped) {
        const began = performance.now();
        const { rows } = await client.query("SELECT id, status FROM orders WHERE id = 42");
        if (rows.length !== 1) this.troubles.push(`${rows.length} rows`);
        this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
        this.answers++;
        await pause(40);
      }
      await client.end();
    } catch (error) {
      this.troubles.push((error as Error).message);
    }
  }
}
