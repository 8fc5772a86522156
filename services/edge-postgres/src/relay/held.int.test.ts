import type { RequestApprovalRequest } from "@sallyport/proto/approval";
import { ApprovalState, ApprovalStatus } from "@sallyport/proto/approval";
import { Outcome } from "@sallyport/proto/verdict";
import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { RawClient, reportsOf, tagsOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
const asked: RequestApprovalRequest[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE t (id int PRIMARY KEY, name text);
    ALTER TABLE t OWNER TO app;`);
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    links: (links) => ({
      ...links,
      approval: {
        request: async (request) => {
          asked.push(request);
          return { approvalId: "apr-1", expiresAtMs: Date.now() + 60_000 };
        },
        await: async function* () {
          yield ApprovalState.fromPartial({ status: ApprovalStatus.APPROVAL_STATUS_GRANTED });
        },
        use: async () => ({ asOf: 0 }),
        withdraw: async () => {},
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});
beforeEach(async () => {
  asked.length = 0;
  await postgres.query("TRUNCATE t; INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 10) i");
  const holds = [{ policyId: "p", group: "dba", quorum: 1, withinSeconds: 60, message: "Look at it." }];
  gateway.decide = ({ command }) =>
    command?.text.startsWith("DELETE") && command.approvalId === ""
      ? { outcome: Outcome.OUTCOME_HOLD, message: "Look at it.", holds }
      : {};
});

const login = (): Promise<RawClient> => RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders" });
const left = async (): Promise<number> => Number((await postgres.query("SELECT count(*) FROM t")).rows[0].count);

test("of a portal that waits, the approver sees the values as they were sent", async () => {
  const client = await login();
  client.send(
    serialize.parse({ name: "", text: "DELETE FROM t WHERE id = $1 AND name = $2", types: [23, 25] }),
    serialize.bind({ values: [Buffer.from([0, 0, 0, 7]), "n7"] }),
    serialize.execute({}),
    serialize.sync(),
  );
  expect(tagsOf(await client.until("Z"))).toEqual(["DELETE 1"]);
  expect(asked).toMatchObject([
    {
      text: "DELETE FROM t WHERE id = $1 AND name = $2",
      shown: {
        textLength: 41,
        parameterCount: 2,
        parameters: [
          { typeOid: 23, binary: true, value: "00000007", length: 4, cut: false },
          { typeOid: 25, binary: false, value: "n7", length: 2, cut: false },
        ],
      },
    },
  ]);
  client.end();
});

test("what is too long to be read is refused with a sentence, and nothing of it runs; as a value it can wait", async () => {
  const client = await login();
  const refused = await client.query(`DELETE FROM t WHERE name <> '${"x".repeat(70_000)}'`);
  expect(reportsOf(refused)[0]?.["M"]).toMatch(/too long for a person to read: nobody approves what they cannot see/);
  expect(asked).toEqual([]);
  expect(await left()).toBe(10);
  client.send(
    serialize.parse({ name: "", text: "DELETE FROM t WHERE name <> $1", types: [25] }),
    serialize.bind({ values: ["x".repeat(70_000)] }),
    serialize.execute({}),
    serialize.sync(),
  );
  expect(tagsOf(await client.until("Z"))).toEqual(["DELETE 10"]);
  expect(asked[0]?.shown?.parameters).toMatchObject([{ value: "x".repeat(1024), length: 70_000, cut: true }]);
  client.end();
});
