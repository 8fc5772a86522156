import { given } from "@sallyport/decider/testing";
import { ApprovalDenied, ApprovalExpired, ApprovalUsed, ApprovalWithdrawn } from "@sallyport/proto/event";
import { PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import { expect, test } from "vitest";
import {
  approver,
  asked,
  both,
  dba,
  dba2,
  digest,
  engineer,
  granted,
  hold,
  person,
  requested,
  security,
} from "../testing/people.ts";
import { objectionTo, requestDecider as decider } from "./request.ts";

const before = { nowMs: 500_000 };
const after = { nowMs: 1_000_000 };
const grant = (by = dba, when = before) => ({ do: "grant", approver: approver(by), comment: "ok", ...when }) as const;
const deny = (by = dba, when = before) => ({ do: "deny", approver: approver(by), reason: "no", ...when }) as const;
const use = (change: object = {}) =>
  ({ do: "use", sessionId: "s1", command: 4, digest, ...before, ...change }) as const;
const withdraw = { do: "withdraw", cause: "session ended" } as const;
const denied = {
  $case: "approvalDenied",
  value: ApprovalDenied.fromPartial({ approvalId: "a1", approver: "user:dba", reason: "no" }),
} as const;
const expired = { $case: "approvalExpired", value: ApprovalExpired.fromPartial({ approvalId: "a1" }) } as const;
const used = {
  $case: "approvalUsed",
  value: ApprovalUsed.fromPartial({ approvalId: "a1", sessionId: "s1", command: 4, digest }),
} as const;
const withdrawn = {
  $case: "approvalWithdrawn",
  value: ApprovalWithdrawn.fromPartial({ approvalId: "a1", cause: "session ended" }),
} as const;
const complete = granted("user:dba", ["prod-delete"], true);
const grantedFact = (by: string, policyIds: string[], done: boolean) => ({
  ...granted(by, policyIds, done),
  value: { ...granted(by, policyIds, done).value, comment: "ok" },
});

// ---- asking

test("a request is a fact", () =>
  given(decider, []).when({ do: "request", request: requested() }).then([asked().fact]));
test("asking again for the same unit changes nothing", () =>
  given(decider, [asked()]).when({ do: "request", request: requested() }).then([]));
test("asking again after it is over is refused", () =>
  given(decider, [asked(), denied])
    .when({ do: "request", request: requested() })
    .thenRefused("failed-precondition", /denied/));
test("an id is never taken over by another unit", () =>
  given(decider, [asked()])
    .when({ do: "request", request: { ...requested(), digest: Buffer.alloc(32, 8) } })
    .thenRefused("conflict"));
test.each([grant(), deny(), use(), withdraw, { do: "expire", ...after } as const])(
  "nothing happens to a request that nobody made: $do",
  (command) => given(decider, []).when(command).thenRefused("not-found"),
);

// ---- who may answer

test("a member of the hold's group grants", () =>
  given(decider, [asked()])
    .when(grant())
    .then([grantedFact("user:dba", ["prod-delete"], true)]));
test("a member of the hold's group denies", () => given(decider, [asked()]).when(deny()).then([denied]));
test.each([grant, deny])("nobody else answers", (answer) => {
  const asks = given(decider, [asked()]);
  asks.when(answer(security)).thenRefused("not-permitted", /Only members of dba/);
  asks.when({ ...answer(), approver: approver(dba, false) }).thenRefused("not-permitted", /policy says no/);
  asks
    .when(answer(person("robot", ["dba"], { kind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD })))
    .thenRefused("not-permitted", /Only a person/);
  asks
    .when(answer(person("dba", ["dba"], { actors: [{ id: "agent:helper", issuer: "" }] })))
    .thenRefused("not-permitted", /Only a person/);
});
test("a personal token answers nothing: a job carries it, and nobody has to be there", () => {
  const carried = approver(person("dba", ["dba"], { tokenKind: TokenKind.TOKEN_KIND_PERSONAL }));
  expect(objectionTo(requested(), carried)).toMatch(/signed in/);
  expect(objectionTo(requested(), approver(dba))).toBeUndefined();
});

test("nobody answers their own request, administrators included", () => {
  const own = given(decider, [asked([hold("prod-delete", "dba")], dba)]);
  own.when(grant(dba)).thenRefused("not-permitted", /own request/);
  own.when(deny(dba)).thenRefused("not-permitted", /own request/);
  own.when(grant(dba2)).then([grantedFact("user:dba2", ["prod-delete"], true)]);
});
test("nor an actor in the requester's chain, nor who made the requester's token, nor whose token the requester made", () => {
  const job = person("job", [], { actors: [{ id: "user:dba", issuer: "" }], createdBy: ["user:job", "user:dba2"] });
  const asks = given(decider, [asked([hold("prod-delete", "dba")], job)]);
  asks.when(grant(dba)).thenRefused("not-permitted", /own request/);
  asks.when(grant(dba2)).thenRefused("not-permitted", /own request/);
  given(decider, [asked()])
    .when(grant(person("dba", ["dba"], { createdBy: ["user:dba", "user:engineer"] })))
    .thenRefused("not-permitted", /own request/);
});

// ---- how many

test("a quorum of two takes two people, and one counts once", () => {
  const holds = [hold("p", "dba", 2)];
  given(decider, [asked(holds)])
    .when(grant())
    .then([grantedFact("user:dba", ["p"], false)]);
  const one = given(decider, [asked(holds), granted("user:dba", ["p"], false)]);
  one.when(grant()).thenRefused("already-exists", /counts once/);
  one.when(grant(dba2)).then([grantedFact("user:dba2", ["p"], true)]);
  expect(one.state?.status).toBe("pending");
});
test("every hold keeps its own group", () => {
  const holds = [hold("p", "dba"), hold("q", "security")];
  const one = given(decider, [asked(holds), granted("user:dba", ["p"], false)]);
  one.when(grant(dba2)).thenRefused("failed-precondition", /consent already/);
  one.when(grant(security)).then([grantedFact("user:security", ["q"], true)]);
  given(decider, [asked(holds)])
    .when(grant(both))
    .then([grantedFact("user:both", ["p", "q"], false)]);
  given(decider, [asked(holds), granted("user:both", ["p", "q"], false)])
    .when(grant(dba))
    .then([grantedFact("user:dba", ["p"], true)]);
});
test("one denial ends it, whatever was granted", () => {
  const holds = [hold("p", "dba", 2)];
  const state = given(decider, [asked(holds), granted("user:dba", ["p"], false), denied]);
  state.when(grant(dba2)).thenRefused("failed-precondition", /denied/);
  expect(state.state).toMatchObject({ status: "denied", deniedBy: "user:dba", reason: "no" });
});

// ---- use

test("a complete grant is used, once", () => {
  given(decider, [asked(), complete]).when(use()).then([used]);
  given(decider, [asked(), complete, used])
    .when(use())
    .thenRefused("failed-precondition", /has been used/);
});
test.each([
  { sessionId: "s2" },
  { command: 5 },
  { digest: Buffer.alloc(32, 8) },
  { digest: Buffer.alloc(0) },
  { digest: digest.subarray(0, 31) },
])("it is for one unit of one session: %o", (other) =>
  given(decider, [asked(), complete])
    .when(use(other))
    .thenRefused("failed-precondition", /something else/),
);
test("not before it is complete, not after its end", () => {
  given(decider, [asked()])
    .when(use())
    .thenRefused("failed-precondition", /not granted yet/);
  given(decider, [asked(), complete])
    .when(use(after))
    .thenRefused("failed-precondition", /expired/);
  given(decider, [asked(), complete, expired])
    .when(use())
    .thenRefused("failed-precondition", /expired/);
  given(decider, [asked(), complete, withdrawn])
    .when(use())
    .thenRefused("failed-precondition", /withdrawn/);
});

// ---- time

test("it expires at its time and not before, granted or not", () => {
  given(decider, [asked()])
    .when({ do: "expire", nowMs: 999_999 })
    .thenRefused("failed-precondition", /not time/);
  given(decider, [asked()])
    .when({ do: "expire", ...after })
    .then([expired]);
  given(decider, [asked(), complete])
    .when({ do: "expire", ...after })
    .then([expired]);
  given(decider, [asked(), complete, used])
    .when({ do: "expire", ...after })
    .thenRefused("failed-precondition", /used/);
});
test("an answer after the end comes too late, though nobody has said so yet", () => {
  given(decider, [asked()])
    .when(grant(dba, after))
    .thenRefused("failed-precondition", /expired/);
  given(decider, [asked()])
    .when(deny(dba, after))
    .thenRefused("failed-precondition", /expired/);
});

// ---- withdrawal

test("an open request is withdrawn; one that is over stays as it is", () => {
  given(decider, [asked()]).when(withdraw).then([withdrawn]);
  given(decider, [asked(), complete]).when(withdraw).then([withdrawn]);
  for (const end of [denied, expired, used, withdrawn])
    given(decider, [asked(), complete, end]).when(withdraw).then([]);
  given(decider, [asked(), withdrawn])
    .when(grant())
    .thenRefused("failed-precondition", /withdrawn/);
});

test("events of others are not ours", () => {
  expect(
    given(decider, [asked(), { $case: "sessionReplayed", value: { principalId: "", sessionId: "", live: false } }])
      .state?.status,
  ).toBe("pending");
  expect(engineer.id).toBe("user:engineer");
});
