import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ColumnPlan, ColumnPlan_Action as Action, type PlanResult } from "@sallyport/proto/masking";
import { ResultRefused_Cause as Cause } from "@sallyport/proto/record";
import { CommandFacts } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { RawClient, reportsOf, rowsOf, statusOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
const planned: PlanResult[] = [];

const ODD = "the result has 1 column, and the analysis of the statement 2";

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE t (id int, word text);
    INSERT INTO t SELECT i, 'word ' || i FROM generate_series(1, 3) i;
    ALTER TABLE t OWNER TO app;`);
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    links: (links) => ({
      ...links,
      masking: {
        // Whatever calls a column `odd` is described otherwise than it was analysed.
        plan: async (result, asOf) => {
          planned.push(result);
          return {
            planId: "plan",
            columns: result.columns.map(() => ColumnPlan.fromPartial({ action: Action.ACTION_PASS })),
            scrubText: false,
            asOf,
            staleSchema: false,
            disagreement: result.columns.some(({ name }) => name === "odd") ? ODD : "",
          };
        },
        cells: () => Promise.reject(new Error("nothing here needs it")),
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});

beforeEach(() => {
  gateway.decide = ({ command }) => ({
    hiddenClasses: ["email"],
    facts: CommandFacts.fromPartial({
      actions: ["read"],
      verbs: ["select"],
      relations: [{ schema: "public", name: "t", oid: 1 }],
      lineage: (command?.text ?? "")
        .split(";")
        .map((_, statement) => ({ statement, unknown: `statement ${statement}` })),
    }),
  });
});

const login = (): Promise<RawClient> => RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders" });
const sync = serialize.sync();
const { describe: describePortal, bind, execute, flush } = serialize;
const parse = (text: string, name = ""): Buffer => serialize.parse({ text, name });
const count = async (): Promise<number> =>
  (await postgres.query("SELECT count(*)::int AS n FROM t")).rows[0].n as number;
const refused = [{ S: "ERROR", C: "42501", M: ODD }];

describe("a result that is described otherwise than it was analysed is withheld", () => {
  test("of a simple query, with the results behind it; the session lives on", async () => {
    const client = await login();
    const answer = await client.query("SELECT word FROM t; SELECT id AS odd FROM t; SELECT word FROM t");
    expect(typesOf(answer)).toBe("TDDDCEZ");
    expect(reportsOf(answer)).toMatchObject(refused);
    expect(rowsOf(await client.query("SELECT id FROM t ORDER BY id"))).toEqual([["1"], ["2"], ["3"]]);
    client.end();
    const records = await gateway.recordsUntil((all) => all.some((r) => r.kind === "sessionClosed"));
    expect(records.filter((r) => r.kind === "resultRefused").map((r) => r.fact)).toMatchObject([
      { command: 1, cause: Cause.CAUSE_DISAGREEMENT, reason: ODD, rows: 3, policyIds: [] },
    ]);
    expect(records.find((r) => r.kind === "commandCompleted" && r.fact.command === 1)?.fact).toMatchObject({
      code: "42501",
    });
    // Before what the client is told.
    const kinds = records.map((r) => r.kind);
    expect(kinds.lastIndexOf("frameToClient")).toBeGreaterThan(kinds.indexOf("resultRefused"));
  });

  test("of a portal, with what stands behind it up to the Sync", async () => {
    const client = await login();
    client.send(parse("SELECT id AS odd FROM t"), bind({}), describePortal({ type: "P" }), execute({}));
    client.send(parse("SELECT word FROM t"), bind({}), execute({}), sync);
    client.send(parse("SELECT word FROM t WHERE id = 2"), bind({}), execute({}), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("12EZ");
    expect(reportsOf(answer)).toMatchObject(refused);
    const next = await client.until("Z");
    expect(typesOf(next)).toBe("12DCZ");
    expect(rowsOf(next)).toEqual([["word 2"]]);
    client.end();
  });

  test("of a portal that the client does not describe", async () => {
    const client = await login();
    client.send(parse("SELECT id AS odd FROM t"), bind({}), execute({}), sync);
    expect(typesOf(await client.until("Z"))).toBe("12EZ");
    expect(tagsOf(await client.query("SELECT 1 AS one"))).toEqual(["SELECT 1"]);
    client.end();
  });

  test("before it has run, when the client waits for the description; its transaction fails", async () => {
    const before = await count();
    const client = await login();
    await client.query("BEGIN");
    client.send(
      parse("INSERT INTO t VALUES (9) RETURNING id AS odd"),
      bind({}),
      describePortal({ type: "P" }),
      flush(),
    );
    expect(reportsOf(await client.until("E"))).toMatchObject(refused);
    client.send(execute({}), sync);
    const answer = await client.until("Z");
    expect(typesOf(answer)).toBe("Z");
    expect(statusOf(answer)).toBe("E");
    await client.query("ROLLBACK");
    expect(await count()).toBe(before);
    client.end();
  });

  test("of many rows: the target is asked to stop, and the next command is answered", async () => {
    const client = await login();
    const answer = await client.query("SELECT repeat('x', 1000) AS odd, pg_sleep(0) FROM generate_series(1, 300000)");
    expect(typesOf(answer)).toBe("EZ");
    client.send(parse("SELECT repeat('x', 1000) AS odd FROM generate_series(1, 20000)"), bind({}), execute({}), sync);
    expect(typesOf(await client.until("Z"))).toBe("12EZ");
    expect(rowsOf(await client.query("SELECT count(*) FROM t"))).toHaveLength(1);
    client.end();
  });
});

test("a result is planned with the lineage of its own statement", async () => {
  const client = await login();
  planned.length = 0;
  await client.query("SELECT 1 AS a; SELECT id AS b FROM t; SET work_mem = '5MB'; SELECT 1 AS d; SELECT 1 AS d");
  client.send(parse("SELECT 1 AS e; -- of the one statement"), bind({}), execute({}), sync);
  await client.until("Z");
  expect(
    planned.filter((plan) => plan.columns.length > 0).map((plan) => [plan.columns[0]?.name, plan.lineage?.unknown]),
  ).toEqual([
    ["a", "statement 0"],
    ["b", "statement 1"],
    ["d", "statement 3"],
    ["d", "statement 4"],
    ["e", "statement 0"],
  ]);
  client.end();
});
