import type { Hold } from "@sallyport/proto/verdict";
import { afterEach, beforeEach, expect, test } from "vitest";
import { outcome } from "../../testing/corpus.ts";
import { demoConfiguration, demoPolicies, openWorld, person } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";

const TEXT = "DELETE FROM orders WHERE id = 7";
const digest = Buffer.alloc(32, 1);
let world: World;
let holds: Hold[];

beforeEach(async () => {
  world = await openWorld();
  holds = (await world.check(TEXT)).holds;
}, 60_000);
afterEach(() => world.close());

const request = (more: object = {}): void =>
  world.apply({
    $case: "approvalRequested",
    value: {
      approvalId: "a1",
      sessionId: "s1",
      principal: person("engineer"),
      connection: "orders",
      database: "orders",
      digest,
      holds,
      command: 3,
      text: TEXT,
      normalized: "",
      expiresAtMs: 0,
      verdictId: "",
      reason: "",
      edge: "",
      ...more,
    },
  } as never);
const grant = (complete = true): void =>
  world.apply({
    $case: "approvalGranted",
    value: { approvalId: "a1", approver: "user:dba", policyIds: [], complete, comment: "" },
  });
const use = (more: object = {}): void =>
  world.apply({
    $case: "approvalUsed",
    value: { approvalId: "a1", sessionId: "s1", command: 3, digest, ...more },
  } as never);
const check = async (more: object = {}, who = person("engineer")) => {
  const verdict = await world.check(TEXT, { as: who, command: { approvalId: "a1", digest, ...more } });
  return { said: outcome(verdict), verdict };
};

test("a grant that is complete and used lets the command through", async () => {
  request();
  grant();
  use();
  const { said, verdict } = await check();
  expect(said).toBe("forward");
  expect(verdict.approvalId).toBe("a1");
  expect(verdict.cache?.kind).toBe(0);
});

test.each([
  ["never asked for", []],
  ["not granted", [request]],
  ["not granted completely", [request, () => grant(false), use]],
  ["granted, but not used", [request, grant]],
  ["used before it was granted", [request, use, grant]],
  ["used by another session", [request, grant, () => use({ sessionId: "s2" })]],
  ["used for something else", [request, grant, () => use({ digest: Buffer.alloc(32, 2) })]],
  ["asked for by somebody else", [() => request({ principal: person("dba") }), grant, use]],
  ["asked for in another session", [() => request({ sessionId: "s2" }), grant, () => use({ sessionId: "s2" })]],
  ["asked for on another connection", [() => request({ connection: "sandbox" }), grant, use]],
  ["without a digest", [() => request({ digest: Buffer.alloc(0) }), grant, () => use({ digest: Buffer.alloc(0) })]],
] as [string, (() => void)[]][])("an approval that was %s does not", async (_name, steps) => {
  for (const step of steps) step();
  expect((await check()).said).toBe("deny not-approved");
});

test.each(["approvalDenied", "approvalExpired", "approvalWithdrawn"] as const)("nor one after %s", async (fact) => {
  request();
  grant();
  world.apply({ $case: fact, value: { approvalId: "a1", approver: "", reason: "", cause: "" } } as never);
  use();
  expect((await check()).said).toBe("deny not-approved");
});

test("nor one for another digest", async () => {
  request();
  grant();
  use();
  expect((await check({ digest: Buffer.alloc(32, 9) })).said).toBe("deny not-approved");
});

test("a grant does not lift what base refuses", async () => {
  request({ principal: person("contractor") });
  grant();
  use();
  expect((await check({}, person("contractor"))).said).toBe("deny not-permitted");
});

test("a hold that came since is not among the granted ones", async () => {
  request();
  grant();
  use();
  const more = `@id("new") @approval("security") forbid (principal, action == Action::"write", resource);`;
  world.configure(demoConfiguration([...demoPolicies(), { path: "p.cedar", text: more }]));
  expect((await check()).said).toBe("deny not-approved");
});

test("a hold that asks more people than were asked is not covered", async () => {
  request({ holds: holds.map((hold) => ({ ...hold, quorum: 1 })) });
  grant();
  use();
  const stricter = demoPolicies().map(({ path, text }) => ({
    path,
    text: text.replaceAll('@quorum("1")', '@quorum("2")'),
  }));
  world.configure(demoConfiguration(stricter));
  expect((await check()).said).toBe("deny not-approved");
});
