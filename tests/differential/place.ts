import { appendFile, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres, type TestPostgres } from "@sallyport/edge-postgres/testing";
import pg from "pg";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import type { Aside, Route } from "./conversation.ts";

/** A gateway whose DBA sees everything, before a PostgreSQL 18 that both are spoken to in the same way. */
export interface Place {
  readonly gateway: Gateway;
  readonly postgres: TestPostgres;
  readonly direct: Route;
  /** through the gateway as `profile` */
  through(profile: string): Route;
  readonly aside: Aside;
  /** direct, as the superuser */
  readonly admin: pg.Client;
  stop(): Promise<void>;
}

const CATALOG = fileURLToPath(new URL("../../deploy/local/catalog", import.meta.url));

/** `dba`: nothing is hidden. Everybody else is as in the demo. */
const REVEAL = `
@id("test-dba-sees-everything")
permit (principal in Group::"dba", action == Action::"reveal", resource);
`;

const connection = (port: number): string => `
  - name: wire
    protocol: postgresql
    host: 127.0.0.1
    port: ${port}
    database: wire
    labels:
      env: development
    role:
      user: app
    tls:
      mode: disable
`;

/** `fixture`: run in the database as its owner before anybody logs in. */
export async function startPlace(fixture: string): Promise<Place> {
  const postgres = await startPostgres({
    hba: ["host all app 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256"],
  });
  const catalogFolder = await mkdtemp(join(tmpdir(), "sallyport-catalog-"));
  await cp(CATALOG, catalogFolder, { recursive: true });
  await writeFile(join(catalogFolder, "policies", "test.cedar"), REVEAL);
  await appendFile(join(catalogFolder, "connections.yaml"), connection(postgres.port));
  await postgres.query("CREATE ROLE app LOGIN");
  await postgres.query("CREATE DATABASE wire OWNER app");
  await postgres.query(`SET ROLE app; ${fixture}`, "wire");
  const gateway = await startGateway({ catalogFolder });
  await rm(catalogFolder, { recursive: true, force: true });
  const { stack } = gateway;
  const at = { host: postgres.host, port: postgres.port, database: "wire" };
  const admin = new pg.Client({ ...at, user: postgres.superuser, password: postgres.password });
  await admin.connect();
  return {
    gateway,
    postgres,
    direct: { ...at, user: "app", password: "" },
    through: (name) => {
      const profile = gateway.profiles.get(name);
      if (profile === undefined) throw new Error(`no profile ${name}`);
      const { user, token } = profile;
      const { ports, pki } = stack;
      return { host: "localhost", port: ports.edgePostgres, user, password: token, database: "wire", ca: pki.ca };
    },
    aside: {
      run: async (sql) => void (await admin.query(sql)),
      untilRuns: async (text) => {
        const active = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND position($1 in query) > 0";
        while ((await admin.query(active, [text])).rowCount === 0) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
    },
    admin,
    stop: async () => {
      await admin.end();
      await gateway.stop();
      await postgres.stop();
    },
  };
}
