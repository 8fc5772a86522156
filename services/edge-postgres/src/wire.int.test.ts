import { once } from "node:events";
import type { Socket } from "node:net";
import { Connection } from "@sallyport/proto/catalog_model";
import { CommandFacts } from "@sallyport/proto/verdict";
import { serialize } from "pg-protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type TestPostgres } from "../testing/postgres-server.ts";
import { dial, RawClient, reportsOf, rowsOf, tagsOf, typesOf } from "../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../testing/test-gateway.ts";
import { dialDirectly } from "./target/dial.ts";
import { observeSchema } from "./target/observe-schema.ts";
import { reachTarget } from "./target/dial-and-login.ts";
import { encodeCancelRequest, encodeStartup, PROTOCOL_3_0, PROTOCOL_3_2 } from "./wire/startup.ts";

/** What the protocol allows and drivers seldom do: versions, names, and messages of any length. */
const MiB = 1024 * 1024;
let postgres: TestPostgres;
let gateway: TestGateway;

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    CREATE TABLE taken (data text);
    ALTER TABLE taken OWNER TO app;`);
  gateway = await startTestGateway({ connections: [appConnection(postgres.port)] });
});
afterAll(async () => {
  await gateway?.stop();
  await postgres?.stop();
});

const login = (options: { parameters?: Record<string, string>; protocol?: number } = {}): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders", ...options });

describe("versions", () => {
  test.each([
    ["3.0", PROTOCOL_3_0, 4],
    ["3.1, which nobody speaks", PROTOCOL_3_0 + 1, 4],
    ["3.2", PROTOCOL_3_2, 32],
  ])("%s is taken as it is, and its key cancels", async (_, protocol, length) => {
    const client = await login({ protocol });
    expect(typesOf(client.said)).not.toContain("v");
    const { processId, secret } = client.key;
    expect(secret.length).toBe(length);
    client.send(serialize.query(`SELECT pg_sleep(60), 'version ${protocol}'`));
    await untilRuns(`version ${protocol}`);
    const socket = await dial({ port: gateway.port, ca: gateway.ca });
    socket.end(encodeCancelRequest(processId, secret));
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "57014" });
    client.end();
  });

  test.each([
    ["a newer minor version", PROTOCOL_3_0 + 3, []],
    ["the newest there could be", PROTOCOL_3_0 + 9999, ["_pq_.command_progress"]],
    ["an unknown option", PROTOCOL_3_2, ["_pq_.a", "_pq_.b"]],
  ] as [string, number, string[]][])(
    "%s is negotiated before the password is asked for",
    async (_, protocol, options) => {
      const client = new RawClient(await dial({ port: gateway.port, ca: gateway.ca }));
      const named = options.map((name) => [name, "on"] as const);
      client.send(encodeStartup(protocol, [["user", "engineer"], ["database", "orders"], ...named]));
      const said = await client.until("R");
      expect(typesOf(said)).toBe("vR");
      const { body } = said[0]!;
      expect(body.readUInt32BE(0)).toBe(PROTOCOL_3_2);
      expect(body.subarray(4)).toEqual(namesOf(options));
      client.send(serialize.password("token"));
      expect(typesOf(await client.until("Z"))).not.toContain("v");
      client.end();
    },
  );
});

const namesOf = (options: readonly string[]): Buffer =>
  Buffer.concat([Buffer.from([0, 0, 0, options.length]), Buffer.from(options.map((name) => `${name}\0`).join(""))]);

describe("replication", () => {
  test.each(["true", "database", "1"])("with %s is refused with a sentence", async (replication) => {
    const client = await login({ parameters: { replication } });
    expect(reportsOf(client.said)[0]).toMatchObject({
      S: "FATAL",
      C: "0A000",
      M: expect.stringMatching(/replication/),
    });
  });

  test("switched off is an ordinary connection, at the target too", async () => {
    const client = await login({ parameters: { replication: "false" } });
    expect(
      rowsOf(await client.query("SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()")),
    ).toEqual([["client backend"]]);
    client.end();
  });
});

test("a statement that was prepared stays when its name is given a second time, as at the server", async () => {
  const client = await login();
  const parse = (text: string): Buffer => serialize.parse({ name: "twice", text });
  client.send(parse("SELECT 1"), serialize.sync());
  await client.until("Z");
  client.send(parse("SELECT 2"), serialize.sync());
  expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "42P05" });
  client.send(serialize.bind({ statement: "twice" }), serialize.execute({}), serialize.sync());
  expect(rowsOf(await client.until("Z"))).toEqual([["1"]]);
  client.end();
});

test("an isolation level can be set behind other settings of its transaction: nothing of ours takes the snapshot", async () => {
  gateway.decide = ({ command }) => ({
    facts: CommandFacts.fromPartial({ sessionEffect: command?.text.startsWith("SET") ?? false }),
  });
  const client = await login();
  for (const sql of ["BEGIN", "SET LOCAL lock_timeout = '5s'", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"]) {
    expect(reportsOf(await client.query(sql))).toEqual([]);
  }
  expect(rowsOf(await client.query("SHOW transaction_isolation"))).toEqual([["serializable"]]);
  client.end();
  gateway.decide = () => ({});
});

test("a table of 1,600 columns with defaults is observed soon", async () => {
  const columns = Array.from({ length: 1600 }, (_, i) => `c${i} smallint DEFAULT ${i}`);
  await postgres.query(`CREATE TABLE wide (${columns.join(", ")})`);
  const connection = Connection.fromPartial(appConnection(postgres.port));
  const signal = AbortSignal.timeout(30_000);
  const target = await reachTarget(dialDirectly, { connection, database: "postgres", parameters: [] }, signal);
  const began = performance.now();
  const schema = await observeSchema(target, ["app"], signal);
  // One scan for each column took 7 s.
  expect(performance.now() - began).toBeLessThan(3_000);
  expect(schema.relations.find(({ name }) => name === "wide")?.columns.length).toBe(1600);
  target.socket.destroy();
});

describe("a message of 192 MiB", () => {
  const LENGTH = 192 * MiB;

  test("as a cell flows through, and little of it is held", async () => {
    const { socket, client } = await flowing();
    const memory = watchMemory();
    client.send(serialize.query(`SELECT repeat('x', ${LENGTH})`));
    const bytes = await countUntilReady(socket);
    expect(bytes).toBeGreaterThan(LENGTH);
    expect(memory.stop()).toBeLessThan(100 * MiB);
    socket.destroy();
  });

  test("as COPY data goes on in pieces, and little of it is held", async () => {
    const client = await login();
    client.send(serialize.query("BEGIN"));
    await client.until("Z");
    client.send(serialize.query("COPY taken FROM STDIN"));
    await client.until("G");
    const memory = watchMemory();
    const header = Buffer.from([0x64, 0, 0, 0, 0]);
    header.writeUInt32BE(LENGTH + 4, 1);
    client.send(header);
    const line = Buffer.from(`${"y".repeat(MiB - 1)}\n`);
    for (let sent = 0; sent < LENGTH; sent += MiB) {
      if (!client.socket.write(line)) await once(client.socket, "drain");
    }
    client.send(serialize.copyDone());
    expect(tagsOf(await client.until("Z"))).toEqual([`COPY ${LENGTH / MiB}`]);
    expect(memory.stop()).toBeLessThan(100 * MiB);
    await client.query("ROLLBACK");
    client.end();
  });

  test("of COPY data that the server refuses at its beginning is dropped to its end, and the session lives on", async () => {
    const client = await login();
    client.send(serialize.query("COPY taken FROM STDIN (FORMAT binary)"));
    await client.until("G");
    const data = Buffer.alloc(8 * MiB, "Q");
    const header = Buffer.from([0x64, 0, 0, 0, 0]);
    header.writeUInt32BE(data.length + 4, 1);
    client.send(header, data.subarray(0, MiB));
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ C: "22P04" });
    client.send(data.subarray(MiB), serialize.copyDone());
    expect(rowsOf(await client.query("SELECT 'alive'"))).toEqual([["alive"]]);
    client.end();
  });

  test("as a parameter is refused before it is here, with the bound", async () => {
    const client = await login();
    const memory = watchMemory();
    const header = Buffer.from([0x42, 0, 0, 0, 0]);
    header.writeUInt32BE(LENGTH, 1);
    client.send(header);
    expect(reportsOf(await client.until("E"))[0]).toMatchObject({
      S: "FATAL",
      C: "54000",
      M: expect.stringMatching(/above/),
    });
    expect(memory.stop()).toBeLessThan(50 * MiB);
    client.end();
  });
});

describe("what is too long to be decided", () => {
  test("a text of 1 MiB is refused with the bound, and the session lives on", async () => {
    const client = await login();
    const long = `SELECT '${"x".repeat(MiB)}'`;
    expect(reportsOf(await client.query(long))[0]).toMatchObject({
      S: "ERROR",
      M: expect.stringMatching(/too long.*262144/),
    });
    client.send(serialize.parse({ text: long }), serialize.bind({}), serialize.execute({}), serialize.sync());
    expect(typesOf(await client.until("Z"))).toBe("EZ");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test("a parameter of 8 MiB is none of that", async () => {
    const client = await login();
    client.send(
      serialize.parse({ text: "SELECT length($1::text)" }),
      serialize.bind({ values: ["z".repeat(8 * MiB)] }),
    );
    client.send(serialize.execute({}), serialize.sync());
    expect(rowsOf(await client.until("Z"))).toEqual([[String(8 * MiB)]]);
    client.end();
  });
});

async function untilRuns(marker: string): Promise<void> {
  const active = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%${marker}%'`;
  while ((await postgres.query(active)).rowCount === 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Logged in, and from here on nobody keeps what comes. */
async function flowing(): Promise<{ socket: Socket; client: RawClient }> {
  const client = await login();
  client.socket.removeAllListeners("data");
  return { socket: client.socket, client };
}

/** Bytes up to a ReadyForQuery at the end of a chunk. */
function countUntilReady(socket: Socket): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    socket.on("close", () => reject(new Error(`closed after ${bytes} bytes`)));
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (chunk.subarray(-6).equals(Buffer.from([0x5a, 0, 0, 0, 5, 0x49]))) resolve(bytes);
    });
  });
}

/** How much more memory there was at the most, bytes. */
function watchMemory(): { stop(): number } {
  const before = process.memoryUsage().rss;
  let most = before;
  const look = (): number => (most = Math.max(most, process.memoryUsage().rss));
  const timer = setInterval(look, 20);
  return {
    stop: () => {
      clearInterval(timer);
      return look() - before;
    },
  };
}
