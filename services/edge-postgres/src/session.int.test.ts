import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect as connectTls } from "node:tls";
import { once } from "node:events";
import pg from "pg";
import { serialize } from "pg-protocol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "@sallyport/runtime/testing";
import type { ObserveSchemaRequest } from "@sallyport/proto/catalog";
import { CommandFacts } from "@sallyport/proto/verdict";
import { startPostgres, type TestPostgres } from "../testing/postgres-server.ts";
import { dial, RawClient, reportsOf, rowsOf, typesOf } from "../testing/raw-client.ts";
import { appConnection, startTestGateway, type TestGateway } from "../testing/test-gateway.ts";
import { decodeBackendKeyData } from "./wire/backend.ts";
import { ALPN, encodeSslRequest, encodeStartup, PROTOCOL_3_0, PROTOCOL_3_2 } from "./wire/startup.ts";

let postgres: TestPostgres;
let gateway: TestGateway;
const observed: ObserveSchemaRequest[] = [];

beforeAll(async () => {
  postgres = await startPostgres();
  await postgres.query(`
    CREATE ROLE app LOGIN PASSWORD 'app-secret';
    GRANT CREATE ON SCHEMA public TO app;
    CREATE TABLE t (id int PRIMARY KEY, name text);
    INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 1000) i;
    ALTER TABLE t OWNER TO app;
    CREATE TABLE parent (a int, b text, c int GENERATED ALWAYS AS (a * 2) STORED) PARTITION BY LIST (a);
    CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
    CREATE VIEW v AS SELECT name AS alias FROM t;
    CREATE SEQUENCE numbers;
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE TYPE mood AS ENUM ('sad');
    CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);`);
  gateway = await startTestGateway({
    connections: [appConnection(postgres.port)],
    place: { handshakeMs: 1_000 },
    links: (links) => ({
      ...links,
      catalog: {
        ...links.catalog,
        observeSchema: async (request) => {
          observed.push(request);
          return { digest: "d", changed: true, asOf: 40 + observed.length };
        },
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
    facts: CommandFacts.fromPartial({
      actions: ["read"],
      hasWhere: true,
      defines: /^(CREATE|ALTER|DROP)/.test(command?.text ?? ""),
      verbs: /^COPY.*FROM/i.test(command?.text ?? "") ? ["copy-from"] : [],
    }),
  });
});

const login = (change: Partial<Parameters<typeof RawClient.login>[0]> = {}): Promise<RawClient> =>
  RawClient.login({ port: gateway.port, ca: gateway.ca, database: "orders", ...change });

interface Ran {
  code: number;
  out: string;
  err: string;
}
function run(command: string, args: string[], input?: string): Promise<Ran> {
  const env = {
    ...process.env,
    PGHOST: "localhost",
    PGPORT: String(gateway.port),
    PGUSER: "engineer",
    PGPASSWORD: "token",
    PGDATABASE: "orders",
    PGSSLMODE: "verify-full",
    PGSSLROOTCERT: gateway.ca,
  };
  return new Promise((resolve) => {
    const child = execFile(command, args, { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : 1, out, err }),
    );
    child.stdin?.end(input ?? "");
  });
}

describe("clients of others", () => {
  test("psql: queries, \\d, \\copy both ways, an error", async () => {
    const done = await run(
      "psql",
      ["-X", "-At"],
      [
        "SELECT count(*) FROM t;",
        "\\d t",
        "CREATE TABLE copied (id int, word text);",
        "COPY copied FROM STDIN;",
        "1\tone",
        "2\ttwo",
        "\\.",
        "SELECT string_agg(word, ',' ORDER BY id) FROM copied;",
        "COPY copied TO STDOUT;",
        "SELECT 1/0;",
        "COPY copied FROM STDIN;",
        "not a number\tx",
        "\\.",
        "SELECT 'still here';",
        "",
      ].join("\n"),
    );
    expect(done.out).toContain("1000\n");
    expect(done.out).toContain("id|integer");
    expect(done.out).toContain("one,two\n1\tone\n2\ttwo\n");
    expect(done.out).toContain("still here");
    expect(done.err).toContain("division by zero");
    expect(done.err).toContain("invalid input syntax for type integer");
    const records = await gateway.recordsUntil((all) => all.some((r) => r.kind === "frameFromClient"));
    const data = records.filter((r) => r.kind === "frameFromClient").map((r) => String(r.fact.data));
    expect(data.join("")).toContain("1\tone\n");
  });

  test("psql gives up: Ctrl-C", async () => {
    const done = await run("sh", ["-c", "(sleep 0.7; kill -INT $$) & exec psql -X -c 'SELECT pg_sleep(20)'"]);
    expect(done.err).toContain("canceling statement due to user request");
  });

  test("the pg driver: parameters, prepared statements, a pool, notifications", async () => {
    const options = {
      host: "127.0.0.1",
      port: gateway.port,
      user: "engineer",
      password: "x".repeat(6000),
      database: "orders",
      ssl: { ca: readFileSync(gateway.ca, "utf8"), servername: "localhost" },
    };
    const pool = new pg.Pool({ ...options, max: 4 });
    const sums = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        pool.query("SELECT $1::int + 1 AS n", [i]).then((r) => r.rows[0].n as number),
      ),
    );
    expect(sums).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    const client = await pool.connect();
    const named = { name: "by-id", text: "SELECT name FROM t WHERE id = $1" };
    for (const id of [1, 2, 3])
      expect((await client.query({ ...named, values: [id] })).rows).toEqual([{ name: `n${id}` }]);
    const heard = once(client, "notification");
    await client.query("LISTEN here");
    await pool.query("NOTIFY here, 'hello'");
    expect((await heard)[0]).toMatchObject({ channel: "here", payload: "hello" });
    await client.query("BEGIN");
    await expect(client.query("SELECT * FROM nowhere")).rejects.toMatchObject({ code: "42P01" });
    await client.query("ROLLBACK");
    client.release();
    await pool.end();
  });

  test("pg_dump", async () => {
    const done = await run("pg_dump", ["--no-owner", "-t", "t"]);
    expect(done.err.includes("version mismatch") ? "" : done.err).toBe("");
  });
});

describe("negotiation", () => {
  test("without TLS nobody is asked for a token", async () => {
    const client = await RawClient.login({ port: gateway.port, database: "orders" });
    expect(typesOf(client.said)).toBe("E");
    expect(reportsOf(client.said)[0]).toMatchObject({ S: "FATAL", C: "28000", M: expect.stringContaining("TLS") });
  });

  test("TLS from the first byte, with ALPN", async () => {
    const socket = connectTls({
      host: "127.0.0.1",
      port: gateway.port,
      ca: readFileSync(gateway.ca),
      servername: "localhost",
      ALPNProtocols: [ALPN],
    });
    await once(socket, "secureConnect");
    expect(socket.alpnProtocol).toBe(ALPN);
    const client = new RawClient(socket);
    client.send(
      encodeStartup(PROTOCOL_3_0, [
        ["user", "engineer"],
        ["database", "orders"],
      ]),
    );
    await client.until("R");
    client.send(serialize.password("token"));
    await client.until("Z");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });

  test("protocol 3.2 gets a long cancel key; what is newer, or unknown, is negotiated", async () => {
    const keyLength = (client: RawClient): number => {
      const key = client.said.find((m) => m.type === "K") as { body: Buffer };
      return decodeBackendKeyData(key.body, 0, key.body.length).secret.length;
    };
    const old = await login();
    const recent = await login({ protocol: PROTOCOL_3_2 });
    expect([keyLength(old), keyLength(recent)]).toEqual([4, 32]);
    expect(typesOf(recent.said)).not.toContain("v");
    const newest = await login({ protocol: PROTOCOL_3_0 + 9, parameters: { "_pq_.unknown": "1" } });
    const answer = newest.said.find((m) => m.type === "v")?.body as Buffer;
    expect([answer.readInt32BE(0), answer.readInt32BE(4), answer.toString("latin1", 8)]).toEqual([
      PROTOCOL_3_2,
      1,
      "_pq_.unknown\0",
    ]);
    expect(rowsOf(await newest.query("SELECT 1"))).toEqual([["1"]]);
    for (const client of [old, recent, newest]) client.end();
  });

  test("a startup parameter that would be an undecided SET is refused", async () => {
    const client = await login({ parameters: { options: "-c role=postgres" } });
    expect(reportsOf(client.said)[0]).toMatchObject({ S: "FATAL", C: "22023" });
    const passed = await login({ parameters: { options: "-c statement_timeout=12345", TimeZone: "Asia/Tokyo" } });
    expect(rowsOf(await passed.query("SHOW statement_timeout"))).toEqual([["12345ms"]]);
    expect(rowsOf(await passed.query("SHOW timezone"))).toEqual([["Asia/Tokyo"]]);
    passed.end();
  });

  test.each<[string, Buffer]>([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["a length below the least", Buffer.from([0, 0, 0, 4])],
    ["a length above the most", Buffer.from([0, 1, 0, 0, 0, 3, 0, 0])],
    ["bytes behind SSLRequest", Buffer.concat([encodeSslRequest(), Buffer.from("x")])],
    ["protocol 2", Buffer.from([0, 0, 0, 9, 0, 2, 0, 0, 0])],
    [
      "GSSENCRequest, many times",
      Buffer.concat(Array.from({ length: 9 }, () => Buffer.from([0, 0, 0, 8, 4, 210, 22, 48]))),
    ],
  ])("garbage is answered and closed: %s", async (_, bytes) => {
    const socket = await dial({ port: gateway.port });
    const client = new RawClient(socket);
    socket.write(bytes);
    await eventually(() => client.closed);
    expect(reportsOf(client.said)[0]).toMatchObject({ S: "FATAL", C: expect.stringMatching(/^(08P01|0A000)$/) });
  });

  test("garbage instead of a TLS handshake, and nothing at all, are closed in time", async () => {
    const socket = await dial({ port: gateway.port });
    socket.write(encodeSslRequest());
    await once(socket, "data");
    socket.write("this is not TLS");
    await once(socket.resume(), "close");
    const began = Date.now();
    const silent = new RawClient(await dial({ port: gateway.port }));
    const slow = await dial({ port: gateway.port });
    const drip = setInterval(() => slow.write(Buffer.from([0])), 100);
    slow.on("error", () => {});
    await eventually(() => silent.closed && slow.destroyed);
    clearInterval(drip);
    expect(reportsOf(silent.said)[0]).toMatchObject({ C: "08004" });
    expect(Date.now() - began).toBeLessThan(4_000);
  });

  test("garbage in the session ends it with 08P01, and is recorded", async () => {
    const client = await login();
    client.send(Buffer.from([0x21, 0, 0, 0, 4]));
    const last = await client.until("Z");
    expect(reportsOf(last)[0]).toMatchObject({ S: "FATAL", C: "08P01" });
    await gateway.recordsUntil((all) => all.some((r) => r.kind === "sessionClosed" && r.fact.cause === 6));
  });

  test("a message that is too long ends the session, and not before a denial of memory", async () => {
    const client = await login();
    const head = Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff]);
    client.send(head);
    expect(reportsOf(await client.until("Z"))[0]).toMatchObject({ S: "FATAL" });
  });
});

describe("the schema", () => {
  test("is observed at first use, as the server describes it", async () => {
    const client = await login();
    await client.query("SELECT 1");
    client.end();
    const { schema } = observed[0] as { schema: NonNullable<ObserveSchemaRequest["schema"]> };
    expect(schema.serverVersion).toMatch(/^18/);
    expect(schema.identity).toMatch(/^\d+\/\d+$/);
    const named = Object.fromEntries(schema.relations.map((r) => [r.name, r]));
    expect(named["t"]).toMatchObject({
      schema: "public",
      kind: "table",
      columns: [
        { number: 1, name: "id", type: "integer", typeOid: 23 },
        { number: 2, name: "name", type: "text", typeOid: 25 },
      ],
    });
    expect(named["v"]).toMatchObject({ kind: "view", viewDefinition: expect.stringContaining("FROM public.t") });
    expect(named["parent"]).toMatchObject({ kind: "partitioned" });
    expect(named["parent"]?.columns[2]).toMatchObject({ name: "c", generatedFrom: [1] });
    expect(named["child"]?.parents).toEqual([named["parent"]?.oid]);
    expect(named["numbers"]).toMatchObject({
      schema: "public",
      kind: "sequence",
      columns: [
        { number: 1, name: "last_value", type: "bigint" },
        { number: 2, name: "log_cnt", type: "bigint" },
        { number: 3, name: "is_called", type: "boolean" },
      ],
    });
    expect(schema.functions).toEqual(["public.f"]);
    expect(schema.types).toEqual(["public.mood"]);
    expect(schema.operators).toEqual(["public.==="]);
    expect(schema.relations.every((r) => !r.schema.startsWith("pg_"))).toBe(true);
  });

  test("is observed again after DDL, before the next decision, which must know it", async () => {
    const client = await login();
    await client.query("SELECT 1");
    const before = observed.length;
    await client.query("BEGIN");
    await client.query("CREATE TABLE fresh (id int)");
    await client.query("SELECT 'in the transaction'");
    expect(observed.length).toBe(before);
    expect(gateway.questions.at(-1)?.command?.schemaTouched).toBe(true);
    await client.query("COMMIT");
    await client.query("SELECT 'behind it'");
    expect(observed.length).toBe(before + 1);
    expect(observed.at(-1)?.schema?.relations.some((r) => r.name === "fresh")).toBe(true);
    expect(gateway.questions.at(-1)).toMatchObject({
      minAsOf: 40 + observed.length,
      command: { schemaTouched: false },
    });
    client.end();
  });
});

describe("COPY FROM in the extended protocol", () => {
  const copy = (end: Buffer[]): Buffer =>
    Buffer.concat([
      serialize.parse({ text: "COPY t FROM STDIN" }),
      serialize.bind({}),
      serialize.describe({ type: "P", name: "" }),
      serialize.execute({}),
      ...end,
    ]);

  test.each([
    ["with a Sync behind the Execute, which the server ignores", [serialize.sync()]],
    ["with a Flush", [serialize.flush()]],
  ])("%s", async (_, end) => {
    const client = await login();
    client.send(copy(end));
    expect(typesOf(await client.until("G"))).toBe("12nG");
    const id = 5000 + end.length + (end[0]?.[0] ?? 0);
    client.send(serialize.copyData(Buffer.from(`${id}\tcopied\n`)), serialize.copyDone(), serialize.sync());
    expect(typesOf(await client.until("Z"))).toBe("CZ");
    expect(rowsOf(await client.query(`SELECT name FROM t WHERE id = ${id}`))).toEqual([["copied"]]);
    client.end();
  });

  test("that fails, at the client's wish or the server's, skips to Sync", async () => {
    const client = await login();
    client.send(copy([serialize.sync()]));
    await client.until("G");
    client.send(serialize.copyFail("no more"), serialize.sync());
    expect(typesOf(await client.until("Z"))).toBe("EZ");
    client.send(copy([serialize.sync()]));
    await client.until("G");
    client.send(
      serialize.copyData(Buffer.from("nonsense\n")),
      serialize.copyData(Buffer.from("1\tx\n")),
      serialize.copyDone(),
    );
    expect(reportsOf(await client.until("E"))[0]).toMatchObject({ C: "22P02" });
    client.send(serialize.sync());
    expect(typesOf(await client.until("Z"))).toBe("Z");
    expect(rowsOf(await client.query("SELECT 1"))).toEqual([["1"]]);
    client.end();
  });
});

describe("large results", () => {
  test("a client that does not read holds up nobody, and memory stays bounded", async () => {
    const client = await login();
    client.socket.pause();
    client.send(serialize.query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"));
    const before = process.memoryUsage().rss;
    const other = await login();
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      await other.query("SELECT 1");
      expect(performance.now() - began).toBeLessThan(500);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    client.end();
    other.end();
    await eventually(async () => {
      const { rows } = await postgres.query(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT repeat%' AND state = 'active'",
      );
      return Number(rows[0].count) === 0;
    });
  });

  test("a row larger than every buffer flows through in pieces", async () => {
    const client = await login();
    const answer = await client.query("SELECT repeat('y', 20000000) AS big, 'end' AS last");
    const [row] = rowsOf(answer);
    expect([row?.[0]?.length, row?.[1]]).toEqual([20_000_000, "end"]);
    client.end();
  });
});
