import { callUnary } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Deployment } from "./deployment.ts";

const deployment = new Deployment();
let security: string;
beforeAll(async () => {
  await deployment.start();
  security = (await deployment.login("security")).value;
});
afterAll(() => deployment.stop());

const revoked = { code: "unauthenticated", message: "the token has been revoked" };
const offboarded = { code: "unauthenticated", message: "the token's owner has been withdrawn" };
const withdrawn = {
  code: "unauthenticated",
  message: expect.stringMatching(/^the token was withdrawn .*log in again/),
};
const signedOut = { code: "unauthenticated", message: "the token has been signed out; log in again" };

test("revoking a token ends what was made with it, and what was made with that, at once", async () => {
  const { value: contractor } = await deployment.login("contractor");
  const parent = await deployment.createToken(contractor);
  const child = await deployment.createToken(parent.token);
  const { token: grandchild } = await deployment.exchange({ subjectToken: child.token });
  const beside = await deployment.createToken(contractor);
  const answer = await deployment.revokeToken(security, parent.tokenId);
  expect(new Set(answer.tokenIds)).toEqual(new Set([parent.tokenId, child.tokenId, grandchild!.tokenId]));
  for (const { token } of [parent, child, grandchild!]) {
    await expect(deployment.authenticate(token)).rejects.toMatchObject(revoked);
  }
  await expect(deployment.recheck(child.tokenId)).rejects.toMatchObject(revoked);
  const { asOf } = await deployment.authenticate(beside.token);
  expect(asOf).toBeGreaterThanOrEqual(answer.asOf);
  const facts = (await deployment.facts("tokenRevoked")).map((fact) => fact.tokenId);
  expect(facts).toEqual(expect.arrayContaining(answer.tokenIds));
});

test("a token that is made while its parent is being revoked is born ended", async () => {
  const { value: contractor } = await deployment.login("contractor");
  const parent = await deployment.createToken(contractor);
  const [, ...made] = await Promise.allSettled([
    deployment.revokeToken(security, parent.tokenId),
    ...Array.from({ length: 5 }, () => deployment.createToken(parent.token)),
  ]);
  for (const one of made) {
    if (one.status === "rejected") continue;
    await expect(deployment.authenticate(one.value.token)).rejects.toMatchObject(revoked);
  }
});

test("revoking is policy's to allow, but for one's own tokens", async () => {
  const { value: engineer, principal } = await deployment.login("engineer");
  const { value: dba } = await deployment.login("dba");
  const mine = await deployment.createToken(engineer);
  const other = await deployment.createToken(engineer);
  await expect(deployment.revokeToken(dba, mine.tokenId)).rejects.toMatchObject({ code: "not-permitted" });
  // A leaked personal token must not be a means to end its siblings or its owner's login.
  await expect(deployment.revokeToken(mine.token, other.tokenId)).rejects.toMatchObject({ code: "not-permitted" });
  await expect(deployment.revokeToken(mine.token, principal!.tokenId)).rejects.toMatchObject({ code: "not-permitted" });
  await expect(deployment.revokeToken(mine.token, mine.tokenId)).resolves.toMatchObject({ tokenIds: [mine.tokenId] });
  await expect(deployment.revokeToken(engineer, other.tokenId)).resolves.toBeDefined();
  await expect(deployment.revokePrincipal(engineer, "user:engineer")).rejects.toMatchObject({ code: "not-permitted" });
  await expect(deployment.revokeToken(security, "at_nothing")).rejects.toMatchObject({ code: "not-found" });
  await expect(deployment.revokePrincipal(security, "engineer")).rejects.toMatchObject({ code: "invalid-input" });
});

test("signing out ends the token that the call is made with, and no CI job", async () => {
  const { value: engineer } = await deployment.login("engineer");
  const job = await deployment.createToken(engineer);
  await callUnary(deployment.access, "logout", {}, deployment.as(engineer));
  await expect(deployment.authenticate(engineer)).rejects.toMatchObject(signedOut);
  await expect(deployment.authenticate(job.token)).resolves.toBeDefined();
});

test("offboarding ends the principal and everything it created, and its logins, until it is reinstated", async () => {
  const { value: contractor } = await deployment.login("contractor");
  const job = await deployment.createToken(contractor, { label: "nightly-export", actor: "workload:nightly-export" });
  const made = await deployment.createToken(job.token);
  const answer = await deployment.revokePrincipal(security, "user:contractor");
  expect(answer.tokenIds).toEqual(expect.arrayContaining([job.tokenId, made.tokenId]));
  const all = [contractor, job.token, made.token];
  for (const token of all) await expect(deployment.authenticate(token)).rejects.toMatchObject(offboarded);
  await expect(deployment.exchange({ subjectToken: job.token })).rejects.toMatchObject(offboarded);
  await expect(deployment.createToken(job.token)).rejects.toMatchObject(offboarded);
  await expect(deployment.login("contractor")).rejects.toMatchObject({
    code: "unauthenticated",
    message: "this principal has been withdrawn",
  });
  const fact = (await deployment.facts("principalOffboarded")).at(-1)!;
  expect(fact).toMatchObject({ principalId: "user:contractor", reason: "left" });
  expect(fact.tokenIds).toEqual(expect.arrayContaining([job.tokenId, made.tokenId]));
  // Once more changes nothing.
  await deployment.revokePrincipal(security, "user:contractor");

  await deployment.stopIdentity("SIGKILL");
  await deployment.startIdentity();
  for (const token of all) await expect(deployment.authenticate(token)).rejects.toMatchObject(offboarded);

  await callUnary(
    deployment.access,
    "reinstate",
    { principalId: "user:contractor", reason: "back" },
    deployment.as(security),
  );
  const { value: again } = await deployment.login("contractor");
  await expect(deployment.authenticate(again)).resolves.toBeDefined();
  for (const token of all) await expect(deployment.authenticate(token)).rejects.toMatchObject(withdrawn);
});

test("whoever acts in a token can be withdrawn in advance, and the token with it", async () => {
  const { value: engineer } = await deployment.login("engineer");
  const job = await deployment.createToken(engineer, { actor: "workload:backup" });
  const { tokenIds } = await deployment.revokePrincipal(security, "workload:backup");
  expect(tokenIds).toEqual([job.tokenId]);
  await expect(deployment.authenticate(job.token)).rejects.toMatchObject(offboarded);
  await expect(deployment.authenticate(engineer)).resolves.toBeDefined();
});

test("a name that nobody has seen is not found, and is withdrawn before its first login only on request", async () => {
  await expect(deployment.revokePrincipal(security, "user:dab")).rejects.toMatchObject({ code: "not-found" });
  expect((await deployment.facts("principalOffboarded")).map((fact) => fact.principalId)).not.toContain("user:dab");
  const request = { what: { $case: "principalId", value: "user:dab" }, reason: "", inAdvance: true } as const;
  const answer = await callUnary(deployment.access, "revoke", request, deployment.as(security));
  expect(answer.tokenIds).toEqual([]);
  // It is known by now.
  await expect(deployment.revokePrincipal(security, "user:dab")).resolves.toMatchObject({ tokenIds: [] });
});

test("after kill -9 identity knows every token, personal and signed, as before", async () => {
  const { value: engineer, principal } = await deployment.login("engineer");
  const job = await deployment.createToken(engineer, { label: "job", actor: "agent:helper" });
  const gone = await deployment.createToken(engineer);
  await deployment.revokeToken(engineer, gone.tokenId);
  const before = await deployment.authenticate(job.token);
  await deployment.stopIdentity("SIGKILL");
  await deployment.startIdentity();
  expect((await deployment.authenticate(engineer)).principal).toEqual(principal);
  expect((await deployment.authenticate(job.token)).principal).toEqual(before.principal);
  expect((await deployment.recheck(job.tokenId)).principal).toEqual(before.principal);
  await expect(deployment.authenticate(gone.token)).rejects.toMatchObject(revoked);
});

test("with the bus gone nobody is let in", async () => {
  const { value: engineer } = await deployment.login("engineer");
  await deployment.nats.kill();
  // What was proven fresh a moment ago counts for the rest of its lease, 500 ms at most.
  const refusal = await eventually(() =>
    deployment.authenticate(engineer).then(
      () => undefined,
      (error: Error) => error,
    ),
  );
  expect(refusal).toMatchObject({ code: "unavailable" });
  await deployment.nats.restart();
  await expect(deployment.authenticate(engineer)).resolves.toBeDefined();
});
