import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { TokenKind } from "@sallyport/proto/principal";
import { callUnary } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK, type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Deployment } from "./deployment.ts";

const deployment = new Deployment();
let engineer: string;
let key: KeyObject;
beforeAll(async () => {
  await deployment.start();
  engineer = (await deployment.login("engineer")).value;
  key = createPrivateKey(readFileSync(join(deployment.folder, "signing.pem"), "utf8"));
});
afterAll(() => deployment.stop());

/** A copy of engineer's token with changes, signed with `by`. */
async function forged(
  changes: JWTPayload,
  { header = {}, by = key }: { header?: object; by?: KeyObject } = {},
): Promise<string> {
  const payload = { ...decodeJwt(engineer), ...changes };
  const original = decodeProtectedHeader(engineer);
  return new SignJWT(payload).setProtectedHeader({ ...original, alg: "EdDSA", ...header }).sign(by);
}

const refusedWith = (message: RegExp) => ({
  code: "unauthenticated",
  message: expect.stringMatching(message) as string,
});

test("the signed token says who, for whom, until when and how the person logged in (RFC 9068)", () => {
  expect(decodeProtectedHeader(engineer)).toMatchObject({ alg: "EdDSA", typ: "at+jwt" });
  const claims = decodeJwt(engineer);
  expect(claims).toMatchObject({
    iss: deployment.issuer,
    aud: "sallyport",
    sub: "user:engineer",
    groups: ["engineers"],
  });
  expect(claims).toMatchObject({ amr: ["pwd"], auth_time: expect.any(Number) as number });
  expect(claims.exp! - claims.iat!).toBe(3_600);
});

test.each<[string, () => Promise<string>, RegExp]>([
  ["expired", () => forged({ exp: Math.floor(Date.now() / 1000) - 1 }), /expired/],
  ["for another audience", () => forged({ aud: "elsewhere" }), /not valid/],
  ["with another principal in it", () => forged({ sub: "user:security" }), /not known/],
  ["rightly signed but never recorded", () => forged({ jti: "at_0000000000000000000000" }), /not known/],
  ["without a jti", () => forged({ jti: undefined as unknown as string }), /not valid/],
  ["of another type", () => forged({}, { header: { typ: "JWT" } }), /not valid/],
  ["with an unknown kid", () => forged({}, { header: { kid: "nobody" } }), /not valid/],
  [
    "signed with another key under our kid",
    () => forged({}, { by: generateKeyPairSync("ed25519").privateKey }),
    /not valid/,
  ],
  ["of an issuer that is not trusted", () => forged({ iss: "https://elsewhere.example" }), /issuer is not trusted/],
  ["without an issuer", () => forged({ iss: undefined as unknown as string }), /not a token/],
  ["signed HS256 with our public key as the secret", () => confused(), /not valid/],
  ["with alg none", async () => unsigned(), /not valid/],
  ["with a changed signature", async () => `${engineer.slice(0, -8)}AAAAAAAA`, /not valid/],
  ["with a changed payload", async () => changedPayload(), /not valid/],
  ["garbage", async () => "garbage", /not a token/],
  ["empty", async () => "", /not a token/],
  ["as long as a book", async () => "x".repeat(100_000), /not a token/],
])("a token %s is refused", async (_, make, message) => {
  await expect(deployment.authenticate(await make())).rejects.toMatchObject(refusedWith(message));
});

test("the name that the client claims must be the principal's", async () => {
  await expect(deployment.authenticate(engineer, "engineer")).resolves.toBeDefined();
  await expect(deployment.authenticate(engineer, "dba")).rejects.toMatchObject(refusedWith(/another user/));
});

test("a personal token is opaque, carries its actor, and acts as its maker", async () => {
  const { value: contractor } = await deployment.login("contractor");
  const token = await deployment.createToken(contractor, { label: "nightly-export", actor: "workload:nightly-export" });
  expect(token.token).toMatch(/^spt_[0-9A-Za-z]{49}$/);
  const { principal } = await deployment.authenticate(token.token, "contractor");
  expect(principal).toMatchObject({
    id: "user:contractor",
    groups: ["contractors"],
    tokenKind: TokenKind.TOKEN_KIND_PERSONAL,
    tokenLabel: "nightly-export",
    createdBy: ["user:contractor"],
    actors: [{ id: "workload:nightly-export", issuer: deployment.issuer }],
    mfa: false,
  });
});

test("only the hash of a personal token is anywhere on the bus", async () => {
  const { token, tokenId } = await deployment.createToken(engineer);
  const issued = (await deployment.facts("tokenIssued")).find((fact) => fact.tokenId === tokenId)!;
  expect(issued.tokenHash).toHaveLength(32);
  expect(JSON.stringify(deployment.events)).not.toContain(token);
});

test("mistyped and unknown personal tokens are told apart, and neither says more", async () => {
  const { token } = await deployment.createToken(engineer);
  const mistyped = token.slice(0, 10) + (token[10] === "x" ? "y" : "x") + token.slice(11);
  await expect(deployment.authenticate(mistyped)).rejects.toMatchObject(refusedWith(/not a token/));
  const body = "0".repeat(43);
  const unknown = `spt_${body}${base62(crc32(body)).padStart(6, "0")}`;
  await expect(deployment.authenticate(unknown)).rejects.toMatchObject(refusedWith(/not known/));
});

test("a personal token ends at its time", async () => {
  const { token } = await deployment.createToken(engineer, { ttlSeconds: 2 });
  await expect(deployment.authenticate(token)).resolves.toBeDefined();
  const refusal = await eventually(() =>
    deployment.authenticate(token).then(
      () => undefined,
      (error: Error) => error,
    ),
  );
  expect(refusal).toMatchObject(refusedWith(/expired/));
});

test("a personal token may not make one that outlives it; a login may", async () => {
  const day = 86_400;
  const parent = await deployment.createToken(engineer, { ttlSeconds: day });
  await expect(deployment.createToken(parent.token, { ttlSeconds: 2 * day })).rejects.toMatchObject({
    code: "not-permitted",
  });
  const child = await deployment.createToken(parent.token);
  expect(child.expiresAtMs).toBeLessThanOrEqual(parent.expiresAtMs);
  const { principal } = await deployment.authenticate(child.token);
  expect(principal).toMatchObject({ createdBy: ["user:engineer"] });
  await expect(deployment.createToken(engineer, { ttlSeconds: 91 * day })).rejects.toMatchObject({
    code: "invalid-input",
  });
});

test("an exchanged personal token stays a personal token, with its label, actor and end", async () => {
  const wanted = { label: "short", ttlSeconds: 600, actor: "agent:helper" };
  const parent = await deployment.createToken(engineer, wanted);
  const { token, principal } = await deployment.exchange({ subjectToken: parent.token });
  expect(token!.expiresAtMs).toBeLessThanOrEqual(parent.expiresAtMs);
  expect(principal).toMatchObject({ tokenKind: TokenKind.TOKEN_KIND_PERSONAL, tokenLabel: "short" });
  expect(principal!.actors.map((actor) => actor.id)).toEqual(["agent:helper"]);
  await expect(deployment.createToken(token!.token, { ttlSeconds: 86_400 })).rejects.toMatchObject({
    code: "not-permitted",
  });
});

test.each([{ actor: "user:dba" }, { actor: "nobody" }, { label: "x".repeat(101) }, { label: "a\nb" }])(
  "%o is not accepted for a token",
  async (wanted) => {
    await expect(deployment.createToken(engineer, wanted)).rejects.toMatchObject({ code: "invalid-input" });
  },
);

test("one's own tokens are listed without asking anyone; another's only with permission", async () => {
  const { value: dba } = await deployment.login("dba");
  const list = (as: string, principalId: string) =>
    callUnary(deployment.access, "listTokens", { principalId }, deployment.as(as));
  const made = await deployment.createToken(dba, { label: "mine" });
  expect((await list(dba, "")).tokens.map((token) => token.tokenId)).toContain(made.tokenId);
  await expect(list(dba, "user:engineer")).rejects.toMatchObject({
    code: "not-permitted",
    message: "only the security group may do this",
  });
  const { value: security } = await deployment.login("security");
  expect((await list(security, "user:dba")).tokens.map((token) => token.label)).toContain("mine");
});

test("a public call without a token, or with a wrong one, is refused", async () => {
  await expect(callUnary(deployment.access, "whoAmI", {}, { deadlineMs: 5_000 })).rejects.toMatchObject({
    code: "unauthenticated",
  });
  await expect(callUnary(deployment.access, "whoAmI", {}, deployment.as("wrong"))).rejects.toMatchObject({
    code: "unauthenticated",
  });
});

test("the number of personal tokens is bounded", async () => {
  const { value: security } = await deployment.login("security");
  const made = await Promise.allSettled(Array.from({ length: 21 }, () => deployment.createToken(security)));
  await expect(deployment.createToken(security)).rejects.toMatchObject({ code: "exhausted" });
  expect(made.filter((one) => one.status === "fulfilled").length).toBeGreaterThanOrEqual(20);
});

function base62(number: number): string {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return number === 0 ? "" : base62(Math.floor(number / 62)) + digits.charAt(number % 62);
}

async function confused(): Promise<string> {
  const open = createPublicKey(key);
  const secret = createSecretKey(Buffer.from(open.export({ format: "pem", type: "spki" })));
  const kid = await calculateJwkThumbprint(await exportJWK(open));
  return new SignJWT(decodeJwt(engineer)).setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid }).sign(secret);
}

function unsigned(): string {
  const header = { ...decodeProtectedHeader(engineer), alg: "none" };
  return `${Buffer.from(JSON.stringify(header)).toString("base64url")}.${engineer.split(".")[1]}.`;
}

function changedPayload(): string {
  const [header, , signature] = engineer.split(".");
  const payload = { ...decodeJwt(engineer), groups: ["security"] };
  return `${header}.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.${signature}`;
}
