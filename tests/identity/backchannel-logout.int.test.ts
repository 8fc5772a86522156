import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type JWTPayload, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Deployment } from "./deployment.ts";

const deployment = new Deployment();
let providerKey: KeyObject;
beforeAll(async () => {
  await deployment.start();
  const { pem } = JSON.parse(readFileSync(join(deployment.folder, "idp-keys.json"), "utf8")) as { pem: string };
  providerKey = createPrivateKey(pem);
});
afterAll(() => deployment.stop());

const EVENT = "http://schemas.openid.net/event/backchannel-logout";
const now = (): number => Math.floor(Date.now() / 1000);

/** A logout token of the provider's (section 2.4), with changes; undefined leaves a claim out. */
function logoutToken(changes: JWTPayload, by: KeyObject = providerKey): Promise<string> {
  const claims = {
    iss: deployment.idpIssuer,
    aud: "sallyport",
    iat: now(),
    exp: now() + 120,
    jti: randomUUID(),
    events: { [EVENT]: {} },
    ...changes,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "logout+jwt" }).sign(by);
}

async function session() {
  const { value, principal } = await deployment.login("engineer");
  const issued = (await deployment.facts("tokenIssued")).find((fact) => fact.tokenId === principal!.tokenId)!;
  return { value, sub: principal!.subject, sid: issued.providerSessionId };
}

const post = (token: string) => deployment.post("/backchannel-logout", { logout_token: token });

test("a logout token with a session ends that session's tokens; a second presentation of it is refused", async () => {
  const { value, sid } = await session();
  const token = await logoutToken({ sid });
  expect((await post(token)).status).toBe(200);
  await expect(deployment.authenticate(value)).rejects.toMatchObject({ code: "unauthenticated" });
  expect(await post(token)).toMatchObject({ status: 400, body: { error: "invalid_request" } });
});

test("one with only a subject ends all of the person's sessions; CI jobs wait until the person logs in again", async () => {
  const [first, second] = [await session(), await session()];
  const job = await deployment.createToken(first.value);
  expect((await post(await logoutToken({ sub: first.sub }))).status).toBe(200);
  for (const token of [first.value, second.value, job.token]) {
    await expect(deployment.authenticate(token)).rejects.toMatchObject({ code: "unauthenticated" });
  }
  await session();
  await expect(deployment.authenticate(job.token)).resolves.toBeDefined();
  await expect(deployment.authenticate(first.value)).rejects.toMatchObject({ code: "unauthenticated" });
});

test("one for a session that nobody here has is accepted, and changes nothing", async () => {
  const { value } = await session();
  expect((await post(await logoutToken({ sid: "elsewhere", sub: "nobody" }))).status).toBe(200);
  await expect(deployment.authenticate(value)).resolves.toBeDefined();
});

test.each<[string, JWTPayload]>([
  ["without the logout event (an ID token)", { events: undefined }],
  ["with another event", { events: { "https://other": {} } }],
  ["with a nonce (an ID token)", { nonce: "n" }],
  ["for another client", { aud: "somebody-else" }],
  ["of another issuer", { iss: "https://elsewhere.example" }],
  ["that has expired", { exp: now() - 60 }],
  ["that is old", { iat: now() - 3_600 }],
  ["without an id", { jti: undefined as unknown as string }],
  ["that names neither session nor subject", { sid: undefined, sub: undefined as unknown as string }],
])("a logout token %s is refused", async (_, changes) => {
  const { value, sid } = await session();
  expect(await post(await logoutToken({ sid, ...changes }))).toMatchObject({ status: 400 });
  await expect(deployment.authenticate(value)).resolves.toBeDefined();
});

test("one that somebody else signed, or nobody, is refused", async () => {
  const { value, sid } = await session();
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const [, payload] = (await logoutToken({ sid })).split(".");
  const unsigned = `${Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url")}.${payload}.`;
  for (const token of [await logoutToken({ sid }, stranger), unsigned, value, "x.y.z", "x".repeat(70_000)]) {
    expect(await post(token)).toMatchObject({ status: 400, body: { error: "invalid_request" } });
  }
  expect(await deployment.post("/backchannel-logout", {})).toMatchObject({ status: 400 });
  await expect(deployment.authenticate(value)).resolves.toBeDefined();
});
