import {
  Event,
  PrincipalOffboarded,
  PrincipalReinstated,
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
  expect(withdrawn.cause(person("contractor"))).toBeUndefined();
});

test("a token's end reaches the tokens that were asked for with it, when it says so", () => {
  const child = person("job", [], { tokenId: "child" });
  const issued = of({
    $case: "tokenIssued",
    value: TokenIssued.fromPartial({ tokenId: "child", issuedWith: ["parent", "grandparent"] }),
  });
  for (const [event, expected] of [
    [revoked("child"), true],
    [revoked("grandparent", true), true],
    [revoked("grandparent", false), false],
    [revoked("other", true), false],
    [offboarded("user:x", ["child"]), true],
    [of({ $case: "providerSessionEnded", value: ProviderSessionEnded.fromPartial({ tokenIds: ["child"] }) }), true],
  ] as const) {
    const withdrawn = new Withdrawn();
    withdrawn.fold(issued);
    expect(withdrawn.fold(event)!(child) !== undefined).toBe(expected);
  }
});
