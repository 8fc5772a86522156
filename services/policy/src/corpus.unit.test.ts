import { afterAll, beforeAll, expect, test } from "vitest";
import { corpus, described, outcome } from "../testing/corpus.ts";
import { openWorld, person } from "../testing/world.ts";
import type { World } from "../testing/world.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 60_000);
afterAll(() => world.close());

const cases = corpus();

test("the corpus is there", () => {
  expect(cases.length).toBeGreaterThan(250);
});

test.each(cases.map((c) => [`${c.file}: ${c.title || c.text.slice(0, 80)}`, c] as const))("%s", async (_name, c) => {
  const command = { searchPath: c.searchPath, schemaTouched: c.schemaTouched, named: c.named };
  const relations = c.expectations.filter(([key]) => key === "relations").map(([, value]) => value);
  for (const [key, value] of c.expectations) {
    const [who, connection] = key.split("@");
    if (connection !== undefined) {
      const verdict = await world.check(c.text, { as: person(who ?? ""), connection, command });
      expect(`${key}: ${outcome(verdict)}`, verdict.message).toBe(`${key}: ${value}`);
      continue;
    }
    const verdict = await world.check(c.text, { as: person("dba"), connection: "sandbox", command });
    if (key === "refused") {
      expect(verdict.message).toContain(value);
      continue;
    }
    if (verdict.facts === undefined) throw new Error("no facts");
    const wanted =
      key === "relations"
        ? relations
            .filter((r) => r !== "none")
            .toSorted()
            .join("; ")
        : value;
    expect(`${key}: ${described(verdict.facts, key, c.text, verdict)}`).toBe(
      `${key}: ${wanted === "none" ? "" : wanted}`,
    );
  }
});
