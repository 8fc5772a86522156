import { expect, test } from "vitest";
import { TestWorld } from "../testing/live-session.ts";
import { testPrincipal } from "../testing/recording-only.ts";
import { endsSession, Leases, type Withdrawal } from "./leases.ts";

async function opened() {
  const world = new TestWorld();
  const withdrawn: Withdrawal[] = [];
  const groups: string[] = [];
  const changes: string[] = [];
  const leases = await Leases.open(world, {
    withdrawn: (withdrawal) => withdrawn.push(withdrawal),
    groupsChanged: (principal) => groups.push(principal),
    rulesChanged: () => changes.push("rules"),
    accessChanged: ({ approvalId, ended }) => changes.push(`${approvalId} ${ended ? "ended" : "began"}`),
  });
  return { world, leases, withdrawn, groups, changes };
}

const schema = { schema: undefined, digest: "", edge: "" };

test("what was there at the start counts for everybody", async () => {
  const { world, leases } = await opened();
  expect(leases.newest("orders", "orders", "user:engineer")).toBe(world.seq);
});

test("each event raises only what depends on it", async () => {
  const { world, leases, groups } = await opened();
  const start = world.seq;
  const scope = leases.scope("orders", "orders", "user:engineer");
  const other = leases.scope("sandbox", "sandbox", "user:dba");
  world.say({ $case: "principalSeen", value: {} as never });
  expect([scope.newest, other.newest]).toEqual([start, start]);
  const observed = world.say({
    $case: "schemaObserved",
    value: { connection: "orders", database: "orders", ...schema },
  });
  expect([scope.newest, other.newest]).toEqual([observed, start]);
  const changed = world.say({
    $case: "principalGroupsChanged",
    value: { principalId: "user:dba", groups: [], providerGroups: [], verifiedAtMs: 0 },
  });
  expect([scope.newest, other.newest]).toEqual([observed, changed]);
  expect(groups).toEqual(["user:dba"]);
  const applied = world.say({
    $case: "configurationApplied",
    value: { configuration: undefined, digest: "", changes: [] },
  });
  expect([scope.newest, other.newest]).toEqual([applied, applied]);
  expect(leases.newest("new", "new", "user:new")).toBe(applied);
  // other connections may lead to the same database
  const copied = world.say({
    $case: "columnsCopied",
    value: { connection: "orders", database: "orders", copies: [], edge: "" },
  });
  expect([scope.newest, other.newest, leases.newest("new", "new", "user:new")]).toEqual([copied, copied, copied]);
  leases.release(scope);
  world.say({ $case: "schemaObserved", value: { connection: "orders", database: "orders", ...schema } });
  expect(scope.newest).toBe(copied);
});

test("withdrawals end the principal's sessions, and those of whatever it created", async () => {
  const { world, withdrawn } = await opened();
  const contractor = testPrincipal("contractor");
  const nightly = testPrincipal("contractor", { tokenId: "nightly", createdBy: ["user:contractor"] });
  const made = testPrincipal("ci", { tokenId: "t-ci", createdBy: ["workload:ci", "user:contractor"] });
  const acting = testPrincipal("owner", { tokenId: "t-o", actors: [{ id: "user:contractor", issuer: "" }] });
  const engineer = testPrincipal("engineer");
  world.say({ $case: "principalOffboarded", value: { principalId: "user:contractor", reason: "", tokenIds: ["t-x"] } });
  const offboarded = withdrawn[0] as Withdrawal;
  expect([contractor, nightly, made, acting, engineer].map((one) => endsSession(offboarded, one))).toEqual([
    true,
    true,
    true,
    true,
    false,
  ]);
  world.say({
    $case: "tokenRevoked",
    value: { tokenId: "nightly", principalId: "user:contractor", reason: "", withDescendants: true },
  });
  const revoked = withdrawn[1] as Withdrawal;
  expect([contractor, nightly, made, engineer].map((one) => endsSession(revoked, one))).toEqual([
    false,
    true,
    false,
    false,
  ]);
  world.say({
    $case: "providerSessionEnded",
    value: { principalId: "user:engineer", providerSessionId: "s", tokenIds: [engineer.tokenId] },
  });
  expect(endsSession(withdrawn[2] as Withdrawal, engineer)).toBe(true);
});

test("a withdrawal that came while a login was under way is remembered", async () => {
  const { world, leases } = await opened();
  const nightly = testPrincipal("x", { tokenId: "nightly", createdBy: ["user:contractor"] });
  const before = world.seq;
  const seq = world.say({
    $case: "principalOffboarded",
    value: { principalId: "user:contractor", reason: "", tokenIds: [] },
  });
  expect(leases.withdrawnSince(nightly, before)).toBe(true);
  expect(leases.withdrawnSince(nightly, seq)).toBe(false);
  expect(leases.withdrawnSince(testPrincipal("y"), before)).toBe(false);
});

test("the lease is what the follower can prove", async () => {
  const { world, leases } = await opened();
  expect(leases.valid()).toBe(true);
  world.fresh = false;
  expect(leases.valid()).toBe(false);
  expect(await leases.whenValid(30)).toBe(false);
  const waiting = leases.whenValid(1000);
  world.fresh = true;
  expect(await waiting).toBe(true);
});

test("access for a time raises what its principal does there, when it begins and when it ends", async () => {
  const { world, leases, changes } = await opened();
  const start = world.seq;
  const place = { principalId: "user:engineer", connection: "orders", database: "orders" };
  const window = { ...place, seconds: 60, untilMs: 1 };
  const scope = leases.scope("orders", "orders", "user:engineer");
  const others = [
    leases.scope("orders", "orders", "user:dba"),
    leases.scope("orders", "other", "user:engineer"),
    leases.scope("sandbox", "orders", "user:engineer"),
  ];
  const granted = { approvalId: "w", approver: "user:dba", policyIds: [], complete: true, comment: "" };
  world.say({ $case: "approvalGranted", value: granted });
  world.say({ $case: "approvalGranted", value: { ...granted, complete: false, window: { ...window, untilMs: 0 } } });
  expect([scope.newest, changes]).toEqual([start, []]);
  const begun = world.say({ $case: "approvalGranted", value: { ...granted, window } });
  expect(scope.newest).toBe(begun);
  expect(leases.newest("orders", "orders", "user:engineer")).toBe(begun);
  const broken = world.say({
    $case: "breakGlassUsed",
    value: { approvalId: "g", principal: undefined, window, holds: [], reason: "" },
  });
  expect(scope.newest).toBe(broken);
  world.say({ $case: "approvalWithdrawn", value: { approvalId: "w", cause: "", window } });
  const ended = world.say({ $case: "approvalExpired", value: { approvalId: "g", window } });
  expect(scope.newest).toBe(ended);
  expect(others.map((other) => other.newest)).toEqual([start, start, start]);
  expect(changes).toEqual(["w began", "g began", "w ended", "g ended"]);
});
