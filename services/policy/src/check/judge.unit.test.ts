import { DenyReason, Outcome, Verdict } from "@sallyport/proto/verdict";
import { CacheScope_Kind } from "@sallyport/proto/verdict";
import { createHmac } from "node:crypto";
import { afterEach, beforeAll, expect, test } from "vitest";
import { NOW, demoConfiguration, demoPolicies, nightlyJob, openWorld, person } from "../../testing/world.ts";
import type { World, WorldOptions } from "../../testing/world.ts";
import { outcome } from "../../testing/corpus.ts";
import { signVerdict } from "./sign.ts";

let world: World | undefined;
// The first world compiles two WebAssembly modules.
beforeAll(async () => (await openWorld()).close(), 60_000);
afterEach(() => world?.close());

async function open(options: WorldOptions = {}): Promise<World> {
  await world?.close();
  world = await openWorld(options);
  return world;
}

/** The demo's policies and some more. */
const demoAnd = (text: string): WorldOptions => ({
  policies: [...demoPolicies(), { path: "policies/test.cedar", text }],
});

test("who may connect, and what is hidden from them", async () => {
  const w = await open();
  expect(outcome(await w.connect(person("engineer")))).toBe("forward");
  expect(outcome(await w.connect(person("security")))).toBe("deny not-permitted");
  expect(outcome(await w.connect(person("stranger")))).toBe("deny not-permitted");
  expect((await w.connect(person("engineer"))).hiddenClasses).toContain("email");
  expect((await w.connect(person("dba"))).hiddenClasses).toEqual(["payment-card", "free-text"]);
});

test("without a published configuration nobody is known", async () => {
  const w = await open();
  const before = await w.check("SELECT 1");
  expect(before.asOf).toBeGreaterThan(0);
  w.configure(demoConfiguration([]));
  expect(outcome(await w.check("SELECT 1"))).toBe("deny not-permitted");
});

test.each([
  ["an unknown connection", { connection: "nowhere" }],
  ["an unknown kind of principal", { as: person("engineer", { kind: 0 }) }],
  ["an id that says another kind", { as: person("engineer", { id: "agent:engineer" }) }],
  ["an expired token", { as: person("engineer", { expiresAtMs: NOW }) }],
])("%s is refused", async (_name, more) => {
  const w = await open();
  expect(outcome(await w.check("SELECT 1", more))).toBe("deny unknown-subject");
});

test("a set that does not load refuses everything", async () => {
  const w = await open();
  w.configure(demoConfiguration([{ path: "policies/broken.cedar", text: "permit (principal" }]));
  expect(outcome(await w.check("SELECT 1"))).toBe("deny evaluation-error");
  w.configure(demoConfiguration());
  expect(outcome(await w.check("SELECT 1"))).toBe("forward");
});

test("a job is told soon, a person may wait", async () => {
  const w = await open();
  const job = await w.check("COPY customers TO STDOUT", { as: nightlyJob() });
  expect(job.holds).toMatchObject([
    { policyId: "hold-unattended-transfer-of-classified-data", group: "dba", withinSeconds: 4 },
  ]);
  const someone = await w.check("COPY customers TO STDOUT", { as: person("contractor") });
  expect(someone.holds).toMatchObject([
    { policyId: "hold-transfer-of-classified-data", quorum: 1, withinSeconds: 900 },
  ]);
  expect(someone.shadow).toEqual(["shadow-contractors-without-cards"]);
});

test("the author's sentence is what is said", async () => {
  const w = await open();
  expect((await w.check("DROP TABLE customers")).message).toMatch(/^Nothing is dropped by hand in production/);
  expect((await w.check("DELETE FROM orders")).message).toMatch(/Name the rows with a WHERE/);
  const plain = await w.check("GRANT ALL ON orders TO public");
  expect(plain.message).toBe("No policy permits user:engineer this on connection orders: administer on the database.");
});

test("an error in evaluating a forbid is a refusal, not a policy less", async () => {
  // The session's address is none: the policy cannot be evaluated.
  const w = await open(
    demoAnd(`@id("net") forbid (principal, action == Action::"read", resource)
      when { !context.session.client_address.isInRange(ip("10.0.0.0/8")) };`),
  );
  expect(outcome(await w.check("SELECT id FROM orders"))).toBe("forward");
  expect(outcome(await w.check("SELECT id FROM orders", { clientAddress: "192.168.1.1" }))).toBe("deny net");
  const broken = await w.check("SELECT id FROM orders", { clientAddress: "not an address" });
  expect(outcome(broken)).toBe("deny evaluation-error");
  expect(broken.determining).toEqual(["net"]);
  expect(broken.cache?.kind).toBe(CacheScope_Kind.KIND_UNSPECIFIED);
});

test("an error in evaluating a hold is a refusal, too", async () => {
  const w = await open(
    demoAnd(`@id("net") @approval("dba") forbid (principal, action == Action::"read", resource)
      when { !context.session.client_address.isInRange(ip("10.0.0.0/8")) };`),
  );
  expect(outcome(await w.check("SELECT id FROM orders", { clientAddress: "" }))).toBe("deny evaluation-error");
});

test("an error in a shadow policy decides nothing", async () => {
  const w = await open(
    demoAnd(`@id("net") @mode("shadow") forbid (principal, action == Action::"read", resource)
      when { !context.session.client_address.isInRange(ip("10.0.0.0/8")) };`),
  );
  expect(outcome(await w.check("SELECT id FROM orders", { clientAddress: "" }))).toBe("forward");
});

test("a hold is not offered where base does not allow", async () => {
  const w = await open();
  expect(outcome(await w.check("DELETE FROM orders WHERE id = 1", { as: person("contractor") }))).toBe(
    "deny not-permitted",
  );
});

test("a policy about one class meets a class in it", async () => {
  const w = await open(
    demoAnd(`@id("no-cards") forbid (principal, action == Action::"read", resource in Class::"payment-card");`),
  );
  expect(outcome(await w.check("SELECT id FROM customers"))).toBe("forward");
  expect(outcome(await w.check("SELECT card_number FROM customers"))).toBe("deny no-cards");
  expect(outcome(await w.check("SELECT * FROM customers"))).toBe("deny no-cards");
  // The view's definition does not read the card.
  expect(outcome(await w.check("SELECT who FROM customer_contacts"))).toBe("forward");
  // What nobody knows could be anything.
  expect(outcome(await w.check("SELECT x FROM mystery"))).toBe("deny no-cards");
  expect(outcome(await w.check("SELECT * FROM pg_stats"))).toBe("deny no-cards");
  expect(outcome(await w.check("SELECT relname FROM pg_class"))).toBe("forward");
});

test("a policy about one relation meets what could be that relation", async () => {
  const w = await open(
    demoAnd(
      `@id("no-archive") forbid (principal, action == Action::"read", resource == Object::"orders/orders/archive/orders");`,
    ),
  );
  expect(outcome(await w.check("SELECT id FROM orders"))).toBe("forward");
  expect(outcome(await w.check("SELECT id FROM archive.orders"))).toBe("deny no-archive");
  expect(outcome(await w.check("SELECT id FROM orders", { command: { searchPath: [] } }))).toBe("deny no-archive");
  expect(outcome(await w.check("SELECT id FROM mystery"))).toBe("deny no-archive");
  expect(outcome(await w.check("SELECT id FROM customers", { command: { schemaTouched: true } }))).toBe(
    "deny no-archive",
  );
});

test("a policy about one schema meets everything in it", async () => {
  const w = await open(demoAnd(`@id("s") forbid (principal, action, resource in Object::"orders/orders/archive");`));
  expect(outcome(await w.check("SELECT id FROM archive.orders"))).toBe("deny s");
  expect(outcome(await w.check("SELECT id FROM mystery"))).toBe("deny s");
  expect(outcome(await w.check("SELECT id FROM customers"))).toBe("forward");
});

test("a policy about one column meets it by name, and by a star", async () => {
  const w = await open(
    demoAnd(
      `@id("col") forbid (principal, action == Action::"read", resource == Object::"orders/orders/public/orders/amount");`,
    ),
  );
  expect(outcome(await w.check("SELECT id FROM orders"))).toBe("forward");
  expect(outcome(await w.check("SELECT amount FROM orders"))).toBe("deny col");
  expect(outcome(await w.check("SELECT * FROM orders"))).toBe("deny col");
  expect(outcome(await w.check("SELECT to_json(o) FROM orders o"))).toBe("deny col");
});

test("before the schema was observed every name is unknown", async () => {
  const w = await open({ observed: false });
  const verdict = await w.check("SELECT id FROM customers");
  expect(verdict.facts?.relations).toMatchObject([{ name: "customers", kind: "unknown", oid: 0 }]);
  expect((await w.check("SELECT lower('x')")).facts?.userCode).toBe(true);
});

test("a renamed column keeps its class", async () => {
  const w = await open();
  const schema = (await import("../../testing/world.ts")).demoSchema();
  const customers = schema.relations.find((relation) => relation.name === "customers");
  for (const column of customers?.columns ?? []) if (column.name === "email") column.name = "e";
  w.apply({
    $case: "schemaObserved",
    value: { connection: "orders", database: "orders", schema, digest: "", edge: "" },
  });
  expect(outcome(await w.check("COPY customers (e) TO STDOUT"))).toBe("hold hold-transfer-of-classified-data");
});

test.each([
  ["off", { standard_conforming_strings: "off", client_encoding: "UTF8" }],
  ["not told", { client_encoding: "UTF8" }],
  ["another encoding", { standard_conforming_strings: "on", client_encoding: "SJIS" }],
  ["no encoding", { standard_conforming_strings: "on" }],
])("a session with a setting that is %s is refused", async (_name, settings) => {
  const w = await open();
  expect(outcome(await w.check("SELECT 1", { command: { settings } }))).toBe("deny unsafe-setting");
});

test("SQL_ASCII is as good as UTF8 for a text of ASCII", async () => {
  const w = await open();
  const settings = { standard_conforming_strings: "on", client_encoding: "SQL_ASCII" };
  expect(outcome(await w.check("SELECT 'e'", { command: { settings } }))).toBe("forward");
  expect(outcome(await w.check("SELECT 'é'", { command: { settings } }))).toBe("deny unsafe-setting");
});

test("a call of a function by its number is opaque", async () => {
  const w = await open();
  expect(outcome(await w.check("", { command: { unit: "function-call" } }))).toBe("deny no-blocks-in-production");
});

test("another protocol is not understood here", async () => {
  const w = await open();
  expect(outcome(await w.check("GET /", { command: { protocol: "http" } }))).toBe("deny not-understood");
});

test("a verdict that looked at the clock ends with the hour", async () => {
  const w = await open(
    demoAnd(`@id("night") forbid (principal, action == Action::"read", resource) when { context.clock.hour < 6 };`),
  );
  const verdict = await w.check("SELECT id FROM orders");
  expect(verdict.cache).toMatchObject({ kind: CacheScope_Kind.KIND_EXACT, expiresAtMs: Date.UTC(2026, 2, 4, 11) });
  w.clock.nowMs = Date.UTC(2026, 2, 4, 10, 59, 59, 999);
  expect(
    (await w.check("SELECT id FROM orders", { as: person("engineer", { expiresAtMs: 0 }) })).cache?.expiresAtMs,
  ).toBe(Date.UTC(2026, 2, 4, 11));
});

test("a verdict that looked at an age ends within a second", async () => {
  const w = await open(
    demoAnd(
      `@id("old") forbid (principal, action == Action::"write", resource) when { context.session.auth_age > 600 };`,
    ),
  );
  expect((await w.check("INSERT INTO orders (id) VALUES (1)")).cache?.expiresAtMs).toBe(NOW + 1_000);
  // Reading is not what the policy is about.
  expect((await w.check("SELECT id FROM orders")).cache?.expiresAtMs).toBe(0);
});

test("a verdict about the text holds for that text only", async () => {
  const w = await open(
    demoAnd(`@id("t") forbid (principal, action == Action::"read", resource) when { context.text like "*7*" };`),
  );
  expect((await w.check("SELECT id FROM orders WHERE id = 6")).cache?.kind).toBe(CacheScope_Kind.KIND_EXACT);
  expect(outcome(await w.check("SELECT id FROM orders WHERE id = 7"))).toBe("deny t");
  expect(outcome(await w.check(`SELECT '${"x".repeat(70_000)}' FROM orders`))).toBe("deny not-understood");
});

test("what reveals by the clock moves every verdict's end", async () => {
  const w = await open(
    demoAnd(
      `@id("day") permit (principal, action == Action::"reveal", resource == Class::"phone") when { context.clock.hour == 10 };`,
    ),
  );
  const verdict = await w.check("SELECT id FROM orders");
  expect(verdict.hiddenClasses).not.toContain("phone");
  expect(verdict.cache?.expiresAtMs).toBe(Date.UTC(2026, 2, 4, 11));
  w.clock.nowMs = Date.UTC(2026, 2, 4, 11, 0);
  expect(
    (await w.check("SELECT id FROM orders", { as: person("engineer", { expiresAtMs: 0 }) })).hiddenClasses,
  ).toContain("phone");
});

test("a class may be revealed on some connections only", async () => {
  const w = await open(
    demoAnd(`@id("dev") permit (principal, action == Action::"reveal", resource == Class::"email")
      when { context has connection && context.connection in Label::"env=development" };`),
  );
  expect((await w.connect(person("engineer"), "sandbox")).hiddenClasses).not.toContain("email");
  expect((await w.connect(person("engineer"), "orders")).hiddenClasses).toContain("email");
});

test.each([
  ["BEGIN", CacheScope_Kind.KIND_EXACT],
  ["SELECT id FROM orders", CacheScope_Kind.KIND_EXACT],
  ["SELECT id FROM orders WHERE id = 1", CacheScope_Kind.KIND_LITERALS],
  ["DELETE FROM orders WHERE id = 1", CacheScope_Kind.KIND_UNSPECIFIED],
  ["SET work_mem = '1MB'", CacheScope_Kind.KIND_UNSPECIFIED],
  ["PREPARE p AS SELECT 1", CacheScope_Kind.KIND_UNSPECIFIED],
  ["EXECUTE p", CacheScope_Kind.KIND_UNSPECIFIED],
  ["CREATE TABLE t (a int)", CacheScope_Kind.KIND_UNSPECIFIED],
  ["DO $$ BEGIN END $$", CacheScope_Kind.KIND_UNSPECIFIED],
  ["SELEC", CacheScope_Kind.KIND_UNSPECIFIED],
])("%s may be cached as it should", async (text, kind) => {
  const w = await open();
  expect((await w.check(text, { as: person("dba") })).cache?.kind).toBe(kind);
});

test("the inputs are canonical JSON, and say all that was asked", async () => {
  const w = await open();
  const { inputs, engine, parser, policySet } = await w.check("SELECT id FROM orders");
  expect(JSON.parse(inputs.toString())).toMatchObject({
    version: 1,
    kind: "command",
    connection: "orders",
    database: "orders",
    principal: { uid: { type: "User", id: "engineer" }, parents: [{ type: "Group", id: "engineers" }] },
    requests: [{ action: "read", resource: { uid: { type: "Object", id: "orders/orders/public/orders" } } }],
  });
  const sorted = (text: string): string => JSON.stringify(JSON.parse(text, (_key, value: unknown) => value));
  expect(sorted(inputs.toString())).toBe(inputs.toString());
  expect(Object.keys(JSON.parse(inputs.toString()) as object)).toEqual(
    Object.keys(JSON.parse(inputs.toString()) as object).toSorted(),
  );
  expect(engine).toMatch(/^cedar-wasm \d/);
  expect(parser).toMatch(/^libpg-query \d/);
  expect(policySet).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test("what is signed is what is sent", async () => {
  const w = await open();
  const verdict = await w.check("SELECT id FROM orders WHERE id = 3");
  const key = { id: "k1", secret: Buffer.alloc(32, 7) };
  const signed = signVerdict(verdict, key);
  expect(signed.mac).toEqual(createHmac("sha256", key.secret).update(signed.verdict).digest());
  expect(Verdict.decode(signed.verdict)).toEqual(verdict);
});

test("a configuration that comes in the middle of a long check begins it anew", async () => {
  const w = await open();
  const many = Array.from({ length: 60 }, (_, i) => `archive.t${i}`).join(", ");
  const checking = w.check(`SELECT 1 FROM ${many}`);
  w.configure(demoConfiguration([]));
  const verdict = await checking;
  expect(verdict.outcome).toBe(Outcome.OUTCOME_DENY);
  expect(verdict.reason).toBe(DenyReason.DENY_REASON_NOT_PERMITTED);
});

test("many relations are one question where policies cannot tell them apart, and all of them are in the facts", async () => {
  const w = await open();
  const many = Array.from({ length: 300 }, (_, i) => `archive.t${i}`).join(", ");
  const verdict = await w.check(`LOCK TABLE ${many} IN ACCESS SHARE MODE`);
  expect(outcome(verdict)).toBe("forward");
  expect(verdict.facts?.relations.length).toBe(300);
  expect(verdict.inputs.length).toBeLessThan(20_000);
});
