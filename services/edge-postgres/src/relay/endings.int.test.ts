import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "@sallyport/runtime/testing";
import { ApprovalStatus, type ApprovalState } from "@sallyport/proto/approval";
import { Outcome } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../../testing/postgres-server.ts";
import { dial, RawClient, reportsOf, rowsOf, statusOf, tagsOf, typesOf } from "../../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../../testing/test-gateway.ts";
import { encodeCancelRequest } from "../wire/startup.ts";

let postgres: TestPostgres;
let gateway: TestGateway;

/** People who answer what the test says. */
const answers: { next: ApprovalState["status"] | undefined; asked: string[]; withdrawn: string[]; wake: () => void } = {
  next: undefined,
  asked: [],
  withdrawn: [],
  wake: () => {},
};
const state = (status: ApprovalState["status"]): ApprovalState => ({
  approvalId: "apr-1",
  status,
  sessionId: "",
  principalId: "",
  connection: "",
  database: "",
  text: "",
  shown: undefined,
  normalized: "",
  holds: [],
  grantedBy: [],
  deniedBy: "user:dba",
  reason: "not today",
  requestedAtMs: 0,
  expiresAtMs: 0,
  asOf: 0,
  actors: [],
});

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE t (id int PRIMARY KEY, name text);
    INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 10) i;
    ALTER TABLE t OWNER TO app;`);
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port), appConnection(1, { name: "nobody-there" })],
    links: (links) => ({
      ...links,
      approval: {
        request: async ({ text }) => {
          answers.asked.push(text);
          return { approvalId: "apr-1", expiresAtMs: Date.now() + 60_000 };
        },
        await: async function* (_, signal) {
          yield state(ApprovalStatus.APPROVAL_STATUS_PENDING);
          while (answers.next === undefined && !signal.aborted) {
            await new Promise<void>((resolve) => {
              answers.wake = resolve;
              signal.addEventListener("abort", () => resolve(), { once: true });
            });
          }
          if (answers.next !== undefined) yield state(answers.next);
        },
        use: async () => ({ asOf: 0 }),
        withdraw: async (id) => void answers.withdrawn.push(id),
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});
beforeEach(() => {
  Object.assign(answers, { next: undefined, asked: [], withdrawn: [] });
  gateway.decide = ({ command }) =>
    command?.text.startsWith("DELETE") && command.approvalId === ""
      ? {
          outcome: Outcome.OUTCOME_HOLD,
          message: "Deletes are looked at by two.",
          holds: [
            { policyId: "p", group: "dba", quorum: 1, withinSeconds: 60, message: "Deletes are looked at by two." },
          ],
        }
      : {};
});

const login = (): Promise<RawClient> => RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders" });
const answer = (status: ApprovalState["status"]): void => {
  answers.next = status;
  answers.wake();
};
const cancel = async (client: RawClient): Promise<void> => {
  const socket = await dial({ port: gateway.port });
  socket.end(encodeCancelRequest(client.key.processId, client.key.secret));
  await once(socket.resume(), "close");
};
const running = async (sql: string): Promise<number> =>
  Number(
    (await postgres.query(`SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '${sql}%'`))
      .rows[0].count,
  );

describe("cancel", () => {
  test("ends what runs at the target, and only that; the session lives on", async () => {
    const client = await login();
    client.send(serialize.query("SELECT pg_sleep(30)"));
    await eventually(async () => (await running("SELECT pg_sleep")) === 1);
    await cancel(client);
    const answered = await client.until("Z");
    expect(reportsOf(answered)[0]).toMatchObject({ C: "57014" });
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "commandCompleted" && r.fact.code === "57014"),
    );
    expect(records.some((r) => r.kind === "cancelRequested" && r.fact.command === 1)).toBe(true);
    expect(records.find((r) => r.kind === "commandCompleted" && r.fact.code === "57014")?.fact.status).toBe(3);
  });

  test("with a wrong key does nothing", async () => {
    const client = await login();
    client.send(serialize.query("SELECT pg_sleep(0.3)"));
    await eventually(async () => (await running("SELECT pg_sleep")) === 1);
    const socket = await dial({ port: gateway.port });
    socket.end(encodeCancelRequest(client.key.processId, Buffer.alloc(4)));
    await once(socket.resume(), "close");
    expect(typesOf(await client.until("Z"))).toBe("TDCZ");
    client.end();
  });
});

describe("a held command", () => {
  test("tells the client at once, waits, and runs when granted, in its transaction", async () => {
    const client = await login();
    await client.query("BEGIN");
    await client.query("UPDATE t SET name = 'mine' WHERE id = 1");
    client.send(serialize.query("DELETE FROM t WHERE id = 2"));
    const [notice] = reportsOf(await client.until("N"), "N");
    expect(notice?.["M"]).toMatch(/waits for approval by group dba until \d\d:\d\d:\d\d UTC \(approval apr-1\)/);
    expect(notice?.["D"]).toBe("Deletes are looked at by two.");
    expect(postgres.log()).not.toContain("DELETE FROM t WHERE id = 2");
    answer(ApprovalStatus.APPROVAL_STATUS_GRANTED);
    const done = await client.until("Z");
    expect(tagsOf(done)).toEqual(["DELETE 1"]);
    expect(statusOf(done)).toBe("T");
    expect(tagsOf(await client.query("COMMIT"))).toEqual(["COMMIT"]);
    client.end();
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "commandAdmitted" && r.fact.approvalId === "apr-1"),
    );
    const kinds = records.filter((r) => r.fact.command === 3).map((r) => r.kind);
    expect(kinds.indexOf("commandHeld")).toBeLessThan(kinds.indexOf("commandAdmitted"));
  });

  test("that is denied is an ERROR which fails the transaction", async () => {
    const client = await login();
    await client.query("BEGIN");
    client.send(serialize.query("DELETE FROM t WHERE id = 3"));
    await client.until("N");
    answer(ApprovalStatus.APPROVAL_STATUS_DENIED);
    const done = await client.until("Z");
    expect(reportsOf(done)[0]).toMatchObject({ C: "42501", M: expect.stringContaining("not today") });
    expect(statusOf(done)).toBe("E");
    client.end();
  });

  test("is withdrawn by a cancel, and the session lives on", async () => {
    const client = await login();
    client.send(serialize.query("DELETE FROM t WHERE id = 4"));
    await client.until("N");
    await cancel(client);
    const done = await client.until("Z");
    expect(reportsOf(done)[0]).toMatchObject({ C: "57014" });
    expect(answers.withdrawn).toEqual(["apr-1"]);
    expect(rowsOf(await client.query("SELECT count(*) FROM t WHERE id = 4"))).toEqual([["1"]]);
    client.end();
  });

  test("is withdrawn when the client goes away", async () => {
    const client = await login();
    client.send(serialize.query("DELETE FROM t WHERE id = 5"));
    await client.until("N");
    client.end();
    await eventually(() => answers.withdrawn.length === 1);
    expect(postgres.log()).not.toContain("DELETE FROM t WHERE id = 5");
  });

  test("as a portal: its statement may be prepared, the Bind waits", async () => {
    const client = await login();
    client.send(serialize.parse({ text: "DELETE FROM t WHERE id = $1", name: "d", types: [23] }), serialize.sync());
    expect(typesOf(await client.until("Z"))).toBe("1Z");
    client.send(
      serialize.parse({ text: "SELECT 'before'" }),
      serialize.bind({}),
      serialize.execute({}),
      serialize.bind({ statement: "d", values: ["6"] }),
      serialize.execute({}),
      serialize.sync(),
    );
    const before = await client.until("N");
    expect(typesOf(before)).toBe("12DCN");
    answer(ApprovalStatus.APPROVAL_STATUS_GRANTED);
    expect(tagsOf(await client.until("Z"))).toEqual(["DELETE 1"]);
    client.end();
  });
});

describe("the session ends", () => {
  test("because it must: the running command is cancelled, the client told, all recorded", async () => {
    const client = await login();
    client.send(serialize.query("SELECT pg_sleep(31)"));
    await eventually(async () => (await running("SELECT pg_sleep(31)")) === 1);
    for (const session of gateway.edge.sessions()) session.end("revoked", "Your access was withdrawn.");
    const last = await client.until("Z");
    expect(reportsOf(last)[0]).toMatchObject({ S: "FATAL", C: "57P01", M: "Your access was withdrawn." });
    await eventually(() => client.closed);
    await eventually(async () => (await running("SELECT pg_sleep(31)")) === 0);
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "sessionClosed" && r.fact.cause === 3),
    );
    expect(records.some((r) => r.kind === "commandCompleted" && r.fact.status === 4)).toBe(true);
  });

  test("when the client vanishes, what runs at the target ends", async () => {
    const client = await login();
    client.send(serialize.query("SELECT pg_sleep(32)"));
    await eventually(async () => (await running("SELECT pg_sleep(32)")) === 1);
    client.end();
    expect(await eventually(async () => (await running("SELECT pg_sleep(32)")) === 0)).toBe(true);
  });

  test("after Terminate, what was sent before it is still done", async () => {
    const client = await login();
    client.send(serialize.query("UPDATE t SET name = 'last' WHERE id = 7"), serialize.end());
    await eventually(() => client.closed);
    const name = async (): Promise<string> => (await postgres.query("SELECT name FROM t WHERE id = 7")).rows[0].name;
    await eventually(async () => (await name()) === "last");
    expect(await name()).toBe("last");
  });

  test("when its target's process dies, with the server's own words", async () => {
    const client = await login();
    client.send(serialize.query("SELECT pg_sleep(33)"));
    await eventually(async () => (await running("SELECT pg_sleep(33)")) === 1);
    await postgres.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(33)%'",
    );
    const last = await client.until("Z");
    expect(reportsOf(last).map((e) => e["C"])).toEqual(["57P01"]);
    await eventually(() => client.closed);
  });

  test("when the target is gone without a word, with 08006", async () => {
    const fake = await fakeTarget((socket) => socket.destroy());
    const other = await startTestGateway({ connections: [appConnection(fake.port)] });
    const client = await RawClient.login({ port: other.port, ca: other.ca, database: "orders" });
    const last = await client.query("SELECT 1");
    expect(reportsOf(last).at(-1)).toMatchObject({ S: "FATAL", C: "08006" });
    await other.stop();
    fake.server.close();
  });

  test("when the target breaks the protocol, and nothing of that reaches the client", async () => {
    const fake = await fakeTarget((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\nsecret"));
    const other = await startTestGateway({ connections: [appConnection(fake.port)] });
    const client = await RawClient.login({ port: other.port, ca: other.ca, database: "orders" });
    const last = await client.query("SELECT 1");
    expect(reportsOf(last).at(-1)).toMatchObject({ S: "FATAL", C: "08006" });
    expect(Buffer.concat(client.said.map((m) => m.body)).toString()).not.toContain("secret");
    await other.stop();
    fake.server.close();
  });
});

describe("the login fails", () => {
  test("when the target cannot be reached, with a sentence", async () => {
    const client = await RawClient.login({ port: gateway.port, ca: gateway.ca, database: "nobody-there" });
    expect(reportsOf(client.said)[0]).toMatchObject({
      S: "FATAL",
      C: "08006",
      M: expect.stringContaining("connection refused"),
    });
    const unknown = await RawClient.login({ port: gateway.port, ca: gateway.ca, database: "nowhere" });
    expect(reportsOf(unknown.said)[0]).toMatchObject({ S: "FATAL", C: "3D000", M: expect.stringContaining("nowhere") });
    await gateway.recordsUntil((all) => all.filter((r) => r.kind === "sessionRefused").length >= 2);
  });
});

/** Lets everybody in, and answers the first query with what it is told to. */
async function fakeTarget(say: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    let logins = 0;
    socket.on("data", () => {
      logins += 1;
      if (logins === 1) socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]));
      else say(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as { port: number }).port, server };
}
