import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { serialize } from "pg-protocol";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "@sallyport/runtime/testing";
import { startPostgres, type TestPostgres } from "../testing/postgres-server.ts";
import { RawClient, reportsOf, rowsOf } from "../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../testing/test-gateway.ts";
import { Backend, Frontend } from "./wire/message-table.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
let target: Server;
let behave: (socket: Socket) => void = () => {};

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query("CREATE ROLE app LOGIN PASSWORD 'app-secret'");
  target = createServer((socket) => {
    socket.on("error", () => {});
    let first = true;
    socket.on("data", () => {
      if (first) socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]));
      else behave(socket);
      first = false;
    });
  });
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const { port } = target.address() as { port: number };
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port), appConnection(port, { name: "hostile" })],
  });
});
afterAll(async () => {
  target?.close();
  await gateway?.stop();
  await postgres?.stop();
});

const login = (database = "orders"): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database });

let seed = 7;
const random = (n: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return (seed >>> 8) % n;
};
const bytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => random(256)));
function message(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head[0] = type;
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

afterEach(async () => {
  // Whatever happened to others: a session is served as before, and none is left behind.
  const client = await login();
  expect(rowsOf(await client.query("SELECT 'still served'"))).toEqual([["still served"]]);
  client.end();
  await eventually(() => [...gateway.edge.sessions()].length === 0);
});

describe("a hostile client", () => {
  const good = [
    serialize.query("SELECT 1"),
    serialize.parse({ name: "a", text: "SELECT $1::text" }),
    serialize.bind({ statement: "a", values: ["x"] }),
    serialize.describe({ type: "P", name: "" }),
    serialize.execute({}),
    serialize.sync(),
    serialize.flush(),
    serialize.close({ type: "S", name: "a" }),
    serialize.query("BEGIN"),
    serialize.query("COPY (SELECT 1) TO STDOUT"),
    serialize.copyData(Buffer.from("x\n")),
    serialize.copyDone(),
    serialize.query("ROLLBACK"),
  ];

  test("that says everything in any order gets answers or a proper end", async () => {
    for (let round = 0; round < 60; round++) {
      const client = await login();
      const said = Array.from({ length: 3 + random(20) }, () => good[random(good.length)] as Buffer);
      client.send(...said, serialize.sync(), serialize.query("SELECT 'end'"), serialize.query("ROLLBACK"));
      await client.until("Z", "E");
      client.end();
    }
  });

  test("that sends garbage in messages ends with 08P01, or is answered", async () => {
    const types = Object.values(Frontend);
    for (let round = 0; round < 60; round++) {
      const client = await login();
      for (let i = 0; i < 5; i++) client.send(message(types[random(types.length)] as number, bytes(random(60))));
      client.send(serialize.sync());
      client.socket.end();
      await eventually(() => client.closed);
    }
    const records = await gateway.recordsUntil((all) =>
      all.some((r) => r.kind === "sessionClosed" && r.fact.cause === 6),
    );
    expect(records.length).toBeGreaterThan(0);
  });

  test("many at once are all let in, or told that there are too many", async () => {
    const clients = await Promise.all(Array.from({ length: 150 }, () => login()));
    const answers = await Promise.all(clients.map((client) => client.query("SELECT 1")));
    expect(answers.filter((answer) => rowsOf(answer).length === 1).length).toBe(150);
    clients.forEach((client) => client.end());
  });
});

describe("a hostile target", () => {
  test("that sends garbage ends its session, and nothing of it arrives", async () => {
    const types = Object.values(Backend);
    for (let round = 0; round < 60; round++) {
      behave = (socket) => {
        for (let i = 0; i < 4; i++) socket.write(message(types[random(types.length)] as number, bytes(random(60))));
        socket.write(Buffer.from("GARBAGE-THAT-NO-CLIENT-SEES"));
      };
      const client = await login("hostile");
      client.send(serialize.query("SELECT 1"));
      await eventually(() => client.closed);
      const all = Buffer.concat(client.said.map((m) => m.body)).toString("latin1");
      expect(all).not.toContain("GARBAGE");
      expect(reportsOf(client.said).length).toBeGreaterThan(0);
      client.end();
    }
  });

  test("that claims an endless message does not make us keep it", async () => {
    behave = (socket) => socket.write(Buffer.from([Backend.commandComplete, 0x7f, 0xff, 0xff, 0xff]));
    const client = await login("hostile");
    client.send(serialize.query("SELECT 1"));
    await eventually(() => client.closed);
    expect(reportsOf(client.said)[0]).toMatchObject({ S: "FATAL", C: "08006" });
  });

  test("that never answers can be left", async () => {
    behave = () => {};
    const client = await login("hostile");
    client.send(serialize.query("SELECT 1"));
    client.end();
    expect(client.said.some((m) => m.type === "Z")).toBe(true);
  });
});

describe("the bus fails", () => {
  test("sessions end with a proper error, what runs is cancelled, and new ones are served once it is back", async () => {
    const client = await login();
    client.send(serialize.query("SELECT pg_sleep(60)"));
    const sleeping = async (): Promise<number> =>
      Number(
        (
          await postgres.query(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%' AND state = 'active'",
          )
        ).rows[0].count,
      );
    await eventually(async () => (await sleeping()) === 1);
    const idle = await login();
    await gateway.nats.kill();
    idle.send(serialize.query("SELECT 'cannot be recorded'"));
    await eventually(() => client.closed && idle.closed, 15_000);
    expect(reportsOf(idle.said).at(-1)).toMatchObject({ S: "FATAL", C: "57P01" });
    expect(postgres.log()).not.toContain("cannot be recorded");
    await eventually(async () => (await sleeping()) === 0, 10_000);
    await gateway.nats.restart();
    await eventually(async () => {
      const again = await login();
      const served = rowsOf(await again.query("SELECT 1")).length === 1;
      again.end();
      return served;
    }, 15_000);
  });
});
