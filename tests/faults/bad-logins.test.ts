import { generateKeyPairSync } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";
import { isDeepStrictEqual } from "node:util";
import { bearer, call } from "@sallyport/cli/api";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { profileOf } from "../harness/clients.ts";
import { api, asAccount, Canary, gateway, givenBack, held, log, type Held } from "./place.ts";
import { RawClient, type Report } from "./raw-client.ts";
import { until, untilNothing } from "./until.ts";

let before: Held;
let canary: Canary;

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

/** What the log has to say of each refusal, by the client's address: looked up in one go at the end. */
const expected = new Map<string, { cause: string; error: string; principal: string }>();

/** Logs in with what is given, to no avail. Returns what the client was told. */
async function refused(
  cause: string,
  token: string,
  { user = "engineer", database = "sandbox", principal = "user:engineer" } = {},
): Promise<Report> {
  const client = await RawClient.login({ ...asAccount("engineer"), user, token }, database);
  await client.end();
  const { report, address } = client;
  if (report === undefined) throw new Error("it was let in, or not told anything");
  expected.set(address, { cause, error: report.message, principal });
  expect(report.severity).toBe("FATAL");
  return report;
}

const engineer = (): string => profileOf(gateway, "engineer").token;

/** The engineer's token with changes, signed by a stranger. */
function foreign(changes: object = {}): Promise<string> {
  const payload = { ...decodeJwt(engineer()), ...changes };
  const header = { ...decodeProtectedHeader(engineer()), alg: "EdDSA" };
  return new SignJWT(payload).setProtectedHeader(header).sign(generateKeyPairSync("ed25519").privateKey);
}

function unsigned(): string {
  const [, payload] = engineer().split(".");
  return `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString("base64url")}.${payload}.`;
}

async function personalToken(ttlSeconds: number): Promise<{ token: string; tokenId: string }> {
  const { access } = api;
  const request = { label: "fault", ttlSeconds, actor: "" };
  const { token } = await call(access, access.createToken, request, bearer(engineer()));
  return { token: token!.token, tokenId: token!.tokenId };
}

const wrongTokens: readonly [what: string, token: () => string | Promise<string>][] = [
  ["an empty token", () => ""],
  ["nonsense", () => "swordfish"],
  ["15 KiB of nonsense", () => "x".repeat(15 * 1024)],
  ["a token that is cut off", () => engineer().slice(0, -7)],
  ["a token signed by somebody else", () => foreign()],
  ["a token of another issuer", () => foreign({ iss: "https://elsewhere.example" })],
  ["a token without a signature", () => unsigned()],
];

test.each(wrongTokens)("%s is refused", async (_, token) => {
  const presented = await token();
  const { code, message } = await refused("unauthenticated", presented, { principal: "" });
  expect(code).toBe("28P01");
  if (presented !== "") expect(message).not.toContain(presented.slice(-20));
});

test("a revoked token ends the session that it opened, and opens no other", async () => {
  const { token, tokenId } = await personalToken(600);
  const client = await RawClient.login({ ...asAccount("engineer"), token }, "sandbox");
  expect(client.report).toBeUndefined();
  const { access } = api;
  const revoke = { what: { $case: "tokenId" as const, value: tokenId }, reason: "a fault test" };
  await call(access, access.revoke, revoke, bearer(engineer()));
  await client.end();
  expect(client.report).toMatchObject({ severity: "FATAL", code: "57P01" });
  expect(await refused("unauthenticated", token, { principal: "" })).toMatchObject({ code: "28P01" });
});

test("an expired token ends the session that it opened, and opens no other", async () => {
  const { token } = await personalToken(4);
  const client = await RawClient.login({ ...asAccount("engineer"), token }, "sandbox");
  expect(client.report).toBeUndefined();
  await client.end();
  expect(client.report).toMatchObject({
    severity: "FATAL",
    code: "57P01",
    message: expect.stringMatching(/expired/) as string,
  });
  const report = await refused("unauthenticated", token, { principal: "" });
  expect(report).toMatchObject({ code: "28P01", message: expect.stringMatching(/expired/) as string });
});

test("somebody else's name, an unknown connection and one that policy denies are refused", async () => {
  const stranger = await refused("unauthenticated", engineer(), { user: "dba", principal: "" });
  expect(stranger.code).toBe("28P01");
  const unknown = await refused("not-found", engineer(), { database: "nowhere" });
  expect(unknown).toMatchObject({ code: "3D000", message: "there is no such connection" });
  const { token, user } = profileOf(gateway, "security");
  const denied = await refused("not-permitted", token, { user, principal: "user:security" });
  expect(denied.code).toBe("42501");
});

test("an unreachable target and a wrong password at the target are told without any secret", async () => {
  const closed = await refused("unavailable", engineer(), { database: "closed" });
  expect(closed).toMatchObject({ code: "08006", message: expect.stringContaining("connection refused") as string });
  const wrong = await refused("failed-precondition", engineer(), { database: "wrong-password" });
  expect(wrong).toMatchObject({ code: "08004", message: expect.stringContaining("wrong-password") as string });
  expect(wrong.message).not.toContain("5150");
});

test("a target that says nothing, and one that says nonsense, cost one login and no more", async () => {
  const sockets: Socket[] = [];
  const silent = await play(gateway.played.silent, (socket) => sockets.push(socket));
  const babbling = await play(gateway.played.babbling, (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  try {
    const [nothing, nonsense] = await Promise.all([
      refused("deadline", engineer(), { database: "silent" }),
      refused("unavailable", engineer(), { database: "babbling" }),
    ]);
    expect([nothing.code, nonsense.code]).toEqual(["08006", "08006"]);
    await until("the edge hangs up", () => (sockets.every(({ destroyed }) => destroyed) ? true : undefined));
  } finally {
    silent.close();
    babbling.close();
  }
});

test("the log tells each refusal, its cause and its principal, in the words that the client got", async () => {
  expect(expected.size).toBeGreaterThanOrEqual(14);
  const sql = "SELECT client_address, cause, error, principal FROM sessions WHERE state = 'refused'";
  const wrong = await untilNothing(async () => {
    const logged = new Map((await log.ask(sql)).map(({ client_address, ...rest }) => [String(client_address), rest]));
    const differs = ([address, wanted]: [string, object]): boolean => !isDeepStrictEqual(logged.get(address), wanted);
    return [...expected].filter(differs).map(([address, wanted]) => JSON.stringify([wanted, logged.get(address)]));
  });
  expect(wrong).toEqual([]);
});

function play(port: number, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.resume();
    serve(socket);
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}
