import { expect, test } from "vitest";
import { demoPolicies } from "../../testing/world.ts";
import { LoadedSet, STATEMENT_TEXT, compile, policySetDigest } from "./compile.ts";
import { referencesOf, mentions } from "./references.ts";
import { parsePolicy } from "./engine.ts";
import { splitPolicies } from "./source.ts";
import { seconds } from "./annotations.ts";

const vocabulary = {
  connections: new Set(["orders", "sandbox"]),
  classes: new Set(["email", "phone", "payment-card", "free-text", STATEMENT_TEXT]),
};

function problems(text: string): string[] {
  return compile([{ path: "p.cedar", text }], vocabulary).problems.map((p) => `${p.line}:${p.column} ${p.message}`);
}

test("the demo's policies load without a problem", () => {
  const { set, problems: found } = compile(demoPolicies(), vocabulary);
  expect(found).toEqual([]);
  expect(set.policies.size).toBeGreaterThan(15);
  const loaded = new LoadedSet(set, "test");
  loaded.unload();
});

test.each([
  ["permit (principal, action, resource);", ["1:1 the policy has no @id"]],
  [
    '@id("a")\n@approval("dba")\npermit (principal, action, resource);',
    ["2:1 @approval means nothing on a permit", "2:1 @approval needs a scope"],
  ],
  ['@id("a") @colour("red") forbid (principal, action, resource);', ["1:10 unknown annotation @colour"]],
  ['@id("a")\n  @message("no")\npermit (principal, action, resource);', ["2:3 @message means nothing on a permit"]],
  ['@id("a") @mode("shadow") permit (principal, action, resource);', ["1:10 @mode means nothing on a permit"]],
  ['@id("a") @mode("loud") forbid (principal, action, resource);', ['1:10 @mode can only be "shadow"']],
  ['@id("a") @quorum("2") forbid (principal, action, resource);', ["1:10 @quorum needs an @approval"]],
  ['@id("a") @within("2m") forbid (principal, action, resource);', ["1:10 @within needs an @approval"]],
  [
    '@id("a") @approval("") forbid (principal, action == Action::"read", resource);',
    ["1:10 @approval must name a group"],
  ],
  [
    '@id("a") @approval("dba") @quorum("0") forbid (principal, action == Action::"read", resource);',
    ["1:27 @quorum must be"],
  ],
  [
    '@id("a") @approval("dba") @quorum("1.5") forbid (principal, action == Action::"read", resource);',
    ["1:27 @quorum must be"],
  ],
  [
    '@id("a") @approval("dba") @within("soon") forbid (principal, action == Action::"read", resource);',
    ["1:27 @within must be"],
  ],
  [
    '@id("a") @approval("dba") @within("8d") forbid (principal, action == Action::"read", resource);',
    ["1:27 @within must be"],
  ],
  [
    '@id("a") @approval("dba") forbid (principal, action == Action::"connect", resource);',
    ["1:10 @approval needs a scope"],
  ],
  ['@id("a") @approval("dba") forbid (principal, action, resource);', ["1:10 @approval needs a scope"]],
  [
    '@id("a") @rows("5") permit (principal, action, resource);',
    ["1:10 @rows means nothing", "1:10 @rows needs a scope"],
  ],
  ['@id("a") @rows("5") forbid (principal, action, resource);', ["1:10 @rows needs a scope of commands"]],
  ['@id("a") @rows("5") forbid (principal, action == Action::"connect", resource);', ["1:10 @rows needs a scope"]],
  ['@id("a") @rows("") forbid (principal, action == Action::"read", resource);', ["1:10 @rows must be"]],
  ['@id("a") @rows("-1") forbid (principal, action == Action::"read", resource);', ["1:10 @rows must be"]],
  ['@id("a") @rows("1.5") forbid (principal, action == Action::"read", resource);', ["1:10 @rows must be"]],
  ['@id("a") @per("hour") forbid (principal, action == Action::"read", resource);', ["1:10 @per needs a @rows"]],
  [
    '@id("a") @rows("5") @per("day") forbid (principal, action == Action::"read", resource);',
    ["1:21 @per can only be"],
  ],
  [
    '@id("a") @rows("5") @mode("shadow") forbid (principal, action == Action::"read", resource);',
    ["1:21 @mode cannot stand beside @rows"],
  ],
  [
    '@id("a") @rows("5") @approval("dba") forbid (principal, action == Action::"read", resource);',
    ["1:21 @approval needs @per"],
  ],
  ['@id("") forbid (principal, action, resource);', ["1:1 @id must have"]],
  ['@id("__proto__") forbid (principal, action, resource);', ["1:1 @id must have"]],
  ['@id("a\\nb") forbid (principal, action, resource);', ["1:1 @id must have"]],
  ["@id forbid (principal, action, resource);", ["1:1 @id must have"]],
  [`@id("a") @message("${"x".repeat(501)}") forbid (principal, action, resource);`, ["1:10 @message must be one line"]],
  ['@id("a") @message("a\\u{1b}[2J") forbid (principal, action, resource);', ["1:10 @message must be one line"]],
])("%s", (text, expected) => {
  const found = problems(text);
  expect(found.length, found.join("\n")).toBe(expected.length);
  for (const [i, start] of expected.entries()) expect(found[i]).toContain(start);
});

test("all problems of all files come at once, each where it stands", () => {
  const files = [
    {
      path: "b.cedar",
      text: 'é // ü\n@id("one") permit (principal, action, resource);\n@id("two") permit (principal action, resource);',
    },
    {
      path: "a.cedar",
      text: '@id("one")\npermit (principal, action, resource);\n\n  @id("one") permit (principal, action, resource);',
    },
  ];
  const found = compile(files, vocabulary).problems.map(({ path, line, column }) => `${path}:${line}:${column}`);
  expect(found).toEqual(["a.cedar:4:3", "b.cedar:1:1", "b.cedar:3:30"]);
});

test.each([
  ['@id("a") permit (principal, action == Action::"fly", resource);', 'there is no action "fly"'],
  [
    '@id("a") forbid (principal, action == Action::"read", resource in Connection::"ordres");',
    'there is no connection "ordres"',
  ],
  [
    '@id("a") forbid (principal, action == Action::"read", resource in Class::"emial");',
    'there is no class of data "emial"',
  ],
  ['@id("a") forbid (principal, action == Action::"read", resource) when { context.command.verb == "x" };', "verb"],
  ['@id("a") forbid (principal, action == Action::"read", resource) when { context.clock.hour == "x" };', "types"],
  ['@id("a") forbid (principal, action == Action::"connect", resource) when { context.command.opaque };', "command"],
  ['@id("a") forbid (principal == ?principal, action, resource);', "template"],
  ['@id("a") forbid (principal, action == Action::"read", resource is Connection);', ""],
])("a mistake is found before it never matches: %s", (text, expected) => {
  const found = problems(text);
  expect(found.length).toBeGreaterThan(0);
  expect(found.join("\n")).toContain(expected);
});

test("a mistyped name is shown where it stands", () => {
  const found = problems(
    '// first\n@id("a") forbid (principal, action == Action::"read",\n  resource in Class::"emial");',
  );
  expect(found[0]).toMatch(/^3:22 there is no class of data "emial"/);
});

test("a type error is shown where it stands", () => {
  const found = problems(
    '@id("x") permit (principal, action == Action::"read", resource);\n@id("a") forbid (principal, action == Action::"read", resource)\nwhen { context.clock.hour == true };',
  );
  expect(found.some((p) => p.startsWith("3:"))).toBe(true);
});

test("the digest is of paths and texts, in any order", () => {
  const a = { path: "a.cedar", text: "1" };
  const b = { path: "b.cedar", text: "2" };
  expect(policySetDigest([a, b])).toBe(policySetDigest([b, a]));
  expect(policySetDigest([a])).not.toBe(policySetDigest([a, b]));
  expect(policySetDigest([{ path: "a.cedar", text: "2" }])).not.toBe(policySetDigest([a]));
});

test("policies are cut where Cedar cuts them", () => {
  const file = `// permit; in a comment
@id("a;b") @message("// no comment; \\" @id(\\"x\\")")
permit (principal, action, resource) when { context.text like "*;*" };
@id("b") forbid (principal, action, resource) unless { { a: [1, 2] } == { a: [1] } };`;
  const found = splitPolicies(file);
  expect(found.map(({ annotations }) => annotations.map(({ name }) => name))).toEqual([["id", "message"], ["id"]]);
  expect(found.map(({ at, text }) => file.slice(at).startsWith(text))).toEqual([true, true]);
});

test.each([
  ["a file that ends in the middle", '@id("a") permit (principal', 1],
  ["an open string", '@id("a', 1],
  ["nothing", "  // nothing\n", 0],
  ["only semicolons", ";;", 2],
  ["closing brackets", ')))}; @id("b") permit (principal, action, resource);', 2],
])("%s is cut somewhere", (_name, file, count) => {
  expect(splitPolicies(file).length).toBe(count);
});

test("what a policy looks at is found in every form", () => {
  const parsed =
    parsePolicy(`@id("a") forbid (principal in Group::"g", action == Action::"read", resource is Object in Class::"email")
    when { context.command.verbs.contains("x") && context.session.age > 3 && context has text && resource.kind == "table" }
    unless { principal has token_label && principal == User::"x" };`);
  if (parsed.kind === "failed") throw new Error(parsed.problems[0]?.message ?? "");
  const { context, attributes, entities } = referencesOf(parsed.policy);
  expect([...context].toSorted()).toEqual(["command.verbs", "session.age", "text"]);
  expect(attributes.has("kind")).toBe(true);
  expect(attributes.has("token_label")).toBe(true);
  expect(entities.map(({ type, id }) => `${type}::${id}`).toSorted()).toEqual(["Class::email", "Group::g", "User::x"]);
});

test("a context that is taken as a whole is all of it", () => {
  const parsed = parsePolicy('@id("a") forbid (principal, action, resource) when { context == { a: 1 } };');
  if (parsed.kind === "failed") throw new Error(parsed.problems[0]?.message ?? "");
  const { context } = referencesOf(parsed.policy);
  expect(mentions(context, "clock.hour")).toBe(true);
});

test.each([
  ["15m", 900],
  ["1s", 1],
  ["2h", 7_200],
  ["1d", 86_400],
  ["", undefined],
  ["m", undefined],
  ["-1m", undefined],
  ["1.5h", undefined],
  ["1 m", undefined],
  ["10", undefined],
])("%s is %s seconds", (text, expected) => {
  expect(seconds(text)).toBe(expected);
});
