import { Change_Kind } from "@sallyport/proto/catalog";
import { Configuration } from "@sallyport/proto/catalog_model";
import { expect, test } from "vitest";
import { changeLine, changesBetween } from "./changes.ts";
import { type ApplyConfiguration, configurationDecider, type ConfigurationState } from "./configuration-decider.ts";
import { configurationDigest, planDigest } from "./digest.ts";

const policy = (id: string, more = ""): string =>
  `@id("${id}") permit (principal, action == Action::"connect", resource) ${more};`;
const one = Configuration.fromPartial({
  connections: [
    {
      name: "orders",
      protocol: "postgresql",
      host: "db",
      port: 5432,
      defaultDatabase: "orders",
      labels: { env: "staging" },
    },
  ],
  classes: [{ name: "email", transform: { kind: { $case: "partial", value: { keepFirst: 1 } } } }],
  classifications: [{ class: "email", connection: "*", database: "*", schema: "*", relation: "*", column: "email" }],
  policies: [{ path: "base.cedar", text: `// first\n${policy("a")}\n${policy("b")}` }],
});
const two = Configuration.fromPartial({
  connections: [{ ...one.connections[0]!, port: 5433, labels: { env: "production", tier: "1" } }],
  classes: [{ name: "email", transform: { kind: { $case: "scan", value: { detectors: ["email"] } } } }],
  policies: [
    { path: "base.cedar", text: policy("a", "when { context.mfa }") },
    { path: "more.cedar", text: policy("c") },
  ],
  groups: [{ issuer: "https://login.example.com", claimValue: "x", group: "dba" }],
});

const lines = (a: Configuration, b: Configuration): string[] => changesBetween(a, b).map(changeLine);

test("every difference is a readable line", () => {
  expect(lines(Configuration.fromPartial({}), one)).toEqual([
    "+ connection orders: postgresql db:5432/orders",
    "+ class email: partial, keeps 1 first and 0 last",
    "+ classification email at *.*.email",
    "+ policy a: in base.cedar",
    "+ policy b: in base.cedar",
  ]);
  expect(lines(one, two)).toEqual([
    "~ connection orders: port 5432 → 5433; labels.env staging → production; labels.tier (none) → 1",
    "~ class email: partial, keeps 1 first and 0 last → scan for email",
    "- classification email at *.*.email",
    "+ group mapping x of https://login.example.com to dba",
    "~ policy a: its text, in base.cedar",
    "- policy b",
    "+ policy c: in more.cedar",
  ]);
  expect(lines(one, one)).toEqual([]);
});

test("moving a policy, changing a comment, and files that do not parse are told too", () => {
  const moved = { ...one, policies: [{ path: "other.cedar", text: one.policies[0]!.text }] };
  expect(lines(one, moved)).toContain("~ policy a: moved from base.cedar to other.cedar");
  const commented = { ...one, policies: [{ path: "base.cedar", text: `// second\n${policy("a")}\n${policy("b")}` }] };
  expect(lines(one, commented)).toEqual(["~ policy file base.cedar: comments or white space"]);
  expect(lines(one, { ...one, policies: [{ path: "base.cedar", text: "permit (" }] })).toContain(
    "+ policy file base.cedar: in base.cedar",
  );
});

const applied = (state: ConfigurationState, command: Partial<ApplyConfiguration>) =>
  configurationDecider.decide({ configuration: one, expectedPlan: "", onlyFirst: false, ...command }, state);
const inForce = (configuration: Configuration): ConfigurationState => ({
  configuration,
  digest: configurationDigest(configuration),
});

test("applying publishes once; applying the same again nothing", () => {
  const first = applied(configurationDecider.initial(), {});
  expect(first).toMatchObject({
    kind: "events",
    events: [{ $case: "configurationApplied", value: { digest: configurationDigest(one) } }],
  });
  expect(applied(inForce(one), {})).toEqual({ kind: "events", events: [] });
});

test("a plan fits only what it was made for", () => {
  const expectedPlan = planDigest(configurationDigest(one), configurationDigest(two));
  expect(applied(inForce(one), { configuration: two, expectedPlan })).toMatchObject({ kind: "events" });
  const other = { ...two, groups: [] };
  expect(applied(inForce(one), { configuration: other, expectedPlan })).toMatchObject({
    kind: "refused",
    code: "conflict",
  });
  expect(applied(inForce(other), { configuration: two, expectedPlan })).toMatchObject({
    kind: "refused",
    code: "conflict",
  });
});

test("a bootstrap never replaces what was applied", () => {
  expect(applied(inForce(two), { onlyFirst: true })).toEqual({ kind: "events", events: [] });
  expect(applied(configurationDecider.initial(), { onlyFirst: true })).toMatchObject({ events: [{}] });
});

test("the digest is of the meaning, not of the order of keys", () => {
  const labels = { a: "1", b: "2" };
  const reversed = { b: "2", a: "1" };
  const withLabels = (l: Record<string, string>): Configuration => ({
    ...one,
    connections: [{ ...one.connections[0]!, labels: l }],
  });
  expect(configurationDigest(withLabels(labels))).toBe(configurationDigest(withLabels(reversed)));
  expect(configurationDigest(one)).toMatch(/^sha256:[0-9a-f]{64}$/);
});

test("what comes back from the bus means the same", () => {
  const back = Configuration.decode(Configuration.encode(one).finish());
  expect(changesBetween(back, one)).toEqual([]);
  expect(configurationDigest(back)).toBe(configurationDigest(one));
});

test("kinds of change", () => {
  expect(changesBetween(one, two).map((c) => c.kind)).toContain(Change_Kind.KIND_REMOVE);
});
