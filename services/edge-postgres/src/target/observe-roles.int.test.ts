import { Connection, type ObservedGrant, type Schema, TargetRole } from "@sallyport/proto/catalog_model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { reachTarget } from "./dial-and-login.ts";
import { dialDirectly } from "./dial.ts";
import { observeSchema } from "./observe-schema.ts";

let postgres: TestPostgres;
/** a name that has to be quoted, twice over */
const ODD = `o'dd \\ role`;

beforeAll(async () => {
  process.env["SALLYPORT_TEST_APP"] = "app-secret";
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE ROLE reader LOGIN REPLICATION BYPASSRLS;
    CREATE ROLE "${ODD}" CREATEROLE;
    CREATE ROLE grantor;
    GRANT grantor TO reader; GRANT pg_read_server_files TO reader;
    CREATE SCHEMA odd; GRANT CREATE ON SCHEMA odd TO reader; GRANT USAGE ON SCHEMA odd TO PUBLIC;
    CREATE TABLE people (id int, gone int, name text, email text);
    ALTER TABLE people DROP COLUMN gone;
    ALTER TABLE people OWNER TO app;
    GRANT SELECT (id, name) ON people TO reader;
    CREATE TABLE odd.whole (a int); GRANT SELECT, UPDATE ON odd.whole TO grantor;
    CREATE TABLE odd.shared (a int, b int); GRANT SELECT (b) ON odd.shared TO PUBLIC;
    CREATE TABLE odd.none (a int);
    CREATE VIEW odd.seen AS SELECT a FROM odd.whole; GRANT SELECT ON odd.seen TO reader;`);
});
afterAll(() => postgres?.stop());

async function observed(...roles: string[]): Promise<Schema> {
  const connection = Connection.fromPartial({
    name: "orders",
    host: "127.0.0.1",
    port: postgres.port,
    role: TargetRole.fromPartial({ user: "app", passwordRef: "env:SALLYPORT_TEST_APP" }),
    tls: { mode: "disable" },
  });
  const signal = AbortSignal.timeout(20_000);
  const target = await reachTarget(dialDirectly, { connection, database: "postgres", parameters: [] }, signal);
  try {
    return await observeSchema(target, roles, signal);
  } finally {
    target.socket.destroy();
  }
}

test("roles are told with what they have themselves, by membership and as everybody", async () => {
  const schema = await observed("app", "reader", ODD, "nobody-there");
  const oid = (name: string): number => schema.relations.find((one) => one.name === name)?.oid ?? 0;
  const role = (name: string) => schema.roles.find((one) => one.name === name);
  const on = (name: string, relation: string): Omit<ObservedGrant, "relationOid"> | undefined => {
    const grant = role(name)?.grants.find(({ relationOid }) => relationOid === oid(relation));
    if (grant === undefined) return undefined;
    const { relationOid: _, ...rest } = grant;
    return rest;
  };
  expect(schema.roles.map(({ name }) => name)).toEqual(["app", "reader", ODD, "nobody-there", "PUBLIC"]);

  expect(role("app")).toMatchObject({ superuser: false, missing: false, memberOf: [], createsIn: [] });
  expect(on("app", "people")).toEqual({ owns: true, reads: true, columns: [], writes: true });
  expect(on("app", "none")).toBeUndefined();

  expect(role("reader")).toMatchObject({
    replicates: true,
    bypassesRowSecurity: true,
    memberOf: ["grantor", "pg_read_server_files"],
    createsIn: ["odd"],
    createsSchemas: false,
  });
  // attnums: the dropped column had the second one
  expect(on("reader", "people")).toEqual({ owns: false, reads: false, columns: [1, 3], writes: false });
  expect(on("reader", "whole")).toEqual({ owns: false, reads: true, columns: [], writes: true });
  expect(on("reader", "shared")).toEqual({ owns: false, reads: false, columns: [2], writes: false });
  expect(on("reader", "seen")).toEqual({ owns: false, reads: true, columns: [], writes: false });
  expect(on("PUBLIC", "shared")).toEqual({ owns: false, reads: false, columns: [2], writes: false });
  expect(on("PUBLIC", "people")).toBeUndefined();

  expect(role(ODD)).toMatchObject({ createsRoles: true, missing: false });
  expect(role("nobody-there")).toMatchObject({ missing: true, grants: [] });
  expect(schema.settings).toEqual({ server_encoding: "UTF8", standard_conforming_strings: "on", tls: "" });
});

test("a superuser is told as one, and a member of nothing", async () => {
  const { roles } = await observed("postgres");
  expect(roles[0]).toMatchObject({ name: "postgres", superuser: true, memberOf: [] });
});
