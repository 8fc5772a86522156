import type { Fact } from "@sallyport/decider";
import { Configuration } from "@sallyport/proto/catalog_model";
import { Event, PrincipalSeen, TokenIssued } from "@sallyport/proto/event";
import { PrincipalKind } from "@sallyport/proto/principal";
import { expect, test } from "vitest";
import { describePrincipal } from "./authenticator.ts";
import { Directory } from "./directory.ts";

function folded(...facts: Fact[]): Directory {
  const directory = new Directory();
  facts.forEach((fact, index) => directory.fold({ ...Event.fromPartial({ atMs: 1_000 + index }), fact }));
  return directory;
}

const seen = (name: string, changes: Partial<PrincipalSeen> = {}): Fact => ({
  $case: "principalSeen",
  value: PrincipalSeen.fromPartial({
    principalId: `user:${name}`,
    kind: PrincipalKind.PRINCIPAL_KIND_USER,
    issuer: "https://idp.example",
    providerGroups: ["a", "b"],
    ...changes,
  }),
});
const issued = (tokenId: string, changes: Partial<TokenIssued> = {}): Fact => ({
  $case: "tokenIssued",
  value: TokenIssued.fromPartial({ tokenId, principalId: "user:maker", expiresAtMs: 10_000, ...changes }),
});
const revoked = (tokenId: string, withDescendants: boolean): Fact => ({
  $case: "tokenRevoked",
  value: { tokenId, principalId: "user:maker", reason: "", withDescendants },
});
const offboarded: Fact = {
  $case: "principalOffboarded",
  // It names fewer tokens than there are: what counts is the lineage.
  value: { principalId: "user:maker", reason: "", tokenIds: [] },
};
const sessionEnded = (providerSessionId: string): Fact => ({
  $case: "providerSessionEnded",
  value: { principalId: "user:maker", providerSessionId, tokenIds: [] },
});
const how = (directory: Directory, tokenId: string) => directory.token(tokenId)?.ended?.how;

test.each([
  ["a revocation", revoked("parent", true), "revoked"],
  ["the principal's offboarding", offboarded, "offboarded"],
])("a child that was decided beside %s ends whichever came first on the bus", (_, end, expected) => {
  const child = issued("child", { issuedWith: ["parent"] });
  expect(how(folded(issued("parent"), child, end), "child")).toBe(expected);
  expect(how(folded(issued("parent"), end, child), "child")).toBe(expected);
  const grandchild = issued("grandchild", { issuedWith: ["child", "parent"] });
  expect(how(folded(issued("parent"), end, child, grandchild), "grandchild")).toBe(expected);
});

test("a session's token that comes after the end of the session is ended; one of another session is not", () => {
  const directory = folded(
    seen("maker"),
    sessionEnded("s1"),
    issued("late", { providerSessionId: "s1" }),
    issued("other", { providerSessionId: "s2" }),
    issued("personal", { issuedWith: ["late"] }),
  );
  expect([how(directory, "late"), how(directory, "other"), how(directory, "personal")]).toEqual([
    "session-ended",
    undefined,
    undefined,
  ]);
});

test("signing out ends one token, and a later revocation still reaches what was made with it", () => {
  const facts = [issued("parent"), issued("child", { issuedWith: ["parent"] }), revoked("parent", false)];
  expect(how(folded(...facts), "parent")).toBe("signed-out");
  expect(how(folded(...facts), "child")).toBeUndefined();
  expect(how(folded(...facts, revoked("parent", true)), "child")).toBe("revoked");
});

test("what was ended stays ended when the principal is reinstated", () => {
  const back: Fact = { $case: "principalReinstated", value: { principalId: "user:maker", reason: "" } };
  const directory = folded(seen("maker"), issued("old"), offboarded, back, issued("new"));
  expect([how(directory, "old"), how(directory, "new")]).toEqual(["offboarded", undefined]);
  expect(directory.offboardedIn(directory.token("old")!.issued)).toBeUndefined();
});

test("creators and actors are in the lineage, so that their offboarding reaches the token", () => {
  const made = issued("made", { principalId: "user:other", createdBy: ["user:maker"] });
  const acted = issued("acted", { principalId: "user:other", actors: [{ id: "user:maker", issuer: "" }] });
  const directory = folded(made, acted, offboarded);
  expect([how(directory, "made"), how(directory, "acted")]).toEqual(["offboarded", "offboarded"]);
  expect(directory.offboardedIn(directory.token("made")!.issued)).toBe("user:maker");
});

test("groups follow the configuration: as they are, then only what is mapped; workloads have their issuer's", () => {
  const issuers = [{ issuer: "https://ci.example", groups: ["pipelines"] }];
  const configured: Fact = {
    $case: "configurationApplied",
    value: {
      configuration: Configuration.fromPartial({
        groups: [{ issuer: "https://idp.example/", claimValue: "a", group: "mapped" }],
        issuers,
      }),
      digest: "",
      changes: [],
    },
  };
  const job = seen("job", { kind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD, issuer: "https://ci.example" });
  const groups = (directory: Directory, id: string) => directory.groupsOf(directory.principal(id)!);
  expect(groups(folded(seen("maker"), job), "user:maker")).toEqual(["a", "b"]);
  expect(groups(folded(seen("maker"), job), "user:job")).toEqual([]);
  const directory = folded(seen("maker"), job, configured);
  expect(groups(directory, "user:maker")).toEqual(["mapped"]);
  expect(groups(directory, "user:job")).toEqual(["pipelines"]);
});

test("what ended long ago is forgotten, hash and all", () => {
  const tokenHash = Buffer.from("hash");
  const directory = folded(issued("old", { tokenHash }), issued("living", { expiresAtMs: 9e12 }));
  expect(directory.tokenByHash(tokenHash)?.issued.tokenId).toBe("old");
  directory.sweep(10_000 + 7 * 86_400_000);
  expect(directory.token("old")).toBeUndefined();
  expect(directory.tokenByHash(tokenHash)).toBeUndefined();
  expect(directory.token("living")).toBeDefined();
});

test("groups are as old as the provider's last word: a new mapping does not make them fresh", () => {
  const changed = (verifiedAtMs: number): Fact => ({
    $case: "principalGroupsChanged",
    value: { principalId: "user:maker", groups: ["x"], providerGroups: ["a"], verifiedAtMs },
  });
  const verifiedAt = (...facts: Fact[]) => folded(seen("maker"), ...facts).principal("user:maker")?.verifiedAtMs;
  expect(verifiedAt()).toBe(1_000);
  expect(verifiedAt(issued("t"), changed(0))).toBe(1_000);
  // asked at 1001, said at 1002
  expect(verifiedAt(issued("t"), changed(1_001))).toBe(1_001);
  // never later than it was said, never earlier than was known
  expect(verifiedAt(issued("t"), changed(9_999))).toBe(1_002);
  expect(verifiedAt(issued("t"), changed(500))).toBe(1_000);
});

test("whoever was seen is described as after a login of their own, with the groups of now and nobody's token", () => {
  const groups = [{ issuer: "https://idp.example", claimValue: "a", group: "engineers" }];
  const configured: Fact = {
    $case: "configurationApplied",
    value: { configuration: Configuration.fromPartial({ groups }), digest: "", changes: [] },
  };
  const directory = folded(seen("maker", { authTimeMs: 7, mfa: true }), issued("t1"), configured);
  expect(describePrincipal("user:maker", directory)).toMatchObject({
    principal: { id: "user:maker", name: "maker", groups: ["engineers"], authTimeMs: 7, mfa: true, tokenId: "" },
    offboarded: false,
  });
  expect(describePrincipal("user:nobody", directory)).toBeUndefined();
  expect(describePrincipal("user:maker", folded(seen("maker"), offboarded))?.offboarded).toBe(true);
});
