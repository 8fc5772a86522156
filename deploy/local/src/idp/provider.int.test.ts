import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPki, type TestPki } from "@sallyport/runtime/testing";
import * as oidc from "openid-client";
import { Agent, fetch as undiciFetch } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { IdpConfig } from "./config.ts";
import { headlessDeviceLogin, headlessLogin, withBrowser, type Visitor } from "./headless-login.ts";
import { startIdentityProvider, type IdentityProvider } from "./provider.ts";

const REDIRECT = "http://127.0.0.1:45999/callback";
const folder = mkdtempSync(join(tmpdir(), "sallyport-idp-"));
const problems: string[] = [];
const logoutTokens: string[] = [];
let relyingParty: Server;
let pki: TestPki;
let config: IdpConfig;
let provider: IdentityProvider;
let client: oidc.Configuration;

beforeAll(async () => {
  pki = await createPki(folder);
  const { cert, key } = await pki.issue("idp");
  writeAccounts({});
  relyingParty = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      logoutTokens.push(new URLSearchParams(body).get("logout_token") ?? "");
      response.end();
    });
  });
  await new Promise<void>((done) => relyingParty.listen(0, "127.0.0.1", done));
  config = {
    listen: "127.0.0.1:0",
    tls: { cert, key },
    accountsFile: join(folder, "accounts.json"),
    keysFile: join(folder, "keys.json"),
    stateFile: join(folder, "state.json"),
    client: {
      id: "sallyport",
      secret: "env:UNUSED",
      backchannelLogoutUri: `https://localhost:${(relyingParty.address() as AddressInfo).port}/backchannel-logout`,
      ca: pki.ca,
    },
  };
  provider = await startIdentityProvider(config, "the client's secret", { onProblem: (text) => problems.push(text) });
  client = await discover();
});

afterAll(async () => {
  await provider.close();
  relyingParty.close();
  rmSync(folder, { recursive: true });
});

test("code flow with PKCE: a person signs in on the pages; the ID token says who and which groups", async () => {
  const { claims } = await login("engineer", "right");
  expect(claims).toMatchObject({ preferred_username: "engineer", groups: ["engineers"], amr: ["pwd"] });
  expect(claims["sid"]).toEqual(expect.any(String));
});

test("a wrong password gets no further than the page", async () => {
  await expect(login("engineer", "wrong")).rejects.toThrow("ended on a page: Sign in");
});

test("without a code challenge the provider refuses", async () => {
  const url = oidc.buildAuthorizationUrl(client, { redirect_uri: REDIRECT, scope: "openid" });
  const callback = await headlessLogin(url.href, visitor("engineer", "right"));
  expect(new URL(callback).searchParams.get("error")).toBe("invalid_request");
});

test("an edited accounts file counts at the next refresh; a disabled account's refresh token is invalid_grant", async () => {
  const { tokens } = await login("dba", "right");
  writeAccounts({ dba: { groups: ["dba", "oncall"] } });
  const refreshed = await oidc.refreshTokenGrant(client, tokens.refresh_token!);
  expect(refreshed.claims()).toMatchObject({ groups: ["dba", "oncall"] });
  writeAccounts({ dba: { disabled: true } });
  await expect(oidc.refreshTokenGrant(client, tokens.refresh_token!)).rejects.toMatchObject({ error: "invalid_grant" });
  await expect(login("dba", "right")).rejects.toThrow("ended on a page: Sign in");
  writeAccounts({});
});

test("a half-written accounts file leaves the last good one in effect and says so", async () => {
  writeFileSync(join(folder, "accounts.json"), '{"accounts": [');
  const { claims } = await login("engineer", "right");
  expect(claims).toMatchObject({ preferred_username: "engineer" });
  expect(problems.join("\n")).toContain("accounts file not read again");
  writeAccounts({});
});

test("device flow: the code is entered, confirmed and signed for in a browser", async () => {
  const begun = await oidc.initiateDeviceAuthorization(client, { scope: "openid profile groups offline_access" });
  const poll = () =>
    oidc.genericGrantRequest(client, "urn:ietf:params:oauth:grant-type:device_code", {
      device_code: begun.device_code,
    });
  await expect(poll()).rejects.toMatchObject({ error: "authorization_pending" });
  await headlessDeviceLogin(begun.verification_uri_complete!, visitor("contractor", "right"));
  const tokens = await poll();
  expect(tokens.claims()).toMatchObject({ preferred_username: "contractor", groups: ["contractors"] });
});

test("signing out at the provider tells the relying party through the back channel, with the session's sid", async () => {
  await withBrowser(visitor("engineer", "right"), async (browser) => {
    const { url, verifier, state } = await authorizationUrl();
    const end = await browser.walk(url.href, (to) => to.startsWith(REDIRECT));
    if (end.kind !== "left") throw new Error(end.title);
    const checks = { pkceCodeVerifier: verifier, expectedState: state };
    const tokens = await oidc.authorizationCodeGrant(client, new URL(end.url), checks);
    const out = await browser.walk(`${provider.issuer}/session/end`, () => false);
    expect(out).toMatchObject({ kind: "page", title: "Signed out" });
    const [, payload] = logoutTokens.at(-1)!.split(".");
    expect(JSON.parse(Buffer.from(payload!, "base64url").toString())).toMatchObject({
      sid: tokens.claims()!["sid"],
      events: { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    // Offline access was consented to: it outlives the session at the provider.
    await expect(oidc.refreshTokenGrant(client, tokens.refresh_token!)).resolves.toBeDefined();
  });
});

test("sessions, keys and refresh tokens outlive a restart", async () => {
  const { tokens } = await login("engineer", "right");
  const before = readFileSync(config.keysFile, "utf8");
  await provider.close();
  provider = await startIdentityProvider({ ...config, listen: `127.0.0.1:${provider.port}` }, "the client's secret", {
    onProblem: (text) => problems.push(text),
  });
  const refreshed = await oidc.refreshTokenGrant(await discover(), tokens.refresh_token!);
  expect(refreshed.claims()).toMatchObject({ groups: ["engineers"] });
  expect(readFileSync(config.keysFile, "utf8")).toBe(before);
});

async function discover(): Promise<oidc.Configuration> {
  const agent = new Agent({ connect: { ca: readFileSync(pki.ca, "utf8") } });
  const customFetch = ((url: string, init: object) =>
    undiciFetch(url, { ...init, dispatcher: agent })) as unknown as oidc.CustomFetch;
  return oidc.discovery(
    new URL(provider.issuer),
    "sallyport",
    undefined,
    oidc.ClientSecretBasic("the client's secret"),
    { [oidc.customFetch]: customFetch },
  );
}

async function authorizationUrl(): Promise<{ url: URL; verifier: string; state: string }> {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  const url = oidc.buildAuthorizationUrl(client, {
    redirect_uri: REDIRECT,
    scope: "openid profile email groups offline_access",
    prompt: "consent",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
  });
  return { url, verifier, state };
}

async function login(account: string, password: string) {
  const { url, verifier, state } = await authorizationUrl();
  const callback = await headlessLogin(url.href, visitor(account, password));
  const tokens = await oidc.authorizationCodeGrant(client, new URL(callback), {
    pkceCodeVerifier: verifier,
    expectedState: state,
  });
  return { tokens, claims: tokens.claims()! };
}

function visitor(account: string, password: string): Visitor {
  return { account, password, ca: pki.ca };
}

function writeAccounts(changes: Record<string, { groups?: string[]; disabled?: boolean }>): void {
  const accounts = Object.entries({ engineer: ["engineers"], dba: ["dba"], contractor: ["contractors"] }).map(
    ([name, groups]) => ({ name, password: "right", groups, ...changes[name] }),
  );
  writeFileSync(join(folder, "accounts.json"), JSON.stringify({ accounts }));
}
