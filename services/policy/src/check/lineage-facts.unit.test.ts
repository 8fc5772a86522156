import { NamedStatement_Kind } from "@sallyport/proto/verdict";
import type { BaseColumn, CommandFacts, Verdict } from "@sallyport/proto/verdict";
import { afterEach, beforeAll, expect, test } from "vitest";
import { outcome } from "../../testing/corpus.ts";
import { demoPolicies, openWorld, person } from "../../testing/world.ts";
import type { World, WorldOptions } from "../../testing/world.ts";

let world: World | undefined;
// The first world compiles two WebAssembly modules.
beforeAll(async () => (await openWorld()).close(), 60_000);
afterEach(() => world?.close());

async function open(options: WorldOptions = {}): Promise<World> {
  await world?.close();
  world = await openWorld(options);
  return world;
}

const factsOf = (verdict: Verdict): CommandFacts => verdict.facts as CommandFacts;
const names = (columns: readonly BaseColumn[]): string[] => columns.map(({ relation, name }) => `${relation}.${name}`);
const sourcesOf = (verdict: Verdict): string[][][] =>
  factsOf(verdict).lineage.map(({ outputs }) => outputs.map(({ sources }) => names(sources)));

test("who may not see something is told where results come from, statement by statement", async () => {
  const w = await open();
  const verdict = await w.check("SELECT reach FROM customer_contacts; SELECT lower(email), 1 FROM customers; BEGIN");
  expect(sourcesOf(verdict)).toEqual([[["public.customers.email"]], [["public.customers.email"], []], []]);
  expect(factsOf(verdict).lineage.map(({ statement, silent }) => [statement, silent])).toEqual([
    [0, false],
    [1, false],
    [2, true],
  ]);
});

test("a view's fact tells which tables it reads", async () => {
  const w = await open();
  const { relations } = factsOf(await w.check("SELECT count(*) FROM customer_contacts"));
  expect(relations.map(({ name, reads }) => [name, reads])).toEqual([["customer_contacts", [1001]]]);
});

test("probes of hidden classes are told, and policies can look at them", async () => {
  const w = await open({
    policies: [
      ...demoPolicies(),
      {
        path: "policies/test.cedar",
        text: '@id("no-guessing") forbid (principal, action == Action::"read", resource) when { context.command.probes.contains("email") };',
      },
    ],
  });
  const guess = await w.check("SELECT id FROM customers WHERE email = 'ada@example.org'");
  expect(outcome(guess)).toBe("deny no-guessing");
  expect(factsOf(guess).probedClasses).toEqual(["email"]);
  expect(factsOf(guess).probes.map(({ column }) => column?.name)).toEqual(["email"]);
  expect(outcome(await w.check("SELECT id, email FROM customers WHERE id = 3"))).toBe("forward");
  // Who sees it in clear does not guess.
  const dba = person("dba");
  expect(outcome(await w.check("SELECT id FROM customers WHERE email = 'ada@example.org'", { as: dba }))).toBe(
    "forward",
  );
  // A statement that was prepared before.
  const named = [
    { kind: NamedStatement_Kind.KIND_PREPARED, name: "p", text: "SELECT id FROM customers WHERE email = $1" },
    { kind: NamedStatement_Kind.KIND_CURSOR, name: "c", text: "SELECT reach FROM customer_contacts" },
  ];
  expect(outcome(await w.check("EXECUTE p('ada@example.org')", { command: { named } }))).toBe("deny no-guessing");
  expect(sourcesOf(await w.check("FETCH 10 FROM c", { command: { named } }))).toEqual([[["public.customers.email"]]]);
});

test("what a command writes of a class is told whoever it is, and the rest only where something is hidden", async () => {
  const w = await open({
    policies: [{ path: "all.cedar", text: '@id("all") permit (principal, action, resource);' }],
  });
  const as = person("dba");
  const copy = factsOf(await w.check("CREATE TABLE copies AS SELECT id, email FROM customers", { as }));
  expect(copy.flows.map(({ schema, relation, column, sources }) => [schema, relation, column, names(sources)])).toEqual(
    [["public", "copies", "email", ["public.customers.email"]]],
  );
  expect([copy.lineage, copy.probes, copy.probedClasses]).toEqual([[], [], []]);
  const read = factsOf(await w.check("SELECT email FROM customers WHERE phone = 'a'", { as }));
  expect([read.lineage, read.flows, read.probes]).toEqual([[], [], []]);
});

test("to explain a command to somebody who may see everything, its result is followed too", async () => {
  const policies = [{ path: "all.cedar", text: '@id("all") permit (principal, action, resource);' }];
  const w = await open({ policies, followAll: true });
  const verdict = await w.check("SELECT upper(email) FROM customers WHERE phone = 'a'", { as: person("dba") });
  expect(sourcesOf(verdict)).toEqual([[["public.customers.email"]]]);
  expect(factsOf(verdict).probedClasses).toEqual([]);
});

test("the session's temporary relations are what it was told of them", async () => {
  const w = await open();
  const made = factsOf(await w.check("CREATE TEMP TABLE t AS SELECT email AS e FROM customers"));
  const command = { temporary: made.flows };
  expect(sourcesOf(await w.check("SELECT e FROM t", { command }))).toEqual([[["public.customers.email"]]]);
});

test("a temporary relation may be what the name of a table means", async () => {
  const w = await open();
  const made = factsOf(await w.check("CREATE TEMP TABLE orders AS SELECT email AS status FROM customers"));
  const { relations } = factsOf(await w.check("SELECT status FROM orders", { command: { temporary: made.flows } }));
  expect(relations.map(({ schema, name, kind }) => `${schema}.${name} ${kind}`).toSorted()).toEqual([
    "pg_temp.orders temporary",
    "public.orders table",
  ]);
});

const numbers = (count: number): string => Array.from({ length: count }, (_, i) => i).join(",");

test("a long list of constants does not hide where a result comes from", { timeout: 60_000 }, async () => {
  const w = await open({ analyser: { deadlineMs: 50_000 } });
  const read = await w.check(`SELECT email FROM customers WHERE id IN (${numbers(50_000)})`);
  expect(sourcesOf(read)).toEqual([[["public.customers.email"]]]);
  const rows = Array.from({ length: 5_000 }, (_, i) => `(${i}, 'x')`).join(",");
  const written = await w.check(`INSERT INTO orders (id, status) VALUES ${rows} RETURNING status`);
  expect(sourcesOf(written)).toEqual([[["public.orders.status"]]]);
});

test(
  "a statement that is too deep to be followed is unknown, and may probe anything",
  { timeout: 60_000 },
  async () => {
    const w = await open();
    const verdict = await w.check(`SELECT ${"coalesce(".repeat(600)}email${")".repeat(600)} FROM customers`);
    const { lineage, probedClasses } = factsOf(verdict);
    expect(lineage[0]?.outputs[0]?.unknown).not.toBe("");
    expect(probedClasses).toEqual([...verdict.hiddenClasses].toSorted());
  },
);
