/** Mangled statements: whatever comes, there is a verdict, and it comes soon. */

import { Outcome } from "@sallyport/proto/verdict";
import { afterAll, beforeAll, expect, test } from "vitest";
import { corpus } from "../testing/corpus.ts";
import { Random } from "../testing/random.ts";
import { openWorld, person } from "../testing/world.ts";
import type { World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 60_000);
afterAll(() => world.close());

const random = new Random(7);
const texts = corpus().map((c) => c.text);
const words = [...new Set(texts.flatMap((text) => text.split(/\s+/)))];

function mangled(): string {
  const parts = random.pick(texts).split(/(\s+)/);
  for (let i = 0; i <= random.below(2); i++) {
    const at = random.below(parts.length);
    const how = random.below(5);
    if (how === 0) parts.splice(at, 1 + random.below(3));
    else if (how === 1) parts.splice(at, 0, random.pick(words), " ");
    else if (how === 2) parts.push("; ", random.pick(texts));
    else if (how === 3) parts[at] = `(${parts[at] ?? ""})`;
    else parts[at] = (parts[at] ?? "").slice(0, random.below(6));
  }
  return parts.join("");
}

test("every mangled statement has a verdict", async () => {
  const seen = new Map<number, number>();
  for (let i = 0; i < 1_500; i++) {
    const text = mangled();
    const verdict = await world.check(text, { as: person(random.pick(["engineer", "dba", "contractor"])) });
    expect([Outcome.OUTCOME_FORWARD, Outcome.OUTCOME_HOLD, Outcome.OUTCOME_DENY], text).toContain(verdict.outcome);
    if (verdict.outcome === Outcome.OUTCOME_DENY) expect(verdict.message, text).not.toBe("");
    seen.set(verdict.outcome, (seen.get(verdict.outcome) ?? 0) + 1);
  }
  // It looked at statements of every kind, not at garbage only.
  expect(
    [...seen.values()].every((count) => count > 20),
    JSON.stringify([...seen]),
  ).toBe(true);
}, 120_000);

test("a statement mangled into another never forgets a write", async () => {
  // Whatever stands around it: as long as it parses, a delete is seen.
  for (const around of [
    (inner: string) => `WITH a AS (${inner} RETURNING *) SELECT * FROM a`,
    (inner: string) => `WITH a AS (WITH b AS (${inner} RETURNING *) SELECT * FROM b) SELECT 1`,
    (inner: string) => `EXPLAIN ANALYZE ${inner}`,
    (inner: string) => `COPY (${inner} RETURNING *) TO STDOUT`,
    (inner: string) => `SELECT 1; ${inner}; SELECT 2`,
    (inner: string) => `/* ${inner} */ -- x\n${inner}`,
    (inner: string) => `PREPARE p AS ${inner}; EXECUTE p`,
    (inner: string) => `CREATE RULE r AS ON INSERT TO customers DO ALSO ${inner}`,
    (inner: string) => `INSERT INTO customers (id) WITH a AS (${inner} RETURNING id) SELECT id FROM a`,
  ]) {
    const verdict = await world.check(around("DELETE FROM orders"), { as: person("dba"), connection: "sandbox" });
    expect(verdict.facts?.verbs, around("DELETE FROM orders")).toContain("delete");
    expect(verdict.facts?.actions).toContain("write");
    expect(verdict.facts?.hasWhere).toBe(false);
  }
});
