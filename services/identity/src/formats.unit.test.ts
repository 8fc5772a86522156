import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { groupsOfClaim, mapGroups } from "./group-mapping.ts";
import { IssueRate } from "./issue-rate.ts";
import { hashOf, isWellFormed, newPersonalToken, newTokenId } from "./personal-token.ts";
import { actorsOfClaim, claimOfActors, parsePrincipalId, principalId } from "./principal-name.ts";
import { Sealer } from "./seal.ts";

test("a personal token is prefix, 43 characters, 6 of checksum, for any 32 bytes", () => {
  for (const bytes of [Buffer.alloc(32), Buffer.alloc(32, 0xff), randomBytes(32)]) {
    const token = newPersonalToken(bytes);
    expect(token).toMatch(/^spt_[0-9A-Za-z]{49}$/);
    expect(isWellFormed(token)).toBe(true);
  }
  expect(newPersonalToken()).not.toBe(newPersonalToken());
  expect(newTokenId("pt")).toMatch(/^pt_[0-9A-Za-z]{22}$/);
});

test("one changed character of a personal token, anywhere, breaks its checksum", () => {
  const token = newPersonalToken(Buffer.alloc(32, 7));
  for (let at = 4; at < token.length; at += 1) {
    const other = token[at] === "a" ? "b" : "a";
    expect(isWellFormed(token.slice(0, at) + other + token.slice(at + 1))).toBe(false);
  }
  for (const wrong of ["", "spt_", token.slice(0, -1), `${token}a`, token.replace("spt_", "SPT_"), ` ${token}`]) {
    expect(isWellFormed(wrong)).toBe(false);
  }
  expect(hashOf(token)).toHaveLength(32);
});

test.each([
  ["user", "engineer", "user:engineer"],
  ["user", "Anna.B@Example.com", "user:anna.b@example.com"],
  ["workload", "repo:Org/App:ref:refs/heads/main", "workload:repo:org/app:ref:refs/heads/main"],
] as const)("a %s called %s is %s", (kind, claim, id) => {
  expect(principalId(kind, claim)).toBe(id);
  expect(parsePrincipalId(id)).toMatchObject({ kind });
});

test.each(["", "a b", "a/b", "a:b", "-a", "ä", "a\n", "a'b", "a;b", "x".repeat(129), "İ", 7, undefined, null, ["a"]])(
  "%j is no user's name",
  (claim) => {
    expect(principalId("user", claim)).toBeUndefined();
  },
);

test.each(["user", "user:", "root:x", "user:A", "workload:a b", ":x", "user:a:b"])("%j is no principal id", (id) => {
  expect(parsePrincipalId(id)).toBeUndefined();
});

test("an actor chain is read from the outside in, counts as its issuer's word, and names no user", () => {
  const issuer = "https://ci.example";
  const act = { sub: "user:security", iss: "https://gateway", act: { sub: "agent:helper" } };
  expect(actorsOfClaim(act, issuer)).toEqual([
    { id: "workload:user:security", issuer },
    { id: "agent:helper", issuer },
  ]);
  expect(actorsOfClaim(undefined, issuer)).toEqual([]);
  for (const wrong of ["x", null, [], {}, { sub: 1 }, { sub: "a", act: "b" }]) {
    expect(actorsOfClaim(wrong, issuer)).toBeUndefined();
  }
});

test("an actor chain becomes a nested claim (RFC 8693, 4.1)", () => {
  expect(claimOfActors([])).toBeUndefined();
  const chain = [
    { id: "workload:a", issuer: "i" },
    { id: "workload:b", issuer: "j" },
  ];
  expect(claimOfActors(chain)).toEqual({ sub: "workload:a", iss: "i", act: { sub: "workload:b", iss: "j" } });
});

test("what was sealed opens only with the same key, purpose and context, and unchanged", () => {
  const key = randomBytes(32);
  const sealer = new Sealer(key);
  const sealed = sealer.seal("provider-refresh-token", "user:a", "secret ☂");
  expect(sealed.includes("secret")).toBe(false);
  expect(sealer.open("provider-refresh-token", "user:a", sealed)).toBe("secret ☂");
  expect(new Sealer(key).open("provider-refresh-token", "user:a", sealed)).toBe("secret ☂");
  expect(sealer.open("login", "user:a", sealed)).toBeUndefined();
  expect(sealer.open("provider-refresh-token", "user:b", sealed)).toBeUndefined();
  expect(new Sealer(randomBytes(32)).open("provider-refresh-token", "user:a", sealed)).toBeUndefined();
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    expect(sealer.open("provider-refresh-token", "user:a", changed)).toBeUndefined();
  }
  for (let length = 0; length < sealed.length; length += 1) {
    expect(sealer.open("provider-refresh-token", "user:a", sealed.subarray(0, length))).toBeUndefined();
  }
});

test("without a mapping the provider's groups count, with one only what is mapped", () => {
  const mapping = { issuer: "https://idp", claimValue: "a", group: "z" };
  expect(mapGroups([], "https://idp", ["b", "a", "a"])).toEqual(["a", "b"]);
  expect(mapGroups([mapping], "https://idp", ["b", "a"])).toEqual(["z"]);
  expect(mapGroups([mapping], "https://other", ["a"])).toEqual([]);
  expect(mapGroups([mapping, { ...mapping, claimValue: "b" }], "https://idp/", ["b", "a"])).toEqual(["z"]);
});

test("a groups claim is a list of names, one name, or nothing; anything else is not guessed at", () => {
  expect(groupsOfClaim(["b", "a", "b"])).toEqual(["a", "b"]);
  expect(groupsOfClaim("a")).toEqual(["a"]);
  expect(groupsOfClaim(undefined)).toEqual([]);
  for (const wrong of [[1], [""], [null], {}, Array.from({ length: 501 }, (_, n) => `g${n}`), ["x".repeat(257)]]) {
    expect(groupsOfClaim(wrong)).toBeUndefined();
  }
});

test("tokens are issued in bursts, then slowly, per principal", () => {
  let now = 0;
  const rate = new IssueRate(() => now);
  let taken = 0;
  while (rate.take("user:loop")) taken += 1;
  expect(taken).toBe(300);
  expect(rate.take("user:other")).toBe(true);
  now += 1_000;
  expect([1, 2, 3, 4, 5, 6].filter(() => rate.take("user:loop"))).toHaveLength(5);
});
