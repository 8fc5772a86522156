import { given } from "@sallyport/decider/testing";
import type { Fact } from "@sallyport/decider";
import { TokenIssued } from "@sallyport/proto/event";
import { test } from "vitest";
import { tokenDecider } from "./token-aggregate.ts";

const token = TokenIssued.fromPartial({ tokenId: "pt_1", principalId: "user:engineer" });
const issued: Fact = { $case: "tokenIssued", value: token };
const revoked = (withDescendants: boolean): Fact => ({
  $case: "tokenRevoked",
  value: { tokenId: "pt_1", principalId: "user:engineer", reason: "leaked", withDescendants },
});
const revoke = (withDescendants: boolean) => ({ kind: "revoke", reason: "leaked", withDescendants }) as const;

test("a token is issued once", () => {
  given(tokenDecider, []).when({ kind: "issue", token }).then([issued]);
  given(tokenDecider, [issued]).when({ kind: "issue", token }).thenRefused("already-exists");
  given(tokenDecider, [issued, revoked(false)])
    .when({ kind: "issue", token })
    .thenRefused("already-exists");
});

test("only what was issued can be revoked, and once", () => {
  given(tokenDecider, []).when(revoke(true)).thenRefused("not-found");
  given(tokenDecider, [issued])
    .when(revoke(true))
    .then([revoked(true)]);
  given(tokenDecider, [issued, revoked(true)])
    .when(revoke(true))
    .then([]);
  given(tokenDecider, [issued, revoked(true)])
    .when(revoke(false))
    .then([]);
});

test("a token that was signed out can still be revoked with what was made with it", () => {
  given(tokenDecider, [issued, revoked(false)])
    .when(revoke(false))
    .then([]);
  given(tokenDecider, [issued, revoked(false)])
    .when(revoke(true))
    .then([revoked(true)]);
});
