import { Finding_Level, type Finding } from "@sallyport/proto/catalog";
import { Connection, ObservedRole, Schema } from "@sallyport/proto/catalog_model";
import { AuthorizeResponse } from "@sallyport/proto/policy";
import type { Principal } from "@sallyport/proto/principal";
import { Configuration } from "@sallyport/proto/catalog_model";
import { expect, test } from "vitest";
import { columnFindings } from "./column-findings.ts";
import { connectionFindings } from "./connection-findings.ts";
import { hiddenFromAll } from "./hidden-from-all.ts";
import { roleFindings } from "./role-findings.ts";

const { LEVEL_ADVICE, LEVEL_OK, LEVEL_PROBLEM, LEVEL_WARNING } = Finding_Level;

const schemaWith = (
  roles: Parameters<typeof ObservedRole.fromPartial>[0][],
  settings: Record<string, string> = {},
): Schema =>
  Schema.fromPartial({
    serverVersion: "16.4 (Debian)",
    settings: { server_encoding: "UTF8", standard_conforming_strings: "on", tls: "TLSv1.3", ...settings },
    roles,
    relations: [
      {
        oid: 7,
        schema: "public",
        name: 'odd"one',
        kind: "table",
        columns: [
          { number: 1, name: "id" },
          { number: 3, name: "Card" },
          { number: 4, name: "note" },
        ],
      },
      { oid: 8, schema: "public", name: "seen", kind: "view", viewDefinition: 'SELECT * FROM public."odd"one"' },
    ],
  });
const connection = Connection.fromPartial({
  name: "orders",
  role: { user: "app" },
  readRole: { user: "reader" },
  tls: { mode: "verify-full" },
});
const levels = (findings: readonly Finding[]) => findings.map(({ level, check }) => [check, level]);
const statements = (findings: readonly Finding[]) => findings.flatMap((one) => one.statements);

test("a connection as it should be", () => {
  const observed = { schema: schemaWith([]), digest: "d", atMs: 1 };
  const looked = { atMs: 2, edge: "edge-1", problem: undefined };
  expect(levels(connectionFindings({ connection, looked, observed }))).toEqual([
    ["reachable", LEVEL_OK],
    ["tls", LEVEL_OK],
    ["version", LEVEL_OK],
    ["settings", LEVEL_OK],
  ]);
});

test.each([
  [{ tls: { mode: "disable" } }, {}, "17.1", "tls", LEVEL_PROBLEM],
  [{ tls: { mode: "disable" }, host: "127.0.0.1" }, {}, "17.1", "tls", LEVEL_ADVICE],
  [{ tls: { mode: "require" } }, {}, "17.1", "tls", LEVEL_WARNING],
  [{}, {}, "9.6.24", "version", LEVEL_PROBLEM],
  [{}, {}, "14.0", "version", LEVEL_WARNING],
  [{}, {}, "19beta1", "version", LEVEL_WARNING],
  [{}, {}, "unheard of", "version", LEVEL_PROBLEM],
  [{}, { standard_conforming_strings: "off" }, "17.1", "settings", LEVEL_PROBLEM],
  [{}, { server_encoding: "LATIN1" }, "17.1", "settings", LEVEL_WARNING],
] as const)("what is wrong is told: %j %j %s", (change, settings, serverVersion, check, level) => {
  const observed = { schema: { ...schemaWith([], settings), serverVersion }, digest: "d", atMs: 1 };
  const changed = Connection.fromPartial({ ...connection, ...change });
  const found = connectionFindings({ connection: changed, looked: "not-asked", observed });
  expect(levels(found)).toContainEqual([check, level]);
});

test("no answer, a problem and no observation are told apart", () => {
  const at = (looked: Parameters<typeof connectionFindings>[0]["looked"]) =>
    connectionFindings({ connection, looked, observed: undefined })[0];
  expect(at(undefined)).toMatchObject({ level: LEVEL_WARNING, message: expect.stringContaining("No edge answered") });
  expect(at("not-asked")).toMatchObject({ level: LEVEL_PROBLEM });
  const problem = { code: "unauthenticated", message: "password authentication failed" };
  expect(at({ atMs: 1, edge: "e", problem })).toMatchObject({
    level: LEVEL_PROBLEM,
    message: expect.stringContaining("password authentication failed"),
  });
});

test("powers of roles, each with the statement that takes it away", () => {
  const schema = schemaWith([
    { name: "app", bypassesRowSecurity: true, memberOf: ["pg_execute_server_program", "x"], createsIn: ["public"] },
    {
      name: "reader",
      replicates: true,
      memberOf: ["app"],
      createsIn: ["public"],
      grants: [{ relationOid: 7, writes: true }],
    },
    { name: "PUBLIC", createsIn: ["public"] },
  ]);
  const found = roleFindings({ connection, database: "orders", schema });
  expect(levels(found)).toEqual([
    ["role", LEVEL_WARNING],
    ["role", LEVEL_PROBLEM],
    ["role", LEVEL_ADVICE],
    ["read-role", LEVEL_PROBLEM],
    ["read-role", LEVEL_PROBLEM],
    ["read-role", LEVEL_PROBLEM],
    ["read-role", LEVEL_PROBLEM],
  ]);
  expect(statements(found)).toEqual([
    'ALTER ROLE "app" NOBYPASSRLS;',
    'REVOKE "pg_execute_server_program" FROM "app";',
    'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;',
    'REVOKE CREATE ON SCHEMA "public" FROM "app";',
    'ALTER ROLE "reader" NOREPLICATION;',
    'REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;',
    'REVOKE CREATE ON SCHEMA "public" FROM "reader";',
    'REVOKE "app" FROM "reader";',
    'REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON "public"."odd""one" FROM "reader";',
  ]);
});

test("who owns the database is told so: revoking would take nothing from it", () => {
  const schema = schemaWith([
    { name: "app", memberOf: ["pg_database_owner"], createsIn: ["public"], createsSchemas: true },
    { name: "reader", memberOf: ["staff"], createsIn: ["x"] },
    { name: "PUBLIC" },
  ]);
  const found = roleFindings({ connection, database: "orders", schema });
  expect(levels(found)).toEqual([
    ["role", LEVEL_ADVICE],
    ["read-role", LEVEL_PROBLEM],
  ]);
  expect(found[0]).toMatchObject({ message: expect.stringContaining("owns the database"), statements: [] });
  expect(found[1]).toMatchObject({
    message: expect.stringContaining("through staff must be revoked there"),
    statements: ['REVOKE CREATE ON SCHEMA "x" FROM "reader";'],
  });
});

test("a superuser, a missing role, and a role with no power at all", () => {
  const schema = schemaWith([{ name: "app", superuser: true }, { name: "reader", missing: true }, { name: "PUBLIC" }]);
  const found = roleFindings({ connection, database: "orders", schema });
  expect(levels(found)).toEqual([
    ["role", LEVEL_PROBLEM],
    ["read-role", LEVEL_PROBLEM],
  ]);
  const plain = schemaWith([{ name: "app" }, { name: "reader" }, { name: "PUBLIC" }]);
  expect(levels(roleFindings({ connection, database: "orders", schema: plain }))).toEqual([
    ["role", LEVEL_OK],
    ["read-role", LEVEL_OK],
  ]);
  expect(roleFindings({ connection, database: "orders", schema: schemaWith([]) })[0]?.level).toBe(LEVEL_WARNING);
});

test("grants on columns that nobody may see: the whole table's goes, the others are granted one by one", () => {
  const schema = schemaWith([
    { name: "app", grants: [{ relationOid: 7, reads: true, owns: true }] },
    {
      name: "reader",
      grants: [
        { relationOid: 7, columns: [1, 3] },
        { relationOid: 8, reads: true },
      ],
    },
    { name: "PUBLIC", grants: [{ relationOid: 7, columns: [3] }] },
  ]);
  const hidden = [{ relation: schema.relations[0]!, columns: new Map([[3, "payment-card"]]) }];
  const found = columnFindings({ connection, schema, hidden, classes: ["payment-card"] });
  expect(levels(found)).toEqual([
    ["columns", LEVEL_WARNING],
    ["columns", LEVEL_ADVICE],
    ["columns", LEVEL_ADVICE],
  ]);
  expect(statements(found)).toEqual([
    'REVOKE SELECT ON "public"."odd""one" FROM "app";',
    'GRANT SELECT ("id", "note") ON "public"."odd""one" TO "app";',
    'REVOKE SELECT ("Card") ON "public"."odd""one" FROM "reader";',
    'REVOKE SELECT ("Card") ON "public"."odd""one" FROM PUBLIC;',
  ]);
  expect(found[2]?.message).toContain("public.seen");
  const none = schemaWith([{ name: "app" }, { name: "reader", grants: [{ relationOid: 7, columns: [1] }] }]);
  expect(levels(columnFindings({ connection, schema: none, hidden, classes: ["payment-card"] }))).toEqual([
    ["columns", LEVEL_OK],
    ["columns", LEVEL_OK],
  ]);
});

test("nobody may see a class if no group, no name and no one without may", async () => {
  const configuration = Configuration.fromPartial({
    classes: ["email", "card", "phone", "name"].map((name) => ({ name })),
    policies: [
      { path: "a.cedar", text: 'permit (principal in Group::"dba", …) Group::"a \\"b\\"" User::"eve" Workload::"job"' },
    ],
  });
  const asked: string[] = [];
  const authorize = async (principal: Principal, action: string, resource: string): Promise<AuthorizeResponse> => {
    asked.push(`${principal.id} ${principal.groups.join("+")}`);
    expect([action, resource]).toEqual(["reveal", ""]);
    const revealedClasses = [
      ...(principal.groups.includes('a "b"') ? ["email"] : []),
      ...(principal.id === "workload:job" && principal.groups.length > 0 ? ["phone"] : []),
      ...(principal.groups.length === 0 ? ["name"] : []),
    ];
    return AuthorizeResponse.fromPartial({ revealedClasses });
  };
  const signal = new AbortController().signal;
  expect(await hiddenFromAll(configuration, "orders", { authorize }, signal)).toEqual(["card"]);
  expect(asked).toEqual([
    "user:- ",
    'user:- dba+a "b"',
    "user:- dba",
    'user:- a "b"',
    "user:eve ",
    "workload:job ",
    'user:eve dba+a "b"',
    'workload:job dba+a "b"',
  ]);
});
