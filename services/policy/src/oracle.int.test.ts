/**
 * The server's own analysis against ours. With debug_print_parse a server says which permissions on which columns of which
 * relations a statement needs, and which functions it calls: everything of that must be in the facts. More may be.
 */

import { Schema } from "@sallyport/proto/catalog_model";
import { Access, DenyReason } from "@sallyport/proto/verdict";
import type { CommandFacts } from "@sallyport/proto/verdict";
import { afterAll, beforeAll, expect, test } from "vitest";
import { corpus } from "../testing/corpus.ts";
import { demoTables, startPostgres } from "../testing/postgres.ts";
import type { TestPostgres } from "../testing/postgres.ts";
import { Random } from "../testing/random.ts";
import { Statements } from "../testing/statements.ts";
import { demoSchema, openWorld, person } from "../testing/world.ts";
import type { World } from "../testing/world.ts";
import { builtinEffect } from "./sql/builtin-functions.ts";

let postgres: TestPostgres;
let world: World;
const relations = new Map<number, { name: string; columns: Map<number, string> }>();
const functions = new Map<number, string>();
const FIRST_USER_OID = 16_384;

beforeAll(async () => {
  postgres = await startPostgres();
  const { client } = postgres;
  await client.query(demoTables());
  const columns = await client.query<{ oid: number; name: string; number: number; column: string }>(`
    SELECT c.oid::int4 AS oid, c.oid::regclass::text AS name, a.attnum AS number, a.attname AS column
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid >= 16384 AND a.attnum > 0`);
  for (const { oid, name, number, column } of columns.rows) {
    const known = relations.get(oid) ?? { name, columns: new Map<number, string>() };
    known.columns.set(number, column);
    relations.set(oid, known);
  }
  const named = await client.query<{ oid: number; name: string }>(
    "SELECT oid::int4 AS oid, proname AS name FROM pg_proc",
  );
  for (const { oid, name } of named.rows) functions.set(oid, name);
  world = await openWorld();
  const schema = demoSchema();
  for (const relation of schema.relations) {
    const printed = relation.schema === "public" ? relation.name : `${relation.schema}.${relation.name}`;
    const found = [...relations].find(([, { name }]) => name === printed);
    relation.oid = found?.[0] ?? 0;
    if (relation.oid === 0) throw new Error(`${relation.name} is not in demo-tables.sql`);
  }
  schema.functions.push("public.distance", "public.stamp");
  world.apply({
    $case: "schemaObserved",
    value: { connection: "orders", database: "orders", schema: Schema.fromPartial(schema), digest: "", edge: "" },
  });
}, 120_000);

afterAll(async () => {
  await world?.close();
  await postgres?.stop();
});

interface Need {
  relid: number;
  permissions: number;
  columns: number[];
}

interface Analysis {
  needs: Need[];
  functions: number[];
}

/** undefined: the server would not have it, or it is a utility statement. */
async function analysed(text: string): Promise<Analysis | undefined> {
  const { client } = postgres;
  let tree: string | undefined;
  const listen = (notice: { message?: string; detail?: string }): void => {
    // It is broken into lines.
    if (notice.message?.startsWith("parse tree") === true) tree ??= notice.detail?.replace(/\s+/g, " ");
  };
  await client.query("BEGIN");
  client.on("notice", listen as never);
  try {
    await client.query("SET LOCAL client_min_messages = log; SET LOCAL statement_timeout = '2s'");
    await client.query("SET LOCAL debug_print_parse = on");
    tree = undefined;
    await client.query(text);
  } catch {
    // What was analysed before it failed is as good.
  } finally {
    client.off("notice", listen as never);
    await client.query("ROLLBACK");
  }
  if (tree === undefined || tree.includes(":commandType 6")) return undefined;
  return { needs: needsOf(tree), functions: functionsOf(tree) };
}

const set = (text: string): number[] => (text.match(/\d+/g) ?? []).map(Number);

function needsOf(tree: string): Need[] {
  const pattern =
    /\{RTEPERMISSIONINFO :relid (\d+) :inh \w+ :requiredPerms (\d+) :checkAsUser \d+ :selectedCols \(b([^)]*)\) :insertedCols \(b([^)]*)\) :updatedCols \(b([^)]*)\)/g;
  return [...tree.matchAll(pattern)].map(([, relid, permissions, ...columns]) => ({
    relid: Number(relid),
    permissions: Number(permissions),
    // bit = attribute number + 7
    columns: columns.flatMap((text) => set(text ?? "")).map((bit) => bit - 7),
  }));
}

function functionsOf(tree: string): number[] {
  return [...tree.matchAll(/:(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)/g)].map(([, oid]) => Number(oid));
}

const SELECT = 2;
const CHANGES = 1 | 4 | 8 | 16;

/** What the server needs and the facts do not say. */
function forgotten({ needs, functions: called }: Analysis, facts: CommandFacts): string[] {
  const missing: string[] = [];
  for (const { relid, permissions, columns } of needs) {
    if (relid < FIRST_USER_OID) continue;
    const relation = relations.get(relid);
    const fact = facts.relations.find(({ oid }) => oid === relid);
    if (fact === undefined) {
      missing.push(`relation ${relation?.name ?? relid}`);
      continue;
    }
    if ((permissions & SELECT) !== 0 && !fact.access.includes(Access.ACCESS_READ)) missing.push(`read of ${fact.name}`);
    if ((permissions & CHANGES) !== 0 && !fact.access.includes(Access.ACCESS_WRITE))
      missing.push(`write of ${fact.name}`);
    if (fact.columns.includes("*")) continue;
    for (const number of columns) {
      if (number < 0) continue;
      const name = number === 0 ? "*" : (relation?.columns.get(number) ?? "?");
      if (!fact.columns.includes(name)) missing.push(`column ${fact.name}.${name}`);
    }
  }
  for (const oid of called) {
    const name = functions.get(oid) ?? "?";
    if (oid >= FIRST_USER_OID && !facts.userCode) missing.push(`the user's function ${name}`);
    const effect = oid < FIRST_USER_OID ? builtinEffect(name, 3) : undefined;
    if (effect?.administer === true && !facts.actions.includes("administer")) missing.push(`administering by ${name}`);
    if (effect?.opaque === true && !facts.opaque) missing.push(`what ${name} does`);
  }
  return missing;
}

async function compare(texts: readonly string[]): Promise<{ compared: number; needs: number; wrong: string[] }> {
  const wrong: string[] = [];
  let compared = 0;
  let needs = 0;
  for (const text of texts) {
    const analysis = await analysed(text);
    if (analysis === undefined) continue;
    const verdict = await world.check(text, { as: person("dba"), connection: "orders" });
    if (verdict.reason === DenyReason.DENY_REASON_UNSAFE_SETTING) continue;
    if (verdict.facts === undefined || verdict.facts.statementCount === 0)
      throw new Error(`${verdict.message}: ${text}`);
    if (verdict.facts === undefined || verdict.facts.statementCount === 0)
      throw new Error(`${verdict.message}: ${text}`);
    compared++;
    needs += analysis.needs.length;
    for (const what of forgotten(analysis, verdict.facts)) wrong.push(`${what}: ${text}`);
  }
  return { compared, needs, wrong };
}

test("the corpus: everything that the server needs is in the facts", async () => {
  const texts = corpus()
    .filter(
      (c) => c.searchPath.length === 1 && c.searchPath[0] === "public" && !c.schemaTouched && c.named.length === 0,
    )
    .map((c) => c.text)
    .filter((text) => !text.includes(";"));
  const { compared, wrong } = await compare(texts);
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(120);
}, 180_000);

test("random statements: everything that the server needs is in the facts", async () => {
  const seed = Number(process.env["SALLYPORT_SEED"] ?? 11);
  const count = Number(process.env["SALLYPORT_STATEMENTS"] ?? 1_500);
  const statements = new Statements(new Random(seed));
  const { compared, needs, wrong } = await compare(Array.from({ length: count }, () => statements.next()));
  expect(wrong.slice(0, 10)).toEqual([]);
  expect(compared, `of ${count}`).toBeGreaterThan(count / 8);
  expect(needs).toBeGreaterThan(compared);
}, 300_000);

test("the comparison notices what is left out", async () => {
  const analysis = await analysed("SELECT email, order_total(1) FROM customers WHERE id = 1");
  const verdict = await world.check("SELECT id FROM customers", { as: person("dba") });
  if (analysis === undefined || verdict.facts === undefined) throw new Error("nothing to compare");
  expect(forgotten(analysis, verdict.facts)).toEqual(["column customers.email", "the user's function order_total"]);
});
