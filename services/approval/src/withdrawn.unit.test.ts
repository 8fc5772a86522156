import {
  Event,
  PrincipalOffboarded,
  PrincipalReinstated,
  PrincipalSeen,
  ProviderSessionEnded,
  TokenIssued,
  TokenRevoked,
} from "@sallyport/proto/event";
import { expect, test } from "vitest";
import { engineer, person } from "../testing/people.ts";
import { Withdrawn } from "./withdrawn.ts";

const of = (fact: Event["fact"]): Event => ({ ...Event.fromPartial({}), fact });
const offboarded = (principalId: string, tokenIds: string[] = []) =>
  of({ $case: "principalOffboarded", value: PrincipalOffboarded.fromPartial({ principalId, tokenIds }) });
const revoked = (tokenId: string, withDescendants = false) =>
  of({ $case: "tokenRevoked", value: TokenRevoked.fromPartial({ tokenId, withDescendants }) });
const seen = (principalId: string) => of({ $case: "principalSeen", value: PrincipalSeen.fromPartial({ principalId }) });
const issued = (tokenId: string, providerSessionId: string) =>
  of({
    $case: "tokenIssued",
    value: TokenIssued.fromPartial({ tokenId, principalId: "user:contractor", providerSessionId }),
  });
const sessionEnded = (providerSessionId: string, tokenIds: string[]) =>
  of({
    $case: "providerSessionEnded",
    value: ProviderSessionEnded.fromPartial({ principalId: "user:contractor", providerSessionId, tokenIds }),
  });

test("a principal's end reaches everyone it stands behind", () => {
  const withdrawn = new Withdrawn();
  const cause = withdrawn.fold(offboarded("user:contractor"))!;
  expect(cause(person("contractor"))).toMatch(/contractor was offboarded/);
  expect(cause(person("job", [], { createdBy: ["user:contractor"] }))).toMatch(/contractor was offboarded/);
  expect(cause(person("job", [], { actors: [{ id: "user:contractor", issuer: "" }] }))).toMatch(/contractor/);
  expect(cause(engineer)).toBeUndefined();
  expect(
    withdrawn.fold(
      of({ $case: "principalReinstated", value: PrincipalReinstated.fromPartial({ principalId: "user:contractor" }) }),
    ),
  ).toBeUndefined();
  expect(withdrawn.cause(person("contractor"))).toMatch(/must log in again/);
  withdrawn.fold(seen("user:contractor"));
  expect(withdrawn.cause(person("contractor"))).toBeUndefined();
});

test("personal tokens wait for the next login; tokens of an ended session stay ended", () => {
  const withdrawn = new Withdrawn();
  withdrawn.fold(seen("user:contractor"));
  withdrawn.fold(issued("access", "s1"));
  withdrawn.fold(issued("other", "s2"));
  withdrawn.fold(issued("personal", ""));
  const [access, other, personal] = ["access", "other", "personal"].map((tokenId) =>
    person("contractor", [], { tokenId }),
  );
  const made = person("job", [], { tokenId: "made", createdBy: ["user:contractor"] });
  const all = [access!, other!, personal!, made];
  const causes = () => all.map((principal) => withdrawn.cause(principal) !== undefined);

  withdrawn.fold(sessionEnded("s1", ["access"]));
  expect(causes()).toEqual([true, false, false, false]);
  // identity names all of the principal's tokens, those that only wait too
  const cause = withdrawn.fold(sessionEnded("", ["other", "personal", "made"]))!;
  expect(all.map((principal) => cause(principal) !== undefined)).toEqual([true, true, true, true]);
  expect(cause(personal!)).toMatch(/contractor must log in again/);
  expect(cause(engineer)).toBeUndefined();
  withdrawn.fold(seen("user:contractor"));
  expect(causes()).toEqual([true, true, false, false]);
  // decided beside the end of its session
  withdrawn.fold(issued("late", "s1"));
  expect(withdrawn.cause(person("contractor", [], { tokenId: "late" }))).toMatch(/token was withdrawn/);
});

test("a token's end reaches the tokens that were asked for with it, when it says so", () => {
  const child = person("job", [], { tokenId: "child" });
  const childIssued = of({
    $case: "tokenIssued",
    value: TokenIssued.fromPartial({ tokenId: "child", issuedWith: ["parent", "grandparent"] }),
  });
  for (const [event, expected] of [
    [revoked("child"), true],
    [revoked("grandparent", true), true],
    [revoked("grandparent", false), false],
    [revoked("other", true), false],
    [offboarded("user:x", ["child"]), true],
  ] as const) {
    const withdrawn = new Withdrawn();
    withdrawn.fold(childIssued);
    expect(withdrawn.fold(event)!(child) !== undefined).toBe(expected);
  }
});
