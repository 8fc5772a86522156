import { ApprovalState, ApprovalStatus } from "@sallyport/proto/approval";
import { CommandFacts, Outcome } from "@sallyport/proto/verdict";
import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { RawClient, reportsOf, rowsOf, statusOf, tagsOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
/** Nobody answers until a test says so. */
let answered: PromiseWithResolvers<void>;
const withdrawn: string[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE t (id int PRIMARY KEY);
    INSERT INTO t SELECT generate_series(1, 10);
    ALTER TABLE t OWNER TO app;`);
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    links: (links) => ({
      ...links,
      approval: {
        request: async () => ({ approvalId: "apr-1", expiresAtMs: Date.now() + 60_000 }),
        await: async function* (_, signal) {
          yield ApprovalState.fromPartial({ status: ApprovalStatus.APPROVAL_STATUS_PENDING });
          await Promise.race([answered.promise, new Promise((resolve) => signal.addEventListener("abort", resolve))]);
          if (!signal.aborted) yield ApprovalState.fromPartial({ status: ApprovalStatus.APPROVAL_STATUS_GRANTED });
        },
        use: async () => ({ asOf: 0 }),
        withdraw: async (_, cause) => void withdrawn.push(cause),
      },
    }),
  });
  const holds = [{ policyId: "p", group: "dba", quorum: 1, withinSeconds: 60, message: "Look at it." }];
  gateway.decide = ({ command }) => {
    const held = command?.text.startsWith("DELETE") === true && command.approvalId === "";
    if (held) return { outcome: Outcome.OUTCOME_HOLD, message: "Look at it.", holds };
    const sessionEffect = command?.text.startsWith("SET") === true;
    return { facts: CommandFacts.fromPartial({ actions: ["read"], sessionEffect }) };
  };
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});
beforeEach(() => {
  answered = Promise.withResolvers();
  withdrawn.length = 0;
});

const login = (startup: object = {}): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders", ...startup });
const DELETE = "DELETE FROM t WHERE id = 1";

test("statement_timeout ends the wait, as it would end the statement, and fails the transaction; nothing arrives", async () => {
  const client = await login();
  await client.query("SET statement_timeout = '300ms'");
  await client.query("BEGIN");
  const began = performance.now();
  client.send(serialize.query(DELETE));
  const [notice] = reportsOf(await client.until("N"), "N");
  expect(notice?.["H"]).toContain("statement_timeout ends the wait after 300 ms");
  const done = await client.until("Z");
  expect(performance.now() - began).toBeLessThan(3_000);
  expect(reportsOf(done)[0]).toMatchObject({
    C: "57014",
    M: "canceling statement due to statement timeout (it waited for approval)",
  });
  expect(statusOf(done)).toBe("E");
  expect(withdrawn).toEqual([expect.stringContaining("statement timeout")]);
  expect(tagsOf(await client.query("ROLLBACK"))).toEqual(["ROLLBACK"]);
  expect(rowsOf(await client.query("SELECT count(*) FROM t WHERE id = 1"))).toEqual([["1"]]);
  expect(postgres.log()).not.toContain(DELETE);
  client.end();
});

test("the extended protocol's too: what was pipelined behind it is skipped, the session lives on", async () => {
  const client = await login();
  await client.query("SET statement_timeout = 200");
  client.send(
    serialize.parse({ text: "DELETE FROM t WHERE id = $1", types: [23] }),
    serialize.bind({ values: ["2"] }),
    serialize.execute({}),
    serialize.sync(),
  );
  const done = await client.until("Z");
  expect(reportsOf(done)[0]).toMatchObject({ C: "57014" });
  expect(statusOf(done)).toBe("I");
  expect(rowsOf(await client.query("SELECT count(*) FROM t WHERE id = 2"))).toEqual([["1"]]);
  client.end();
});

test("a timeout that is longer than it took, or none, ends nothing", async () => {
  for (const timeout of ["0", "'1min'"]) {
    answered = Promise.withResolvers();
    const client = await login();
    await client.query(`SET statement_timeout = ${timeout}`);
    client.send(serialize.query("DELETE FROM t WHERE id = 99"));
    await client.until("N");
    answered.resolve();
    expect(tagsOf(await client.until("Z"))).toEqual(["DELETE 0"]);
    client.end();
  }
  expect(withdrawn).toEqual([]);
});
