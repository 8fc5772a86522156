import type { Event } from "@sallyport/proto/event";
import { AuthorizeRequest } from "@sallyport/proto/policy";
import { TokenKind } from "@sallyport/proto/principal";
import type { Principal } from "@sallyport/proto/principal";
import { DenyReason } from "@sallyport/proto/verdict";
import { afterEach, beforeEach, expect, test } from "vitest";
import { outcome } from "../../testing/corpus.ts";
import { demoConfiguration, demoPolicies, NOW, openWorld, person } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";
import { authorize } from "../authorize.ts";

const HOUR = 3_600_000;
const TEXT = "DELETE FROM orders WHERE id = 7";
const RULES = `
  @id("window-for-production") @approval("dba") @quorum("2") @window("1h") @break_glass("30m")
  @message("Production is entered for a time, with a reason.")
  forbid (principal in Group::"engineers", action == Action::"connect", resource in Label::"env=production");
  @id("engineers-break-glass")
  permit (principal in Group::"engineers", action == Action::"break-glass", resource in Label::"env=production");
`;
const withRules = (rules: string, demo = demoPolicies()) => [
  ...demo,
  { path: "policies/zz-windows.cedar", text: rules },
];
/** The demo's hold of changes in production may be lifted by breaking glass, too. */
const breakable = () =>
  demoPolicies().map(({ path, text }) => ({
    path,
    text: text.replace('@id("hold-changes-in-production")', '@id("hold-changes-in-production") @break_glass("10m")'),
  }));

let world: World;
beforeEach(async () => {
  world = await openWorld({ policies: withRules(RULES, breakable()) });
}, 60_000);
afterEach(() => world.close());

const may = (action: string, who: Principal = person("engineer"), resource = "orders") =>
  authorize(
    AuthorizeRequest.fromPartial({ principal: who, action, resource, session: { clientAddress: "10.0.0.7" } }),
    {
      published: world.state.published,
      nowMs: world.clock.nowMs,
      timeZone: "UTC",
    },
  );

type Fact = NonNullable<Event["fact"]>;
const place = (seconds = 3_600, untilMs = 0, more: object = {}) => ({
  principalId: "user:engineer",
  connection: "orders",
  database: "orders",
  seconds,
  untilMs,
  ...more,
});
const apply = (fact: object): void => world.apply(fact as Fact);
const request = (more: object = {}) =>
  apply({
    $case: "approvalRequested",
    value: { approvalId: "w1", holds: may("connect").access?.holds ?? [], window: place(), ...more },
  });
const grant = (window: object = place(3_600, NOW + HOUR), complete = true) =>
  apply({ $case: "approvalGranted", value: { approvalId: "w1", complete, window } });
const breakGlass = (seconds = 1_800, more: object = {}) =>
  apply({
    $case: "breakGlassUsed",
    value: {
      approvalId: "g1",
      holds: may("break-glass").access?.holds ?? [],
      window: place(seconds, NOW + seconds * 1_000, more),
      reason: "the shop is down",
    },
  });
const connected = async (who: Principal = person("engineer")) => outcome(await world.connect(who));

test("without a window the login is refused, with the author's sentence and how to ask", async () => {
  const verdict = await world.connect(person("engineer"));
  expect(outcome(verdict)).toBe("deny not-approved");
  expect(verdict).toMatchObject({
    determining: ["window-for-production"],
    reason: DenyReason.DENY_REASON_NOT_APPROVED,
  });
  expect(verdict.message).toBe(
    'Production is entered for a time, with a reason. Ask for a time: sallyport request orders --for 1h --reason "…" ' +
      '(in an emergency, whoever may: sallyport break-glass orders --reason "…")',
  );
  expect(await connected(person("dba"))).toBe("forward");
  expect(outcome(await world.connect(person("engineer"), "sandbox"))).toBe("forward");
});

test("what holds a login is said to whoever may ask for it, and to nobody else", () => {
  expect(may("connect")).toMatchObject({
    allowed: true,
    access: { database: "orders", holds: [{ policyId: "window-for-production", quorum: 2, windowSeconds: 3_600 }] },
  });
  expect(may("connect", person("stranger"))).toMatchObject({ allowed: false });
  expect(may("connect", person("engineer"), "nowhere")).toMatchObject({ allowed: false });
  expect(may("connect", person("engineer"), "sandbox").access?.holds).toEqual([]);
});

test("a granted window lets in until it ends; the verdict names it and says when", async () => {
  request();
  expect(await connected()).toBe("deny not-approved");
  grant(place(3_600, NOW + HOUR), false);
  expect(await connected()).toBe("deny not-approved");
  grant();
  const verdict = await world.connect(person("engineer"));
  expect(outcome(verdict)).toBe("forward");
  expect(verdict).toMatchObject({ approvalId: "w1", cache: { expiresAtMs: NOW + HOUR } });
  expect(verdict.determining).toContain("window-for-production");
  world.clock.nowMs = NOW + HOUR;
  expect(await connected(person("engineer", { expiresAtMs: NOW + 2 * HOUR }))).toBe("deny not-approved");
});

test("what touches nothing is decided by connect again, and ends with the window", async () => {
  request();
  grant();
  const verdict = await world.check("BEGIN");
  expect(outcome(verdict)).toBe("forward");
  expect(verdict).toMatchObject({ approvalId: "w1", cache: { expiresAtMs: NOW + HOUR } });
  apply({ $case: "approvalWithdrawn", value: { approvalId: "w1", cause: "" } });
  // It cannot wait: a login's hold is not a command's.
  expect(outcome(await world.check("BEGIN"))).toBe("deny not-approved");
});

test.each([
  ["another person", { principalId: "user:other" }],
  ["another connection", { connection: "sandbox" }],
  ["another database", { database: "other" }],
])("a window is not for %s", async (_, other) => {
  request({ window: place(3_600, 0, other) });
  grant(place(3_600, NOW + HOUR, other));
  expect(await connected()).toBe("deny not-approved");
});

test("the same principal's personal token comes in by the window, another person of the group does not", async () => {
  request();
  grant();
  const token = { tokenKind: TokenKind.TOKEN_KIND_PERSONAL, actors: [{ id: "workload:job", issuer: "" }] };
  expect(await connected(person("engineer", token))).toBe("forward");
  expect(await connected(person("other", { groups: ["engineers"] }))).toBe("deny not-approved");
});

test.each([
  ["denied", "approvalDenied"],
  ["expired", "approvalExpired"],
  ["withdrawn", "approvalWithdrawn"],
])("%s, it lets nobody in", async (_, fact) => {
  request();
  grant();
  apply({ $case: fact, value: { approvalId: "w1" } });
  expect(await connected()).toBe("deny not-approved");
});

test("a grant that nobody asked for, or for a command, is none", async () => {
  grant();
  expect(await connected()).toBe("deny not-approved");
  request({ window: undefined });
  grant();
  expect(await connected()).toBe("deny not-approved");
});

test("the policies of now count: a shorter window, another hold, a larger quorum", async () => {
  request();
  grant();
  const under = async (rules: string) => {
    world.configure(demoConfiguration(withRules(rules, breakable())));
    return connected();
  };
  const shorter = await under(RULES.replace('@window("1h")', '@window("30m")'));
  expect(shorter).toBe("forward");
  expect((await world.connect(person("engineer"))).cache?.expiresAtMs).toBe(NOW + HOUR / 2);
  expect(await under(RULES.replace('@quorum("2")', '@quorum("3")'))).toBe("deny not-approved");
  expect(await under(RULES.replace('@approval("dba")', '@approval("security")'))).toBe("deny not-approved");
  const another = `@id("more") @approval("security") @window("1h")
    forbid (principal, action == Action::"connect", resource);`;
  expect(await under(`${RULES}${another}`)).toBe("deny not-approved");
  expect(await under(RULES)).toBe("forward");
});

test("a forbid is not lifted by any window or glass", async () => {
  request();
  grant();
  breakGlass();
  const forbid = `@id("never") forbid (principal, action == Action::"connect", resource in Label::"env=production");`;
  world.configure(demoConfiguration(withRules(`${RULES}${forbid}`, breakable())));
  expect(await connected()).toBe("deny never");
});

// ---- glass

test("who may break glass is told what it lifts, for the connection and for commands there", () => {
  const { allowed, access } = may("break-glass");
  expect(allowed).toBe(true);
  expect(access?.holds.map((hold) => [hold.policyId, hold.breakGlassSeconds])).toEqual([
    ["window-for-production", 1_800],
    ["hold-changes-in-production", 600],
  ]);
  expect(may("break-glass", person("contractor"))).toMatchObject({ allowed: false });
  expect(may("break-glass", person("engineer"), "sandbox")).toMatchObject({ allowed: false });
});

test("broken glass lifts the holds that it names, each as long as its policy lets; verdicts name it", async () => {
  expect(outcome(await world.check(TEXT))).toBe("hold hold-changes-in-production");
  breakGlass();
  const verdict = await world.check(TEXT);
  expect(outcome(verdict)).toBe("forward");
  expect(verdict.approvalId).toBe("g1");
  // What else its policies look at may end it sooner.
  expect(verdict.cache?.expiresAtMs).toBeGreaterThan(NOW);
  expect(verdict.cache?.expiresAtMs).toBeLessThanOrEqual(NOW + 600_000);
  expect(verdict.determining).toContain("hold-changes-in-production");
  world.clock.nowMs = NOW + 600_000;
  expect(outcome(await world.check(TEXT))).toBe("hold hold-changes-in-production");
  expect(await connected()).toBe("forward");
  world.clock.nowMs = NOW + 1_800_000;
  expect(await connected()).toBe("deny not-approved");
});

test("glass that somebody took back lifts nothing", async () => {
  breakGlass();
  apply({ $case: "approvalWithdrawn", value: { approvalId: "g1", by: "user:dba" } });
  expect(await connected()).toBe("deny not-approved");
});

test("a job does not go through what its owner has broken", async () => {
  breakGlass();
  expect(await connected()).toBe("forward");
  expect(await connected(person("engineer", { tokenKind: TokenKind.TOKEN_KIND_PERSONAL }))).toBe("deny not-approved");
  expect(await connected(person("engineer", { actors: [{ id: "agent:x", issuer: "" }] }))).toBe("deny not-approved");
});

test("a window is named before glass that lifts the same", async () => {
  breakGlass();
  request();
  grant();
  expect((await world.connect(person("engineer"))).approvalId).toBe("w1");
});

test("a hold that has lost @break_glass is not lifted any more", async () => {
  breakGlass();
  world.configure(demoConfiguration(withRules(RULES.replace('@break_glass("30m")', ""), breakable())));
  expect(await connected()).toBe("deny not-approved");
});

test("an open session is looked at again when the hour ends, if a policy looks at the clock", async () => {
  expect((await world.connect(person("dba"))).cache?.expiresAtMs).toBe(0);
  const hours = `@id("hours") forbid (principal, action == Action::"connect", resource) when { context.clock.hour > 18 };`;
  world.configure(demoConfiguration(withRules(hours)));
  expect((await world.connect(person("dba"))).cache?.expiresAtMs).toBe(Date.UTC(2026, 2, 4, 11));
});
