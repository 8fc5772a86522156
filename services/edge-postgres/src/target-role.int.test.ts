import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startPostgres, type TestPostgres } from "../testing/postgres-server.ts";
import { dial, RawClient, reportsOf, rowsOf, tagsOf } from "../testing/raw-client.ts";
import { encodeCancelRequest } from "./wire/startup.ts";
import { appConnection, startTestGateway, type TestGateway } from "../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;

/** Reads only at the target: what policy lets through by mistake ends there. */
const readRole = { user: "reader", passwordRef: "env:SALLYPORT_TEST_READER", clientCertRef: "", clientKeyRef: "" };
const observed: { relations: string[] }[] = [];

beforeAll(async () => {
  process.env["SALLYPORT_TEST_READER"] = "reader-secret";
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE ROLE reader LOGIN PASSWORD 'reader-secret';
    CREATE TABLE items (id int);
    INSERT INTO items VALUES (1);
    ALTER TABLE items OWNER TO app;
    GRANT SELECT ON items TO reader;`);
  gateway = await startTestGateway({
    connections: [
      appConnection(postgres.port, { readRole }),
      appConnection(postgres.port, { name: "one-role" }),
      appConnection(postgres.port, { name: "lost", readRole: { ...readRole, passwordRef: "env:SALLYPORT_NOT_SET" } }),
    ],
    links: (links) => ({
      ...links,
      catalog: {
        ...links.catalog,
        observeSchema: async ({ schema }) => {
          observed.push({ relations: schema?.relations.map(({ name }) => name) ?? [] });
          return { digest: "", changed: false, asOf: 0 };
        },
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});

let maySomebodyWrite = (_name: string): boolean => false;
beforeEach(() => {
  maySomebodyWrite = (name) => name === "dba";
  gateway.connecting = ({ session }) => ({ mayWrite: maySomebodyWrite(session.principal?.name ?? "") });
  gateway.decide = gateway.connecting;
});

const login = (user: string, database = "orders"): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database, user });
const roleOf = async (client: RawClient): Promise<unknown> =>
  rowsOf(await client.query("SELECT current_user || '/' || session_user"))[0]?.[0];

test("whom policy could not let write is logged in with the read role, and the record says so", async () => {
  const client = await login("contractor");
  expect(await roleOf(client)).toBe("reader/reader");
  expect(rowsOf(await client.query("SELECT * FROM items"))).toEqual([["1"]]);
  // The first wall is down here: everything is forwarded.
  const refused = await client.query("INSERT INTO items VALUES (2)");
  expect(reportsOf(refused)[0]).toMatchObject({ C: "42501" });
  expect(reportsOf(await client.query("SET ROLE app"))[0]).toMatchObject({ C: "42501" });
  client.end();
  const records = await gateway.recordsUntil((all) => all.some((r) => r.kind === "sessionOpened"));
  expect(records.find((r) => r.kind === "sessionOpened")?.fact).toMatchObject({ targetRole: "reader" });
});

test("who may write is logged in with the write role", async () => {
  const client = await login("dba");
  expect(await roleOf(client)).toBe("app/app");
  expect(tagsOf(await client.query("UPDATE items SET id = 1"))).toEqual(["UPDATE 1"]);
  client.end();
  const records = await gateway.recordsUntil((all) => all.filter((r) => r.kind === "sessionOpened").length === 2);
  expect(records.findLast((r) => r.kind === "sessionOpened")?.fact).toMatchObject({ targetRole: "app" });
});

test("a connection without a read role has one role for everybody", async () => {
  const client = await login("contractor", "one-role");
  expect(await roleOf(client)).toBe("app/app");
  client.end();
});

test("a read role that cannot be used is no way to the write role", async () => {
  const client = await login("contractor", "lost");
  expect(reportsOf(client.said)[0]?.["S"]).toBe("FATAL");
  client.end();
});

test("the schema is observed with the connection's own role, whoever logs in", () => {
  expect(observed.length).toBeGreaterThan(0);
  for (const { relations } of observed) expect(relations).toContain("items");
});

test("a running command of the read role is cancelled at the target", async () => {
  const client = await login("contractor");
  const slow = client.query("SELECT pg_sleep(60)");
  await expect
    .poll(() => postgres.query("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
    .toMatchObject({
      rowCount: 1,
    });
  const cancelling = await dial({ port: gateway.port, ca: gateway.ca });
  cancelling.end(encodeCancelRequest(client.key.processId, client.key.secret));
  expect(reportsOf(await slow)[0]).toMatchObject({ C: "57014" });
  client.end();
});

test("who may not write any more does not keep a session of the write role", async () => {
  const client = await login("dba");
  expect(await roleOf(client)).toBe("app/app");
  maySomebodyWrite = () => false;
  const answer = await client.query("UPDATE items SET id = 2");
  expect(reportsOf(answer)[0]?.["M"]).toContain("log in again");
  expect((await postgres.query("SELECT id FROM items")).rows).toEqual([{ id: 1 }]);
  const reader = await login("dba");
  expect(await roleOf(reader)).toBe("reader/reader");
  reader.end();
});
