import { GroupMapping } from "@sallyport/proto/catalog_model";
import { withBrowser } from "@sallyport/local/headless-login";
import { eventually } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Deployment } from "./deployment.ts";

const deployment = new Deployment();
beforeAll(() => deployment.start());
afterAll(() => deployment.stop());
beforeEach(() => deployment.writeAccounts({}));

const unverified = { code: "unauthenticated", message: expect.stringContaining("no longer vouches") as string };

test("a change of groups at the provider is seen at the next check, and announced", async () => {
  const { value, principal } = await deployment.login("engineer");
  deployment.writeAccounts({ engineer: { groups: ["engineers", "oncall"] } });
  const answer = await deployment.recheck(principal!.tokenId);
  expect(answer.principal!.groups).toEqual(["engineers", "oncall"]);
  expect((await deployment.authenticate(value)).principal!.groups).toEqual(["engineers", "oncall"]);
  expect((await deployment.facts("principalGroupsChanged")).at(-1)).toEqual({
    principalId: "user:engineer",
    groups: ["engineers", "oncall"],
    providerGroups: ["engineers", "oncall"],
    verifiedAtMs: expect.any(Number),
  });
  const before = (await deployment.facts("principalGroupsChanged")).length;
  await deployment.authenticate(value);
  expect((await deployment.facts("principalGroupsChanged")).length).toBe(before);
});

test("a personal token has its maker's groups of now, not of when it was made", async () => {
  const { value } = await deployment.login("dba");
  const { token } = await deployment.createToken(value);
  deployment.writeAccounts({ dba: { groups: [] } });
  expect((await deployment.authenticate(token)).principal!.groups).toEqual([]);
});

test("an account that the provider disables loses every token, until its owner logs in again", async () => {
  const { value } = await deployment.login("contractor");
  const job = await deployment.createToken(value, { label: "nightly-export" });
  deployment.writeAccounts({ contractor: { disabled: true } });
  await expect(deployment.authenticate(job.token)).rejects.toMatchObject(unverified);
  await expect(deployment.authenticate(value)).rejects.toMatchObject({ code: "unauthenticated" });
  const ended = (await deployment.facts("providerSessionEnded")).at(-1)!;
  expect(ended).toMatchObject({ principalId: "user:contractor", providerSessionId: "" });
  expect(ended.tokenIds).toEqual(expect.arrayContaining([job.tokenId]));

  deployment.writeAccounts({});
  await expect(deployment.authenticate(job.token)).rejects.toMatchObject(unverified);
  await deployment.login("contractor");
  await expect(deployment.authenticate(job.token)).resolves.toBeDefined();
  // The login that had ended stays ended.
  await expect(deployment.authenticate(value)).rejects.toMatchObject({ code: "unauthenticated" });
});

test("a group mapping leaves only what is mapped, for everybody and at once", async () => {
  const { value } = await deployment.login("engineer");
  const mapping = { issuer: deployment.idpIssuer, claimValue: "engineers", group: "developers" };
  await deployment.configure({ groups: [mapping, { ...mapping, issuer: "https://elsewhere", group: "root" }] });
  expect((await deployment.authenticate(value)).principal!.groups).toEqual(["developers"]);
  const announced = await eventually(async () =>
    (await deployment.facts("principalGroupsChanged")).findLast((fact) => fact.groups.includes("developers")),
  );
  expect(announced).toMatchObject({ principalId: "user:engineer", providerGroups: ["engineers"], verifiedAtMs: 0 });
  const { value: dba } = await deployment.login("dba");
  expect((await deployment.authenticate(dba)).principal!.groups).toEqual([]);
  await deployment.configure({ groups: [] as GroupMapping[] });
  expect((await deployment.authenticate(dba)).principal!.groups).toEqual(["dba"]);
});

test("signing out at the provider ends the tokens of that session, and leaves CI jobs and other sessions alone", async () => {
  const { value: elsewhere } = await deployment.login("engineer");
  await withBrowser(deployment.visitor("engineer"), async (browser) => {
    const { value, principal } = await deployment.login("engineer", browser);
    const job = await deployment.createToken(value);
    const { token: exchanged } = await deployment.exchange({ subjectToken: value });
    const end = await browser.walk(`${deployment.idpIssuer}/session/end`, () => false);
    expect(end).toMatchObject({ title: "Signed out" });
    const ended = {
      code: "unauthenticated",
      message: expect.stringContaining("has ended at the identity provider") as string,
    };
    await expect(deployment.authenticate(value)).rejects.toMatchObject(ended);
    await expect(deployment.authenticate(exchanged!.token)).rejects.toMatchObject(ended);
    await expect(deployment.authenticate(job.token)).resolves.toBeDefined();
    await expect(deployment.authenticate(elsewhere)).resolves.toBeDefined();
    const fact = (await deployment.facts("providerSessionEnded")).at(-1)!;
    expect(fact.tokenIds).toEqual(expect.arrayContaining([principal!.tokenId, exchanged!.tokenId]));
    expect(fact.tokenIds).not.toContain(job.tokenId);
  });
});

test("with the provider away the last groups count for a while, over a restart too", async () => {
  const { value } = await deployment.login("engineer");
  await deployment.stopIdp();
  expect((await deployment.authenticate(value)).principal!.groups).toEqual(["engineers"]);
  await deployment.stopIdentity("SIGKILL");
  await deployment.startIdentity();
  expect((await deployment.authenticate(value)).principal!.groups).toEqual(["engineers"]);
  await deployment.startIdp();
  deployment.writeAccounts({ engineer: { groups: ["back"] } });
  expect((await deployment.authenticate(value)).principal!.groups).toEqual(["back"]);
});

test("a provider that hangs delays a login by less than two seconds, and is asked by one for all", async () => {
  const { value } = await deployment.login("engineer");
  deployment.hangIdp(true);
  const begun = performance.now();
  const answers = await Promise.all(Array.from({ length: 20 }, () => deployment.authenticate(value)));
  expect(performance.now() - begun).toBeLessThan(2_500);
  expect(answers.map(({ principal }) => principal!.groups)).toEqual(answers.map(() => ["engineers"]));
  deployment.hangIdp(false);
  deployment.writeAccounts({ engineer: { groups: ["awake"] } });
  await eventually(async () => (await deployment.authenticate(value)).principal!.groups.includes("awake"));
});

test("with the provider away too long nobody is let in on old groups", async () => {
  const { value } = await deployment.login("engineer");
  await deployment.stopIdentity();
  deployment.changeConfiguration((file) => ({
    ...file,
    groups: { recheckSeconds: 0, retrySeconds: 0, maxAgeSeconds: 1 },
  }));
  await deployment.startIdentity();
  await expect(deployment.authenticate(value)).resolves.toBeDefined();
  await deployment.stopIdp();
  const refusal = await eventually(() =>
    deployment.authenticate(value).then(
      () => undefined,
      (error: Error) => error,
    ),
  );
  expect(refusal).toMatchObject({ code: "unavailable", message: expect.stringContaining("too old") as string });
  await deployment.startIdp();
  await expect(deployment.authenticate(value)).resolves.toBeDefined();
});
