import { RowLimit_Per } from "@sallyport/proto/verdict";
import type { Verdict } from "@sallyport/proto/verdict";
import { CacheScope_Kind } from "@sallyport/proto/verdict";
import { afterAll, beforeAll, expect, test } from "vitest";
import { demoConfiguration, demoPolicies, openWorld, person } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";
import { outcome } from "../../testing/corpus.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 60_000);
afterAll(() => world.close());

const readsOf = (annotations: string, id: string, more = ""): string =>
  `@id("${id}") ${annotations} forbid (principal, action == Action::"read", resource in Label::"env=production")${more};`;

function policies(...texts: string[]): void {
  world.configure(demoConfiguration([...demoPolicies(), { path: "policies/limits.cedar", text: texts.join("\n") }]));
}

const shown = ({ limits }: Verdict): string[] =>
  limits.map(({ policyId, maxRows, per, holds }) => `${policyId} ${maxRows} ${per}${holds ? " holds" : ""}`);

test("a forbid with @rows forbids nothing, and its limit goes with the verdict", async () => {
  policies(
    readsOf('@rows("100") @message("Enough.")', "result"),
    readsOf('@rows("500") @per("session")', "session", ' when { resource in Class::"email" }'),
  );
  const plain = await world.check("SELECT id FROM orders");
  expect(outcome(plain)).toBe("forward");
  expect(plain.limits).toEqual([
    { policyId: "result", maxRows: 100, per: RowLimit_Per.PER_RESULT, message: "Enough.", holds: false },
  ]);
  expect(plain.cache?.kind).not.toBe(CacheScope_Kind.KIND_UNSPECIFIED);
  const emails = await world.check("SELECT email FROM customers");
  expect(shown(emails)).toEqual(["result 100 1", "session 500 2"]);
  expect(emails.limits[1]?.message).toBe("Policy session lets no more than 500 rows through in one session.");
  expect(shown(await world.check("SELECT id FROM orders", { connection: "sandbox" }))).toEqual([]);
  expect(shown(await world.check("BEGIN"))).toEqual([]);
});

test("what is stricter stays: a block is one, a hold is one", async () => {
  policies(readsOf('@rows("100")', "result"));
  expect(outcome(await world.check("DROP TABLE orders"))).toBe("deny no-drop-in-production");
  expect(outcome(await world.check("UPDATE orders SET status = 'x' WHERE id = 1"))).toBe(
    "hold hold-changes-in-production",
  );
});

test("a policy that fails to evaluate refuses, be it only a limit", async () => {
  policies(readsOf('@rows("100")', "broken", ' when { context.session.client_address == ip("10.0.0.1") }'));
  expect(outcome(await world.check("SELECT id FROM orders", { clientAddress: "nowhere" }))).toBe(
    "deny evaluation-error",
  );
});

test("with @approval, what is used up is held; what is left is a limit", async () => {
  policies(readsOf('@rows("100") @per("hour") @approval("dba")', "hour"));
  const counted = (hour: number) => ({ counts: { limits: [{ policyId: "hour", session: 1_000, hour }] } });
  const some = await world.check("SELECT id FROM orders", counted(99));
  expect(outcome(some)).toBe("forward");
  expect(shown(some)).toEqual(["hour 100 3 holds"]);
  const none = await world.check("SELECT id FROM orders", counted(100));
  expect(outcome(none)).toBe("hold hour");
  expect(none.holds).toMatchObject([{ policyId: "hour", group: "dba", quorum: 1 }]);
  expect(JSON.parse(none.inputs.toString())).toMatchObject({ counted: { hour: 100 } });
  // Another policy's count is not its own.
  const others = { counts: { limits: [{ policyId: "other", session: 0, hour: 1_000 }] } };
  expect(outcome(await world.check("SELECT id FROM orders", others))).toBe("forward");
});

test("a granted command runs without the limit that it was held for, and under the others", async () => {
  policies(readsOf('@rows("100") @per("session") @approval("dba")', "session"), readsOf('@rows("7")', "result"));
  const counts = { limits: [{ policyId: "session", session: 100, hour: 0 }] };
  const held = await world.check("SELECT id FROM orders", { counts });
  const digest = Buffer.from("digest");
  const requested = {
    approvalId: "apr-1",
    sessionId: "s1",
    principal: person("engineer"),
    connection: "orders",
    database: "orders",
    command: 1,
    text: "",
    normalized: "",
    digest,
    holds: held.holds,
    verdictId: held.id,
    expiresAtMs: 0,
    reason: "",
    edge: "",
    shown: undefined,
  };
  world.apply({ $case: "approvalRequested", value: requested });
  const granted = {
    approvalId: "apr-1",
    approver: "user:dba",
    policyIds: ["session"],
    complete: true,
    comment: "",
  };
  world.apply({ $case: "approvalGranted", value: granted });
  world.apply({ $case: "approvalUsed", value: { approvalId: "apr-1", sessionId: "s1", command: 1, digest } });
  const used = await world.check("SELECT id FROM orders", { counts, command: { approvalId: "apr-1", digest } });
  expect(outcome(used)).toBe("forward");
  expect(shown(used)).toEqual(["result 7 1"]);
});

test("policies may look at the counts; what looks at rows is never kept", async () => {
  policies(readsOf("", "rows", " when { context.session.rows >= 10 || context.session.rows_hour >= 20 }"));
  const none = await world.check("SELECT id FROM orders");
  expect(outcome(none)).toBe("forward");
  expect(none.cache?.kind).toBe(CacheScope_Kind.KIND_UNSPECIFIED);
  expect(outcome(await world.check("SELECT id FROM orders", { counts: { rows: 10 } }))).toBe("deny rows");
  expect(outcome(await world.check("SELECT id FROM orders", { counts: { rowsHour: 20 } }))).toBe("deny rows");
});

test("a verdict that looks at probes is kept, for the edge drops it when there are more", async () => {
  policies(readsOf("", "probes", " when { context.session.probes >= 3 }"));
  const some = await world.check("SELECT id FROM orders", { counts: { probes: 2 } });
  expect(outcome(some)).toBe("forward");
  expect(some.cache?.kind).not.toBe(CacheScope_Kind.KIND_UNSPECIFIED);
  expect(some.cache).toMatchObject({ expiresAtMs: 0, countsProbes: true });
  expect(outcome(await world.check("SELECT id FROM orders", { counts: { probes: 3 } }))).toBe("deny probes");
  policies(readsOf("", "hour", " when { context.session.probes_hour >= 3 }"));
  const hour = await world.check("SELECT id FROM orders", { counts: { probesHour: 2 } });
  expect(hour.cache).toMatchObject({ expiresAtMs: 0, countsProbes: true });
});
