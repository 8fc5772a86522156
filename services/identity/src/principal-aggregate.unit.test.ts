import { given } from "@sallyport/decider/testing";
import type { Fact } from "@sallyport/decider";
import { PrincipalSeen } from "@sallyport/proto/event";
import { PrincipalKind } from "@sallyport/proto/principal";
import { expect, test } from "vitest";
import { principalDecider, type See } from "./principal-aggregate.ts";

const ISSUER = "https://idp.example";
const SEALED = Buffer.from("sealed");
const engineer: Fact = {
  $case: "principalSeen",
  value: PrincipalSeen.fromPartial({
    principalId: "user:engineer",
    kind: PrincipalKind.PRINCIPAL_KIND_USER,
    issuer: ISSUER,
    subject: "1",
    groups: ["engineers"],
    providerGroups: ["engineers"],
    authTimeMs: 1_000,
    sealedRefreshToken: SEALED,
    providerSessionId: "s1",
  }),
};
const offboarded: Fact = {
  $case: "principalOffboarded",
  value: { principalId: "user:engineer", reason: "left", tokenIds: [] },
};
const reinstated: Fact = {
  $case: "principalReinstated",
  value: { principalId: "user:engineer", reason: "back" },
};
const allSessionsEnded: Fact = {
  $case: "providerSessionEnded",
  value: { principalId: "user:engineer", providerSessionId: "", tokenIds: [] },
};

function see(changes: Partial<See> = {}): See {
  return {
    kind: "see",
    principalId: "user:engineer",
    principalKind: PrincipalKind.PRINCIPAL_KIND_USER,
    issuer: ISSUER,
    subject: "1",
    groups: ["engineers"],
    providerGroups: ["engineers"],
    authTimeMs: 2_000,
    mfa: false,
    sealedRefreshToken: SEALED,
    providerSessionId: "s2",
    ...changes,
  };
}

test("a login is seen, the first time and every time", () => {
  const { kind: _, principalKind: kind, ...same } = see();
  const seen: Fact = {
    $case: "principalSeen",
    value: { ...same, kind, groups: ["engineers"], providerGroups: ["engineers"] },
  };
  given(principalDecider, []).when(see()).then([seen]);
  given(principalDecider, [engineer]).when(see()).then([seen]);
});

test.each([{ subject: "2" }, { issuer: "https://other.example" }])(
  "a name belongs to who had it first: %o",
  (other) => {
    given(principalDecider, [engineer])
      .when(see(other))
      .thenRefused("already-exists", /another account/);
  },
);

test("an offboarded principal is not seen again until it is reinstated", () => {
  given(principalDecider, [engineer, offboarded])
    .when(see())
    .thenRefused("unauthenticated", /withdrawn/);
  given(principalDecider, [offboarded]).when(see()).thenRefused("unauthenticated");
  expect(given(principalDecider, [engineer, offboarded, reinstated]).when(see()).decision.kind).toBe("events");
});

test("reinstating restores no standing: only a login does", () => {
  const { state } = given(principalDecider, [engineer, offboarded, reinstated]);
  expect(state).toMatchObject({ offboarded: false, standing: false });
  expect(state.seen?.sealedRefreshToken).toHaveLength(0);
});

test("offboarding and reinstating twice says it once", () => {
  const off = {
    kind: "offboard",
    principalId: "user:engineer",
    reason: "left",
    tokenIds: [],
    inAdvance: false,
  } as const;
  given(principalDecider, [engineer]).when(off).then([offboarded]);
  given(principalDecider, [engineer, offboarded]).when(off).then([]);
  const back = { kind: "reinstate", principalId: "user:engineer", reason: "back" } as const;
  given(principalDecider, [engineer, offboarded]).when(back).then([reinstated]);
  given(principalDecider, [engineer]).when(back).then([]);
});

test("a name that was never seen is withdrawn only in advance: else it is a slip of the pen", () => {
  const off = {
    kind: "offboard",
    principalId: "user:engineer",
    reason: "left",
    tokenIds: [],
    inAdvance: false,
  } as const;
  given(principalDecider, [])
    .when(off)
    .thenRefused("not-found", /user:engineer/);
  given(principalDecider, [])
    .when({ ...off, inAdvance: true })
    .then([offboarded]);
  given(principalDecider, [offboarded]).when(off).then([]);
});

test("groups are announced when they change, and mapped by the configuration of the moment", () => {
  const mappings = [{ issuer: ISSUER, claimValue: "engineers", group: "developers" }];
  const command = { kind: "map-groups", principalId: "user:engineer", mappings, read: undefined } as const;
  given(principalDecider, [engineer])
    .when(command)
    .then([
      {
        $case: "principalGroupsChanged",
        value: { principalId: "user:engineer", groups: ["developers"], providerGroups: ["engineers"], verifiedAtMs: 0 },
      },
    ]);
  given(principalDecider, [engineer])
    .when({ ...command, mappings: [], read: { groups: ["dba"], askedAtMs: 5_000 } })
    .then([
      {
        $case: "principalGroupsChanged",
        value: { principalId: "user:engineer", groups: ["dba"], providerGroups: ["dba"], verifiedAtMs: 5_000 },
      },
    ]);
  given(principalDecider, [engineer])
    .when({ ...command, mappings: [] })
    .then([]);
  given(principalDecider, [engineer, offboarded]).when(command).then([]);
});

test("a refresh token is replaced only by who held the one that is stored", () => {
  const newer = Buffer.from("newer");
  const rotate = { kind: "rotate-refresh-token", replaces: SEALED, sealedRefreshToken: newer } as const;
  const after = given(principalDecider, [engineer]).when(rotate).decision;
  expect(after).toMatchObject({ kind: "events", events: [{ value: { sealedRefreshToken: newer } }] });
  given(principalDecider, [engineer])
    .when({ ...rotate, replaces: Buffer.from("older") })
    .then([]);
});

test("the provider's refusal of an old refresh token says nothing about a newer login", () => {
  const end = {
    kind: "end-provider-session",
    principalId: "user:engineer",
    providerSessionId: "",
    tokenIds: [],
  } as const;
  given(principalDecider, [engineer])
    .when({ ...end, unlessRefreshTokenIsNot: Buffer.from("older") })
    .then([]);
  given(principalDecider, [engineer])
    .when({ ...end, unlessRefreshTokenIsNot: SEALED })
    .then([allSessionsEnded]);
  given(principalDecider, [engineer, allSessionsEnded]).when(end).then([]);
});

test("the end of one session leaves the principal standing; the end of all does not, until the next login", () => {
  const one: Fact = {
    $case: "providerSessionEnded",
    value: { principalId: "user:engineer", providerSessionId: "s1", tokenIds: [] },
  };
  expect(given(principalDecider, [engineer, one]).state.standing).toBe(true);
  expect(given(principalDecider, [engineer, allSessionsEnded]).state.standing).toBe(false);
  expect(given(principalDecider, [engineer, allSessionsEnded, engineer]).state.standing).toBe(true);
});

test("a workload is recorded once, and again when its issuer's groups have changed", () => {
  const workload = {
    principalKind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD,
    authTimeMs: 0,
    sealedRefreshToken: Buffer.alloc(0),
  };
  const known: Fact = {
    $case: "principalSeen",
    value: PrincipalSeen.fromPartial({ ...engineer.value, kind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD }),
  };
  given(principalDecider, [known]).when(see(workload)).then([]);
  expect(given(principalDecider, [known]).when(see({ ...workload, groups: ["new"] })).decision).toMatchObject({
    kind: "events",
    events: [{ $case: "principalSeen" }],
  });
});
