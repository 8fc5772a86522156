import { createHash, randomBytes } from "node:crypto";
import { headlessDeviceLogin, headlessLogin } from "@sallyport/local/headless-login";
import { callUnary } from "@sallyport/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Deployment } from "./deployment.ts";

const deployment = new Deployment();
beforeAll(() => deployment.start());
afterAll(() => deployment.stop());

const REDIRECT = "http://127.0.0.1:45998/callback";
const DEADLINE = { deadlineMs: 10_000 };

test("a person logs in by authorization code with PKCE and is who the provider says", async () => {
  const { value, principal } = await deployment.login("engineer");
  expect(principal).toMatchObject({ id: "user:engineer", name: "engineer", groups: ["engineers"], actors: [] });
  const { principal: again, asOf } = await deployment.authenticate(value, "engineer");
  expect(again).toEqual(principal);
  expect(asOf).toBeGreaterThan(0);
});

test("the token-issued event was there before the token was handed out; the refresh token is sealed in principal-seen", async () => {
  const { principal } = await deployment.login("dba");
  const issued = await deployment.facts("tokenIssued");
  expect(issued.map((fact) => fact.tokenId)).toContain(principal!.tokenId);
  const seen = (await deployment.facts("principalSeen")).find((fact) => fact.principalId === "user:dba")!;
  expect(seen.sealedRefreshToken[0]).toBe(1);
  expect(seen.sealedRefreshToken.length).toBeGreaterThan(40);
});

test("a device login is pending until the code is confirmed in a browser, and gives one token", async () => {
  const begun = await callUnary(deployment.access, "startDeviceLogin", {}, DEADLINE);
  const poll = () => callUnary(deployment.access, "pollDeviceLogin", { loginId: begun.loginId }, DEADLINE);
  expect(await poll()).toMatchObject({ pending: true, intervalSeconds: 5 });
  await headlessDeviceLogin(begun.verificationUriComplete, deployment.visitor("contractor"));
  const done = await poll();
  expect(done).toMatchObject({ pending: false, principal: { id: "user:contractor", groups: ["contractors"] } });
  await expect(deployment.authenticate(done.token!.token)).resolves.toBeDefined();
  await expect(poll()).rejects.toMatchObject({ code: "unauthenticated" });
  // Groups can be read again later after this kind of login too.
  const seen = (await deployment.facts("principalSeen")).find((fact) => fact.principalId === "user:contractor")!;
  expect(seen.sealedRefreshToken.length).toBeGreaterThan(40);
});

test("what the provider says of factors is kept, and no personal token claims it", async () => {
  deployment.writeAccounts({ dba: { mfa: true } });
  const { value, principal } = await deployment.login("dba");
  expect(principal).toMatchObject({ mfa: true });
  expect(principal!.authTimeMs).toBeGreaterThan(Date.now() - 60_000);
  const { token } = await deployment.createToken(value);
  expect((await deployment.authenticate(token)).principal).toMatchObject({ mfa: false });
});

test("a login that was begun before a restart can be finished after it", async () => {
  const begun = await begin();
  const callbackUrl = await headlessLogin(begun.authorizationUrl, deployment.visitor("engineer"));
  await deployment.stopIdentity("SIGKILL");
  await deployment.startIdentity();
  await expect(finish(begun, callbackUrl)).resolves.toMatchObject({ principal: { id: "user:engineer" } });
});

test("what does not belong together is refused: verifier, state, code, login id, redirect", async () => {
  const [first, second] = [await begin(), await begin()];
  const callbackUrl = await headlessLogin(first.authorizationUrl, deployment.visitor("engineer"));
  const refusals = [
    finish({ ...first, codeVerifier: randomBytes(32).toString("base64url") }, callbackUrl),
    finish(second, callbackUrl),
    finish({ ...first, loginId: flipped(first.loginId) }, callbackUrl),
    finish(first, callbackUrl.replace(/code=[^&]+/, "code=forged")),
  ];
  for (const refusal of refusals) await expect(refusal).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(finish(first, callbackUrl.replace("45998", "45999"))).rejects.toMatchObject({ code: "invalid-input" });
});

test("a code serves once", async () => {
  const begun = await begin();
  const callbackUrl = await headlessLogin(begun.authorizationUrl, deployment.visitor("engineer"));
  await finish(begun, callbackUrl);
  await expect(finish(begun, callbackUrl)).rejects.toMatchObject({
    code: "unauthenticated",
    message: "the identity provider refused the login: invalid_grant",
  });
});

test.each([
  "https://evil.example/callback",
  "http://localhost:80/x",
  "http://127.0.0.1:1/a?b",
  "http://127.0.0.1.evil:1/",
])("codes are only sent to a loopback address, not to %s", async (redirectUri) => {
  const start = callUnary(deployment.access, "startLogin", { redirectUri, codeChallenge: "x".repeat(43) }, DEADLINE);
  await expect(start).rejects.toMatchObject({ code: "invalid-input" });
});

test("without the provider a login cannot begin, and says so", async () => {
  await deployment.stopIdentity();
  await deployment.stopIdp();
  await deployment.startIdentity();
  await expect(begin()).rejects.toMatchObject({
    code: "unavailable",
    message: "the identity provider cannot be reached",
  });
  await deployment.startIdp();
  await expect(begin()).resolves.toBeDefined();
});

test("nothing secret was printed", () => {
  expect(deployment.output).toContain('"msg":"ready"');
  expect(deployment.output).not.toMatch(/eyJ|spt_|code=|a password of the test/);
});

interface Begun {
  readonly loginId: string;
  readonly authorizationUrl: string;
  readonly codeVerifier: string;
}

async function begin(): Promise<Begun> {
  const codeVerifier = randomBytes(32).toString("base64url");
  const codeChallenge = createHash("sha256").update(codeVerifier).digest("base64url");
  const begun = await callUnary(deployment.access, "startLogin", { redirectUri: REDIRECT, codeChallenge }, DEADLINE);
  return { ...begun, codeVerifier };
}

function finish({ loginId, codeVerifier }: Begun, callbackUrl: string) {
  return callUnary(deployment.access, "finishLogin", { loginId, callbackUrl, codeVerifier }, DEADLINE);
}

function flipped(text: string): string {
  const at = Math.floor(text.length / 2);
  return text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
}
