import { given } from "@sallyport/decider/testing";
import {
  ApprovalExpired,
  ApprovalGranted,
  ApprovalRequested,
  ApprovalWithdrawn,
  BreakGlassUsed,
} from "@sallyport/proto/event";
import { TokenKind } from "@sallyport/proto/principal";
import { expect, test } from "vitest";
import { approver, both, dba, dba2, engineer, hold, person, security } from "../testing/people.ts";
import { endsAtMs, requestDecider as decider } from "./request.ts";

const place = { principalId: "user:engineer", connection: "orders", database: "orders", seconds: 600 };
const window = (untilMs = 0) => ({ ...place, untilMs });
const request = (holds = [hold("window", "dba")], principal = engineer): ApprovalRequested =>
  ApprovalRequested.fromPartial({
    approvalId: "w1",
    principal,
    connection: "orders",
    database: "orders",
    holds,
    reason: "ticket 7",
    expiresAtMs: 1_000_000,
    window: window(),
  });
const asked = (holds?: Parameters<typeof request>[0]) => ({
  fact: { $case: "approvalRequested", value: request(holds) } as const,
  atMs: 100_000,
});
const grantedBy = (name: string, policyIds: string[], untilMs: number) =>
  ({
    $case: "approvalGranted",
    value: ApprovalGranted.fromPartial({
      approvalId: "w1",
      approver: `user:${name}`,
      policyIds,
      complete: untilMs > 0,
      comment: "ok",
      window: window(untilMs),
    }),
  }) as const;
const open = grantedBy("dba", ["window"], 1_100_000);
const withdrawn = (cause: string, by?: string, untilMs = 1_100_000) =>
  ({
    $case: "approvalWithdrawn",
    value: ApprovalWithdrawn.fromPartial({ approvalId: "w1", cause, window: window(untilMs), ...(by ? { by } : {}) }),
  }) as const;
const expired = (untilMs: number) =>
  ({
    $case: "approvalExpired",
    value: ApprovalExpired.fromPartial({ approvalId: "w1", window: window(untilMs) }),
  }) as const;
const grant = (by = dba, nowMs = 500_000) => ({ do: "grant", approver: approver(by), comment: "ok", nowMs }) as const;
const deny = (by = dba, nowMs = 500_000) => ({ do: "deny", approver: approver(by), reason: "no", nowMs }) as const;
const expire = (nowMs: number) => ({ do: "expire", nowMs }) as const;

// ---- windows

test("a window begins when the last of its quorum agrees, and lasts as long as was asked for", () => {
  const two = [hold("window", "dba", 2)];
  given(decider, [asked(two)])
    .when(grant())
    .then([grantedBy("dba", ["window"], 0)]);
  const one = given(decider, [asked(two), grantedBy("dba", ["window"], 0)]);
  one.when(grant()).thenRefused("already-exists", /counts once/);
  one.when(grant(dba2)).then([grantedBy("dba2", ["window"], 1_100_000)]);
});
test("who is in both groups speaks for one of them", () => {
  const holds = [hold("p", "dba"), hold("q", "security")];
  const one = given(decider, [asked(holds), grantedBy("both", ["p", "q"], 0)]);
  one.when(grant(both)).thenRefused("already-exists", /counts once/);
  one.when(grant(security)).then([grantedBy("security", ["q"], 1_100_000)]);
  one.when(grant(dba)).then([grantedBy("dba", ["p"], 1_100_000)]);
});
test("nobody grants their own, whatever groups they are in", () => {
  const own = { fact: { $case: "approvalRequested", value: request(undefined, dba) } as const, atMs: 1 };
  given(decider, [own])
    .when(grant(dba))
    .thenRefused("not-permitted", /own request/);
});
test("an unanswered request ends by its own time, a window by its end", () => {
  const unanswered = given(decider, [asked()]);
  unanswered.when(expire(999_999)).thenRefused("failed-precondition", /not time/);
  unanswered.when(expire(1_000_000)).then([expired(0)]);
  const granted = given(decider, [asked(), open]);
  expect(endsAtMs(granted.state!)).toBe(1_100_000);
  granted.when(expire(1_000_000)).thenRefused("failed-precondition", /not time/);
  granted.when(expire(1_100_000)).then([expired(1_100_000)]);
});
test("denied before it is granted, taken back after it", () => {
  expect(given(decider, [asked()]).when(deny()).decision).toMatchObject({ events: [{ $case: "approvalDenied" }] });
  const granted = given(decider, [asked(), open]);
  granted.when(deny(dba2)).then([withdrawn("no", "user:dba2")]);
  granted.when(deny(security)).thenRefused("not-permitted", /Only members of dba/);
  granted.when({ ...deny(), approver: approver(dba, false) }).thenRefused("not-permitted", /policy says no/);
  given(decider, [asked(), open, withdrawn("no", "user:dba2")])
    .when(deny())
    .thenRefused("failed-precondition", /withdrawn/);
});
test("who has it gives it back, and a job does not", () => {
  given(decider, [asked(), open])
    .when(deny(engineer))
    .then([withdrawn("no", "user:engineer")]);
  given(decider, [asked()])
    .when(deny(engineer))
    .then([withdrawn("no", "user:engineer", 0)]);
  given(decider, [asked(), open])
    .when(deny(person("engineer", [], { tokenKind: TokenKind.TOKEN_KIND_PERSONAL })))
    .thenRefused("not-permitted");
});
test("a window is no grant for a command", () => {
  const use = { do: "use", sessionId: "", command: 0, digest: Buffer.alloc(0), nowMs: 600_000 } as const;
  given(decider, [asked(), open])
    .when(use)
    .thenRefused("failed-precondition", /something else/);
});
test("it ends with the access of who has it, and says whose it was", () => {
  given(decider, [asked(), open])
    .when({ do: "withdraw", cause: "gone" })
    .then([withdrawn("gone")]);
});

// ---- glass

const used = (principal = engineer, reason = "the shop is down"): BreakGlassUsed =>
  BreakGlassUsed.fromPartial({
    approvalId: "g1",
    principal,
    window: window(700_000),
    holds: [hold("window", "dba")],
    reason,
  });
const glass = (by?: BreakGlassUsed) => ({ do: "break-glass", used: by ?? used() }) as const;
const broken = { $case: "breakGlassUsed", value: used() } as const;

test("glass is broken by a person who says why", () => {
  given(decider, []).when(glass()).then([broken]);
  given(decider, [])
    .when(glass(used(engineer, "")))
    .thenRefused("invalid-input", /why/);
  const token = person("engineer", [], { tokenKind: TokenKind.TOKEN_KIND_PERSONAL });
  given(decider, [])
    .when(glass(used(token)))
    .thenRefused("not-permitted", /Only a person/);
  const agent = person("engineer", [], { actors: [{ id: "agent:helper", issuer: "" }] });
  given(decider, [])
    .when(glass(used(agent)))
    .thenRefused("not-permitted", /Only a person/);
});
test("it is in force at once, until its end; an id is not taken over", () => {
  const state = given(decider, [broken]);
  expect(state.state).toMatchObject({ status: "granted", broken: true, grants: [], window: { untilMs: 700_000 } });
  expect(endsAtMs(state.state!)).toBe(700_000);
  state.when(glass()).thenRefused("conflict");
  state.when(grant()).thenRefused("failed-precondition", /granted already/);
  expect(state.when(expire(700_000)).decision).toMatchObject({ events: [{ $case: "approvalExpired" }] });
});
test("a member of the lifted hold's group ends it, and who broke it", () => {
  const state = given(decider, [broken]);
  for (const by of [dba, engineer])
    expect(state.when(deny(by)).decision).toMatchObject({ events: [{ $case: "approvalWithdrawn" }] });
  state.when(deny(security)).thenRefused("not-permitted");
});
