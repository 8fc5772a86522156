import { PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Deployment } from "./deployment.ts";
import { CiSystem } from "./trusted-issuer.ts";

const deployment = new Deployment();
let ci: CiSystem;
beforeAll(async () => {
  await deployment.start();
  ci = await CiSystem.start(deployment);
  await deployment.configure({ issuers: [ci.trusted()] });
});
afterAll(async () => {
  await ci.stop();
  await deployment.stop();
});

const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT = "urn:ietf:params:oauth:token-type:jwt";
const refusedWith = (message: RegExp) => ({
  code: "unauthenticated",
  message: expect.stringMatching(message) as string,
});

test("a job exchanges its CI system's token for one of ours, which names it and its groups", async () => {
  const { token, principal } = await deployment.exchange({ subjectToken: await ci.token() });
  expect(principal).toMatchObject({
    id: "workload:repo:org/app:ref:main",
    kind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD,
    groups: ["pipelines"],
    issuer: ci.issuer,
    tokenKind: TokenKind.TOKEN_KIND_WORKLOAD,
    authTimeMs: 0,
    actors: [],
  });
  expect((await deployment.authenticate(token!.token)).principal).toEqual(principal);
});

test("curl does the same over HTTPS (RFC 8693), and anyone can check the answer with the published keys", async () => {
  const subject_token = await ci.token();
  const form = { grant_type: GRANT, subject_token, subject_token_type: JWT };
  const { status, body } = await deployment.post("/token", form);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    issued_token_type: "urn:ietf:params:oauth:token-type:access_token",
    token_type: "Bearer",
    expires_in: expect.any(Number) as number,
  });
  const metadata = JSON.parse(
    (await deployment.https("GET", "/.well-known/oauth-authorization-server")).text,
  ) as Record<string, string>;
  expect(metadata).toMatchObject({ issuer: deployment.issuer, token_endpoint: `${deployment.issuer}/token` });
  const keys = createRemoteJWKSet(new URL(metadata["jwks_uri"]!), {
    [customFetch]: async (url) => new Response((await deployment.https("GET", new URL(url).pathname)).text),
  });
  const { payload } = await jwtVerify(body["access_token"] as string, keys, {
    issuer: deployment.issuer,
    audience: "sallyport",
  });
  expect(payload).toMatchObject({ sub: "workload:repo:org/app:ref:main", groups: ["pipelines"] });
});

test("a job's own token may be shown as it is; it is recorded once, under an id that a rewritten signature keeps", async () => {
  const token = await ci.token();
  const first = await deployment.authenticate(token, "repo:org/app:ref:main");
  expect(first.principal).toMatchObject({ tokenKind: TokenKind.TOKEN_KIND_WORKLOAD });
  const rewritten = ci.rewritten(token);
  expect(rewritten).not.toBe(token);
  const second = await deployment.authenticate(rewritten);
  expect(second.principal!.tokenId).toBe(first.principal!.tokenId);
  const { value: security } = await deployment.login("security");
  await deployment.revokeToken(security, first.principal!.tokenId);
  for (const one of [token, rewritten]) {
    await expect(deployment.authenticate(one)).rejects.toMatchObject(refusedWith(/revoked/));
    await expect(deployment.exchange({ subjectToken: one })).rejects.toMatchObject(refusedWith(/revoked/));
  }
  const issued = (await deployment.facts("tokenIssued")).filter((fact) => fact.tokenId === first.principal!.tokenId);
  expect(issued).toHaveLength(1);
});

test("a token shown by many at once for the first time is recorded once", async () => {
  const token = await ci.token({ sub: "crowd" });
  const answers = await Promise.all(Array.from({ length: 10 }, () => deployment.authenticate(token)));
  expect(new Set(answers.map(({ principal }) => principal!.tokenId)).size).toBe(1);
});

test.each<[string, () => Promise<string>, RegExp]>([
  ["for another audience", () => ci.token({ aud: "elsewhere" }), /not valid/],
  ["expired", () => ci.token({ exp: Math.floor(Date.now() / 1000) - 60 }), /expired/],
  ["not valid yet", () => ci.token({ nbf: Math.floor(Date.now() / 1000) + 600 }), /not valid/],
  ["without an end", () => ci.token({ exp: undefined as unknown as number }), /not valid/],
  ["without a subject", () => ci.token({ sub: undefined as unknown as string }), /not valid/],
  ["with a subject that cannot be a name", () => ci.token({ sub: "a b" }), /not valid/],
  ["of another issuer", () => ci.token({ iss: "https://elsewhere.example" }), /issuer is not trusted/],
  ["signed by a stranger", () => ci.strangers(), /not valid/],
  ["signed HS256 with the public key", () => ci.confused(), /not valid/],
  ["with an unknown kid", () => ci.token({}, { kid: "two" }), /not valid/],
  ["with an actor chain that is none", () => ci.token({ act: "me" }), /not valid/],
  ["with an endless actor chain", () => ci.token({ act: chain(20) }), /not valid/],
])("a workload token %s is refused, shown or exchanged", async (_, make, message) => {
  const token = await make();
  await expect(deployment.authenticate(token)).rejects.toMatchObject(refusedWith(message));
  await expect(deployment.exchange({ subjectToken: token })).rejects.toMatchObject(refusedWith(message));
});

test("alg none is refused", async () => {
  const [, payload] = (await ci.token()).split(".");
  const header = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  await expect(deployment.authenticate(`${header}.${payload}.`)).rejects.toMatchObject(refusedWith(/not valid/));
});

test("the actor chain of the CI system's token is kept, and an actor of ours comes first", async () => {
  const subjectToken = await ci.token({ sub: "deployer", act: { sub: "runner-7", act: { sub: "scheduler" } } });
  const { principal: plain } = await deployment.exchange({ subjectToken });
  expect(plain!.actors.map((actor) => actor.id)).toEqual(["workload:runner-7", "workload:scheduler"]);
  const actorToken = await ci.token({ sub: "helper" });
  const { token, principal } = await deployment.exchange({ subjectToken, actorToken });
  expect(principal!.id).toBe("workload:deployer");
  const ids = ["workload:helper", "workload:runner-7", "workload:scheduler"];
  expect(principal!.actors.map((actor) => actor.id)).toEqual(ids);
  expect(principal!.createdBy).toEqual(["workload:deployer", "workload:helper"]);
  expect(decodeJwt(token!.token)["act"]).toMatchObject({ sub: ids[0], act: { sub: ids[1], act: { sub: ids[2] } } });
});

test("an agent acts for a person: who is withdrawn, person or agent, takes the token along", async () => {
  const { value: engineer } = await deployment.login("engineer");
  const { value: security } = await deployment.login("security");
  const actorToken = await ci.token({ sub: "assistant" });
  const { token, principal } = await deployment.exchange({ subjectToken: engineer, actorToken });
  expect(principal).toMatchObject({
    id: "user:engineer",
    groups: ["engineers"],
    actors: [{ id: "workload:assistant" }],
  });
  // Who acts for somebody may not give themself a longer time.
  await expect(deployment.createToken(token!.token, { ttlSeconds: 86_400 })).rejects.toMatchObject({
    code: "not-permitted",
  });
  await deployment.revokePrincipal(security, "workload:assistant");
  await expect(deployment.authenticate(token!.token)).rejects.toMatchObject(refusedWith(/withdrawn/));
  await expect(deployment.authenticate(engineer)).resolves.toBeDefined();
});

test("may_act names who alone may act for the subject", async () => {
  const subjectToken = await ci.token({ sub: "guarded", may_act: { sub: "friend" } });
  const stranger = await ci.token({ sub: "stranger" });
  await expect(deployment.exchange({ subjectToken, actorToken: stranger })).rejects.toMatchObject({
    code: "not-permitted",
  });
  const friend = await ci.token({ sub: "friend" });
  await expect(deployment.exchange({ subjectToken, actorToken: friend })).resolves.toBeDefined();
});

test("exchanging again does not prolong", async () => {
  const { token: first } = await deployment.exchange({ subjectToken: await ci.token() });
  const { token: second } = await deployment.exchange({ subjectToken: first!.token });
  expect(second!.expiresAtMs).toBeLessThanOrEqual(first!.expiresAtMs);
});

test("two issuers do not share a name", async () => {
  const other = await CiSystem.start(deployment);
  await deployment.configure({ issuers: [ci.trusted(), other.trusted()] });
  await deployment.exchange({ subjectToken: await ci.token({ sub: "shared" }) });
  await expect(deployment.exchange({ subjectToken: await other.token({ sub: "shared" }) })).rejects.toMatchObject({
    code: "already-exists",
  });
  await deployment.configure({ issuers: [ci.trusted()] });
  await other.stop();
});

test("an issuer that is no longer trusted takes all its workloads' tokens along", async () => {
  const shown = await ci.token({ sub: "last" });
  const { token } = await deployment.exchange({ subjectToken: shown });
  await deployment.configure({ issuers: [] });
  for (const one of [shown, token!.token]) {
    await expect(deployment.authenticate(one)).rejects.toMatchObject(refusedWith(/issuer is not trusted/));
  }
  await deployment.configure({ issuers: [ci.trusted({ groups: ["changed"] })] });
  expect((await deployment.authenticate(token!.token)).principal!.groups).toEqual(["changed"]);
});

test.each<[string, Record<string, string>, string]>([
  ["another grant", { grant_type: "password" }, "unsupported_grant_type"],
  ["no subject", { grant_type: GRANT, subject_token_type: JWT }, "invalid_request"],
  ["an unknown token type", { grant_type: GRANT, subject_token: "x", subject_token_type: "saml" }, "invalid_request"],
  [
    "an actor type alone",
    { grant_type: GRANT, subject_token: "x", subject_token_type: JWT, actor_token_type: JWT },
    "invalid_request",
  ],
  ["a wrong token", { grant_type: GRANT, subject_token: "spt_x", subject_token_type: JWT }, "invalid_request"],
  [
    "another kind of token wanted",
    { grant_type: GRANT, subject_token: "x", subject_token_type: JWT, requested_token_type: "saml" },
    "invalid_request",
  ],
])("the token endpoint refuses %s with an OAuth error", async (_, form, error) => {
  const { status, body } = await deployment.post("/token", form);
  expect({ status, error: body["error"] }).toEqual({ status: 400, error });
});

test("a form that says a field twice is refused, though each of them would do (RFC 6749, 3.2)", async () => {
  const form = new URLSearchParams({ grant_type: GRANT, subject_token: await ci.token(), subject_token_type: JWT });
  expect((await deployment.https("POST", "/token", form.toString())).status).toBe(200);
  form.append("subject_token", await ci.token());
  expect((await deployment.https("POST", "/token", form.toString())).status).toBe(400);
});

test("the HTTPS listener answers nothing else", async () => {
  expect((await deployment.https("GET", "/token")).status).toBe(405);
  expect((await deployment.https("POST", "/.well-known/jwks.json")).status).toBe(405);
  expect((await deployment.https("GET", "/")).status).toBe(404);
  expect((await deployment.https("POST", "/token", "{}", "application/json")).status).toBe(400);
  expect((await deployment.https("POST", "/token", "a=".padEnd(200_000, "x"))).status).toBe(400);
});

test("no token was printed", () => {
  expect(deployment.output).not.toMatch(/eyJ|spt_/);
});

function chain(length: number): object {
  return length === 0 ? { sub: "end" } : { sub: `link-${length}`, act: chain(length - 1) };
}
