import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Row } from "./audit-log.ts";
import { asAccount, Canary, edgeMemory, gateway, givenBack, held, log, pgClient, type Held } from "./place.ts";
import { Proxy } from "./proxy.ts";
import { message, query, RawClient } from "./raw-client.ts";
import { asSuperuser, marker } from "./target.ts";
import { until } from "./until.ts";

let before: Held;
let canary: Canary;
let proxy: Proxy;

beforeAll(async () => {
  canary = new Canary();
  await canary.sings(3);
  // The first login observes the schema, and keeps nothing.
  proxy = await Proxy.between(gateway.played.dying, gateway.target);
  for (const database of ["sandbox", "dying"]) await (await pgClient("engineer", database)).end();
  await until("they are gone", async () => ((await held()).sessions === 1 ? true : undefined));
  before = await held();
});

afterAll(async () => {
  await givenBack(before);
  proxy.stop();
  await canary.stop();
  expect(canary.troubles).toEqual([]);
});

const enter = (database = "sandbox"): Promise<RawClient> => RawClient.login(asAccount("engineer"), database);
const newId = (): string => randomBytes(6).toString("hex");

/** How a client's session ended, in the log. */
const endOf = ({ address }: RawClient): Promise<Row> =>
  log.find(
    "the session's end in the log",
    `SELECT state, cause, error FROM sessions WHERE client_address = '${address}' AND state != 'open'`,
    (rows) => rows[0],
  );

/** What the log says became of a marked command. */
const outcomeOf = (id: string): Promise<Row> =>
  log.find(
    "the command's outcome in the log",
    `SELECT status, code, admitted_at IS NOT NULL AS admitted FROM commands WHERE statement LIKE '%/* id:${id} */%'`,
    (rows) => rows.find(({ status }) => status !== "running" && status !== "admitted"),
  );

/** What the target is doing for a marked statement; undefined: nothing (any more). */
async function atTarget(id: string): Promise<{ state: string; wait_event: string } | undefined> {
  const sql = "SELECT state, wait_event FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1";
  const { rows } = await asSuperuser(gateway.superuser, "postgres", (client) =>
    client.query<{ state: string; wait_event: string }>(sql, [`%/* id:${id} */%`]),
  );
  return rows[0];
}

const targetIsDone = (id: string): Promise<boolean> =>
  until("the target has stopped", async () => ((await atTarget(id)) === undefined ? true : undefined));

/** 1 GB if anybody took it. */
const endless = (id: string): Buffer =>
  query(`SELECT repeat('x', 1000) FROM generate_series(1, 1000000) ${marker(id)}`);

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const text = (value: string): Buffer => Buffer.from(`${value}\0`);

const broken: readonly [what: string, bytes: Buffer, code: string][] = [
  ["an unknown message", message("~", "??"), "08P01"],
  ["a second password", message("p", "x\0"), "08P01"],
  ["a length below four", message("Q", "", 3), "08P01"],
  ["a negative length", message("Q", "SELECT 1\0", -1 >>> 0), "54000"],
  ["a query of 17 MiB", message("Q", "SELECT", 17 * 1024 * 1024), "54000"],
  ["a query without an end", message("Q", "SELECT 1"), "08P01"],
  ["a query with a zero byte in it", message("Q", "SELECT 1\0; DROP TABLE orders\0"), "08P01"],
  [
    "a Parse that promises types and has none",
    message("P", Buffer.concat([text(""), text("SELECT 1"), Buffer.from([0, 9])])),
    "08P01",
  ],
  [
    "a Bind that promises 65535 formats",
    message("B", Buffer.concat([text(""), text(""), Buffer.from([255, 255, 0, 0])])),
    "08P01",
  ],
  [
    "a Bind with a value of 2 GiB",
    message(
      "B",
      Buffer.concat([text(""), text(""), Buffer.from([0, 0, 0, 1]), int32(0x7fff_ffff), Buffer.from([0, 0])]),
    ),
    "08P01",
  ],
  ["a Describe of neither", message("D", "?\0"), "08P01"],
  ["an Execute that is cut off", message("E", Buffer.from("abcdefg")), "08P01"],
  ["a Sync with a body", message("S", "x"), "08P01"],
];

/** What was told for it, by the client's address. */
const broke = new Map<string, string>();

test.each(broken)("%s ends the session in words, with nothing forwarded", async (_, bytes, code) => {
  const client = await enter();
  expect(client.report).toBeUndefined();
  client.send(bytes);
  await client.end();
  expect(client.report).toMatchObject({ severity: "FATAL", code });
  broke.set(client.address, client.report!.message);
});

test("the log tells who broke the protocol, in the words that the client got", async () => {
  expect(broke.size).toBe(broken.length);
  const sql = "SELECT client_address, cause, error FROM sessions WHERE state = 'closed'";
  await log.find("every end", sql, (rows) => {
    const ends = new Map(rows.map((row) => [String(row["client_address"]), row]));
    return (
      [...broke].every(([address, error]) => {
        const row = ends.get(address);
        return row?.["cause"] === "protocol" && row["error"] === error;
      }) || undefined
    );
  });
});

test("noise behind a login never hangs and never takes anything with it", async () => {
  // Reproducible: a failing seed is in the name of the error.
  let state = 20_261_122;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const conversation = Buffer.concat([
    query("SELECT 1"),
    message("P", Buffer.concat([text("s"), text("SELECT $1::int"), Buffer.from([0, 0])])),
    message("B", Buffer.concat([text(""), text("s"), Buffer.from([0, 0, 0, 1]), int32(1), Buffer.from("7\0\0")])),
    message("D", "P\0"),
    message("E", Buffer.concat([text(""), int32(0)])),
    message("S", ""),
  ]);
  for (let round = 0; round < 4; round++) {
    const clients = await Promise.all(Array.from({ length: 8 }, () => enter()));
    for (const client of clients) {
      const bytes = Buffer.from(conversation);
      for (let i = 0; i <= random(6); i++) bytes[random(bytes.length)] = random(256);
      client.send(bytes.subarray(0, 1 + random(bytes.length)));
      client.socket.end();
    }
    for (const client of clients) await client.end();
  }
  await givenBack(before);
});

test("a client that vanishes in the middle of a result: the target stops, the log says so", async () => {
  const id = newId();
  const client = await enter();
  client.send(endless(id));
  await until("a megabyte of the result", () => (client.received > 1024 * 1024 ? true : undefined));
  client.vanish();
  await targetIsDone(id);
  expect(await endOf(client)).toMatchObject({ state: "closed", cause: "client" });
  const { status, admitted } = await outcomeOf(id);
  expect(admitted).toBeTruthy();
  expect(["unknown", "cancelled", "error"]).toContain(status);
  await givenBack(before);
});

test("a client that vanishes while its command runs: the command is cancelled at the target", async () => {
  const id = newId();
  const client = await enter();
  client.send(query(`SELECT pg_sleep(600) ${marker(id)}`));
  await until("it runs", async () => atTarget(id));
  client.vanish();
  await targetIsDone(id);
  expect(await endOf(client)).toMatchObject({ state: "closed", cause: "client" });
  await givenBack(before);
});

test("a client that never reads costs a bounded amount of memory, and nobody else anything", async () => {
  const id = newId();
  const client = await enter();
  const memory = edgeMemory();
  client.socket.pause();
  client.send(endless(id));
  // The target can send no more: everything between it and the client is full.
  await until("the target waits for its client", async () =>
    (await atTarget(id))?.wait_event === "ClientWrite" ? true : undefined,
  );
  await canary.sings(20);
  expect((await atTarget(id))?.wait_event).toBe("ClientWrite");
  expect(edgeMemory() - memory).toBeLessThan(96);
  client.vanish();
  await targetIsDone(id);
  expect(await endOf(client)).toMatchObject({ state: "closed", cause: "client" });
  await givenBack(before);
});

test("a client that asks for ever and never reads is not read for ever", async () => {
  const client = await enter();
  const memory = edgeMemory();
  client.socket.pause();
  const ask = query(`SELECT repeat('y', 20000) ${marker(newId())}`);
  let asked = 0;
  // 64 MiB of questions; the socket tells when nobody takes them any more.
  while (asked < 64 * 1024 * 1024 && client.socket.writableLength < 8 * 1024 * 1024) {
    client.send(Buffer.concat(Array.from({ length: 1000 }, () => ask)));
    asked += 1000 * ask.length;
    await canary.sings(1);
  }
  expect(asked).toBeLessThan(64 * 1024 * 1024);
  await canary.sings(10);
  expect(edgeMemory() - memory).toBeLessThan(96);
  client.vanish();
  await givenBack(before);
});

test("a target that dies in the middle of a result", async () => {
  const id = newId();
  const client = await enter("dying");
  client.send(endless(id));
  await until("a megabyte of the result", () => (client.received > 1024 * 1024 ? true : undefined));
  proxy.cut();
  await client.end();
  expect(client.report).toMatchObject({ severity: "FATAL", code: "08006" });
  expect(await endOf(client)).toMatchObject({ state: "closed", cause: "target", error: client.report!.message });
  expect(await outcomeOf(id)).toMatchObject({ status: "unknown" });
  await targetIsDone(id);
});

test("a target that dies while nothing runs, and one that begins to babble", async () => {
  const idle = await enter("dying");
  proxy.cut();
  await idle.end();
  expect(idle.report).toMatchObject({ severity: "FATAL", code: "08006" });
  expect(await endOf(idle)).toMatchObject({ state: "closed", cause: "target" });
  const other = await enter("dying");
  proxy.inject(Buffer.from("HTTP/1.1 500 Internal Server Error\r\n\r\n"));
  await other.end();
  expect(other.report).toMatchObject({ severity: "FATAL", code: "08006" });
  expect(await endOf(other)).toMatchObject({ state: "closed", cause: "target" });
});

test("a target that ends a session itself is heard out", async () => {
  const id = newId();
  const client = await enter();
  client.send(query(`SELECT pg_sleep(600) ${marker(id)}`));
  await until("it runs", async () => atTarget(id));
  await asSuperuser(gateway.superuser, "postgres", (superuser) =>
    superuser.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE $1", [
      `SELECT pg_sleep%${id}%`,
    ]),
  );
  await client.end();
  expect(client.report?.severity).toBe("FATAL");
  expect(["57P01", "08006"]).toContain(client.report?.code);
  expect(await endOf(client)).toMatchObject({ state: "closed", cause: "target" });
});
