import { afterEach, beforeAll, expect, test } from "vitest";
import { demoConfiguration, demoPolicies, nightlyJob, openWorld, person } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";
import { outcome } from "../../testing/corpus.ts";

let world: World | undefined;
beforeAll(async () => (await openWorld()).close(), 60_000);
afterEach(() => world?.close());

async function open(text?: string): Promise<World> {
  await world?.close();
  world = await openWorld(text === undefined ? {} : { policies: [{ path: "policies/test.cedar", text }] });
  return world;
}

test("the demo's people: who could be let write, held or not, and who could not", async () => {
  const w = await open();
  const may = async (...who: Parameters<World["connect"]>): Promise<boolean> => (await w.connect(...who)).mayWrite;
  expect(await may(person("engineer"))).toBe(true);
  expect(await may(person("dba"))).toBe(true);
  expect(await may(person("contractor"))).toBe(false);
  expect(await may(person("contractor"), "sandbox")).toBe(false);
  expect(await may(nightlyJob())).toBe(false);
  expect(await may(person("security"))).toBe(false);
  // A command's verdict says it too: it may be the first that has seen a change.
  expect((await w.check("SELECT 1", { as: person("contractor") })).mayWrite).toBe(false);
  expect((await w.check("SELECT 1", { as: person("engineer") })).mayWrite).toBe(true);
});

test("a new configuration, or other groups, change it", async () => {
  const w = await open();
  expect((await w.connect(person("contractor", { groups: ["contractors", "engineers"] }))).mayWrite).toBe(true);
  expect((await w.connect(person("engineer", { groups: [] }))).mayWrite).toBe(false);
  const text = `@id("no-writes") forbid (principal, action in [Action::"write", Action::"define", Action::"opaque"], resource in Connection::"orders");`;
  w.configure(demoConfiguration([...demoPolicies(), { path: "policies/z.cedar", text }]));
  expect((await w.connect(person("engineer"))).mayWrite).toBe(false);
  expect((await w.connect(person("engineer"), "sandbox")).mayWrite).toBe(true);
  // … a DBA still administers
  expect((await w.connect(person("dba"))).mayWrite).toBe(true);
});

test("nobody may write under a set that does not load", async () => {
  const w = await open("permit (principal");
  expect((await w.connect(person("dba"))).mayWrite).toBe(false);
});

const CONNECT = `@id("connect") permit (principal, action in [Action::"connect", Action::"read"], resource);`;
const permit = (scope: string, condition = ""): string =>
  `${CONNECT}\n@id("p") permit (${scope}) ${condition};`.replace("WRITE", 'action == Action::"write"');

test.each<[string, string, boolean]>([
  ["nothing permits it", CONNECT, false],
  ["everybody", permit("principal, WRITE, resource"), true],
  ["any action", permit("principal, action, resource"), true],
  ["a group of theirs", permit('principal in Group::"engineers", WRITE, resource'), true],
  ["a group that is not theirs", permit('principal in Group::"dba", WRITE, resource'), false],
  ["… in a condition", permit("principal, WRITE, resource", 'when { principal in Group::"dba" }'), false],
  ["one of two", permit("principal, WRITE, resource", 'when { principal in [Group::"a", Group::"engineers"] }'), true],
  ["neither", permit("principal, WRITE, resource", 'when { principal in [Group::"a", Group::"b"] }'), false],
  ["themselves", permit('principal == User::"engineer", WRITE, resource'), true],
  ["somebody else", permit("principal, WRITE, resource", 'when { principal == User::"ada" }'), false],
  ["not somebody else", permit("principal, WRITE, resource", 'when { principal != User::"ada" }'), true],
  ["jobs", permit("principal is Workload, WRITE, resource"), false],
  ["people of a group", permit('principal is User in Group::"engineers", WRITE, resource'), true],
  ["unless in a group", permit("principal, WRITE, resource", 'unless { principal in Group::"engineers" }'), false],
  ["here", permit('principal, WRITE, resource in Label::"env=production"'), true],
  ["elsewhere", permit('principal, WRITE, resource in Label::"env=development"'), false],
  ["another connection", permit('principal, WRITE, resource in Connection::"sandbox"'), false],
  ["another database", permit('principal, WRITE, resource in Object::"orders/other"'), false],
  ["a database that begins alike", permit('principal, WRITE, resource in Object::"orders/orders2/public"'), false],
  ["one table", permit('principal, WRITE, resource == Object::"orders/orders/public/orders"'), true],
  ["a class", permit('principal, WRITE, resource in Class::"email"'), true],
  ["at times", permit("principal, WRITE, resource", "when { context.clock.hour > 8 }"), true],
  ["some verbs", permit("principal, WRITE, resource", 'when { context.command.verbs.contains("insert") }'), true],
  [
    "some verbs of others",
    permit("principal, WRITE, resource", 'when { context.command.has_where && principal in Group::"dba" }'),
    false,
  ],
  [
    "either",
    permit("principal, WRITE, resource", 'when { principal in Group::"dba" || resource.kind == "table" }'),
    true,
  ],
  ["if", permit("principal, WRITE, resource", 'when { if principal in Group::"dba" then true else 1 == 2 }'), true],
  ["if, known", permit("principal, WRITE, resource", "when { if !(principal is User) then true else false }"), false],
  [
    "forbidden to them",
    `${permit("principal, WRITE, resource")} @id("f") forbid (principal in Group::"engineers", action, resource) unless { principal in Group::"dba" };`,
    false,
  ],
  [
    "forbidden at times",
    `${permit("principal, WRITE, resource")} @id("f") forbid (principal, action == Action::"write", resource) when { context.clock.hour > 8 };`,
    true,
  ],
  [
    "held",
    `${permit("principal, WRITE, resource")} @id("f") @approval("dba") forbid (principal, action == Action::"write", resource);`,
    true,
  ],
  [
    "in the shadow of a forbid",
    `${permit("principal, WRITE, resource")} @id("f") @mode("shadow") forbid (principal, action == Action::"write", resource);`,
    true,
  ],
])("%s", async (_name, text, expected) => {
  const w = await open(text);
  const verdict = await w.connect(person("engineer"));
  expect(verdict.policySet).toMatch(/^sha256:/);
  expect(verdict.mayWrite).toBe(expected);
  if (expected) return;
  // Cedar itself agrees: nothing that writes is let through, whatever it is.
  for (const sql of [
    "INSERT INTO orders VALUES (1)",
    "UPDATE customers SET email = '' WHERE id = 1",
    "DELETE FROM a",
  ]) {
    expect(outcome(await w.check(sql))).toMatch(/^deny/);
  }
});

test("what a command runs by its name is in its facts", async () => {
  const w = await open();
  const named = [
    { kind: 1 as const, name: "wipe", text: "DELETE FROM orders WHERE id = $1" },
    { kind: 1 as const, name: "other", text: "SELECT 1" },
    { kind: 2 as const, name: "c", text: "SELECT * FROM orders" },
  ];
  const held = await w.check("EXECUTE wipe(7)", { command: { named } });
  expect(outcome(held)).toMatch(/^hold/);
  expect(held.facts?.executes).toEqual([
    { kind: 1, name: "wipe", text: "DELETE FROM orders WHERE id = $1", normalized: "DELETE FROM orders WHERE id = $1" },
  ]);
  const fetched = await w.check("FETCH 10 FROM c", { command: { named } });
  expect(fetched.facts?.executes).toMatchObject([{ kind: 2, name: "c", text: "SELECT * FROM orders" }]);
  expect((await w.check("EXECUTE nobody", { command: { named } })).facts?.executes).toEqual([
    { kind: 1, name: "nobody", text: "", normalized: "" },
  ]);
  expect((await w.check("SELECT 1", { command: { named } })).facts?.executes).toEqual([]);
});
