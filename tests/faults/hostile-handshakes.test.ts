import { afterAll, beforeAll, expect, test } from "vitest";
import { HANDSHAKE_SECONDS } from "./global-gateway.ts";
import { asAccount, Canary, givenBack, held, log, rawTcp, rawTls, type Held } from "./place.ts";
import { message, password, type RawClient, SSL_REQUEST, startup, startupOf } from "./raw-client.ts";
import { pause, until, untilNothing } from "./until.ts";

let before: Held;
let canary: Canary;
/** What clients were told, by their address. */
const told = new Map<string, string>();

beforeAll(async () => {
  canary = new Canary();
  await canary.sings(3);
  before = await held();
});

afterAll(async () => {
  await givenBack(before);
  await canary.stop();
  expect(canary.troubles).toEqual([]);
});

const HTTP = Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
const many = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`p${i}`, "x"]));

const inClear: readonly [what: string, bytes: Buffer, code: string][] = [
  ["HTTP", HTTP, "08P01"],
  ["a length of zero", Buffer.alloc(64), "08P01"],
  ["a length of three", Buffer.from([0, 0, 0, 3, 1, 2, 3]), "08P01"],
  ["a length of 2 GiB", startupOf(0x0003_0000, Buffer.alloc(100), 0x7fff_ffff), "08P01"],
  ["a packet beyond the bound", startupOf(0x0003_0000, Buffer.alloc(10_001)), "08P01"],
  ["protocol 2", startup({ user: "engineer" }, 0x0002_0000), "0A000"],
  ["an unknown version", startup({ user: "engineer" }, 0x0909_0909), "0A000"],
  ["no end of the parameters", startupOf(0x0003_0000, Buffer.from("user\0engineer\0")), "08P01"],
  ["a name without a value", startupOf(0x0003_0000, Buffer.from("user\0")), "08P01"],
  ["text that is no UTF-8", startupOf(0x0003_0000, Buffer.from([0x75, 0, 0xff, 0xfe, 0, 0])), "22021"],
  ["a parameter twice", startupOf(0x0003_0000, Buffer.from("user\0a\0user\0b\0\0")), "08P01"],
  ["200 parameters", startup(many), "08P01"],
  ["bytes behind SSLRequest", Buffer.concat([SSL_REQUEST, startup({ user: "engineer" })]), "08P01"],
  ["a startup packet in clear", startup({ user: "engineer", database: "orders" }), "28000"],
];

test.each(inClear)("in clear, %s is refused in words", async (_, bytes, code) => {
  const client = await rawTcp();
  client.send(bytes);
  await client.end();
  expect(client.report).toMatchObject({ severity: "FATAL", code });
  told.set(client.address, client.report!.message);
});

const encrypted: readonly [what: string, bytes: Buffer, code: string][] = [
  ["HTTP", HTTP, "08P01"],
  ["a second SSLRequest, and nonsense", Buffer.concat([SSL_REQUEST, HTTP]), "08P01"],
  ["no user", startup({ database: "orders" }), "28000"],
  ["a replication session", startup({ user: "engineer", database: "orders", replication: "database" }), "0A000"],
];

test.each(encrypted)("in TLS, %s is refused in words", async (_, bytes, code) => {
  const client = await rawTls();
  client.send(bytes);
  await client.end();
  expect(client.report).toMatchObject({ severity: "FATAL", code });
  told.set(client.address, client.report!.message);
});

const hello = startup({ user: "engineer", database: "orders" });
const insteadOfAPassword: readonly [what: string, bytes: Buffer, code: string][] = [
  ["a query", message("Q", "SELECT 1\0"), "08P01"],
  ["a password of a megabyte", password("x".repeat(1024 * 1024)), "54000"],
  ["a password without an end", message("p", "no zero byte"), "08P01"],
  ["a length that is too short", message("p", "", 2), "08P01"],
  ["an unknown message", message("\u0001", "??"), "08P01"],
];

test.each(insteadOfAPassword)("instead of a password, %s is refused in words", async (_, bytes, code) => {
  const client = await rawTls();
  client.send(hello);
  await client.until("R");
  client.send(bytes);
  await client.end();
  expect(client.report).toMatchObject({ severity: "FATAL", code });
  told.set(client.address, client.report!.message);
});

test("noise where TLS should begin is hung up on", async () => {
  const client = await rawTcp();
  client.send(SSL_REQUEST);
  await until("the edge agrees to TLS", () => (client.received > 0 ? true : undefined));
  client.send(Buffer.from("this is no ClientHello"));
  const began = performance.now();
  await client.end();
  expect(performance.now() - began).toBeLessThan(HANDSHAKE_SECONDS * 900);
  const direct = await rawTcp();
  direct.send(Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]));
  await direct.end();
});

test("a cancel request with a key that nobody has does nothing", async () => {
  const client = await rawTcp();
  client.send(Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2]));
  await client.end();
  await canary.sings(2);
});

test("whoever vanishes in the middle of the handshake leaves nothing behind", async () => {
  const clients: RawClient[] = [];
  for (const bytes of [Buffer.alloc(0), Buffer.from([0, 0]), SSL_REQUEST.subarray(0, 7), SSL_REQUEST]) {
    const client = await rawTcp();
    client.send(bytes);
    clients.push(client);
  }
  for (const bytes of [Buffer.alloc(0), hello.subarray(0, 9), hello]) {
    const client = await rawTls();
    client.send(bytes);
    clients.push(client);
  }
  for (const client of clients) client.vanish();
  await givenBack(before);
});

test("a handshake has one deadline, however busily the client dawdles", async () => {
  const began = performance.now();
  const silent = await rawTcp();
  const dripping = await rawTcp();
  const stuckInTls = await rawTcp();
  stuckInTls.send(SSL_REQUEST);
  const atThePassword = await rawTls();
  atThePassword.send(hello);
  const slow = [silent, dripping, stuckInTls, atThePassword];
  const drip = (async () => {
    for (let at = 0; !dripping.ended; at++) {
      dripping.send(Buffer.from([hello[at % hello.length]!]));
      await pause(300);
    }
  })();
  await Promise.all(slow.map((client) => client.end((HANDSHAKE_SECONDS + 15) * 1000)));
  await drip;
  expect((performance.now() - began) / 1000).toBeGreaterThan(HANDSHAKE_SECONDS - 0.5);
  for (const client of [silent, dripping, atThePassword]) {
    expect(client.report).toMatchObject({ severity: "FATAL", code: "08004", message: "the login took too long" });
    told.set(client.address, client.report!.message);
  }
  await canary.sings(2);
});

test("the token may come in pieces", async () => {
  const { token } = asAccount("engineer");
  const client = await rawTls();
  for (const byte of hello) client.send(Buffer.from([byte]));
  await client.until("R");
  const bytes = password(token);
  client.send(bytes.subarray(0, 3));
  client.send(bytes.subarray(3, 40));
  client.send(bytes.subarray(40));
  await client.until("Z", "E");
  expect(client.report).toBeUndefined();
  client.send(message("X", ""));
  await client.end();
});

test("the log knows of everyone who was turned away, in the same words", async () => {
  expect(told.size).toBeGreaterThanOrEqual(20);
  const sql = "SELECT client_address, error FROM sessions WHERE state = 'refused'";
  const missing = await untilNothing(async () => {
    const refused = new Map((await log.ask(sql)).map((row) => [row["client_address"], row["error"]]));
    return [...told].filter(([address, error]) => refused.get(address) !== error).map(([, error]) => error);
  });
  expect(missing).toEqual([]);
});
