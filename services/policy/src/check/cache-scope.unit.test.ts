/** Two texts that a cache scope says are equal get the same verdict: over the whole corpus, with hostile literals. */

import { CacheScope_Kind } from "@sallyport/proto/verdict";
import type { Verdict } from "@sallyport/proto/verdict";
import { afterAll, beforeAll, expect, test } from "vitest";
import { corpus } from "../../testing/corpus.ts";
import { Random } from "../../testing/random.ts";
import { demoPolicies, openWorld, person } from "../../testing/world.ts";
import type { World } from "../../testing/world.ts";

let world: World;
beforeAll(async () => {
  const policies = [
    ...demoPolicies(),
    {
      path: "more.cedar",
      text: `@id("cards") forbid (principal, action == Action::"read", resource in Class::"payment-card");
        @id("names") @approval("dba") forbid (principal, action == Action::"read", resource is Object)
          when { context.command.relations.contains("public.customers") && context.command.verbs.contains("select") };
        @id("flags") @mode("shadow") forbid (principal, action == Action::"write", resource) when { context.command.user_code };`,
    },
  ];
  world = await openWorld({ policies });
}, 60_000);
afterAll(() => world.close());

const PIECES = [
  "a",
  "é",
  "''",
  "--",
  "/*",
  "*/",
  "$$",
  "\\",
  "\n",
  " ",
  "%",
  "_",
  "$1",
  ";",
  '"',
  "E''",
  "DROP",
  "😀",
  ")",
];
const random = new Random(20260304);

function literal(kind: "digits" | "string"): string {
  if (kind === "digits") return Array.from({ length: 1 + random.below(18) }, () => random.below(10)).join("");
  return `'${Array.from({ length: random.below(6) }, () => random.pick(PIECES)).join("")}'`;
}

/** The text with each literal at `offsets` replaced by another of its form. */
function varied(text: string, offsets: readonly number[]): string {
  const bytes = Buffer.from(text);
  let out = "";
  let end = 0;
  for (const at of offsets) {
    out += bytes.subarray(end, at).toString();
    const rest = bytes.subarray(at).toString();
    const found = /^(?:\d+|'(?:[^']|'')*')/.exec(rest)?.[0];
    if (found === undefined) throw new Error(`no literal at ${at} of ${text}`);
    out += literal(found.startsWith("'") ? "string" : "digits");
    end = at + Buffer.byteLength(found);
  }
  return out + bytes.subarray(end).toString();
}

/** Everything of a verdict that may be used again. */
function reusable({ id: _id, atMs: _at, cache, ...rest }: Verdict): object {
  return { ...rest, inputs: rest.inputs.toString(), kind: cache?.kind, literals: cache?.erasable.length };
}

test("a verdict under LITERALS holds for every text that differs in those literals only", async () => {
  let compared = 0;
  for (const { text, named, searchPath, schemaTouched } of corpus()) {
    for (const who of ["engineer", "contractor", "dba"]) {
      const more = { as: person(who), command: { named, searchPath, schemaTouched } };
      const verdict = await world.check(text, more);
      if (verdict.cache?.kind !== CacheScope_Kind.KIND_LITERALS) continue;
      for (let i = 0; i < 8; i++) {
        const other = varied(text, verdict.cache.erasable);
        expect(reusable(await world.check(other, more)), other).toEqual(reusable(verdict));
        compared++;
      }
    }
  }
  expect(compared).toBeGreaterThan(300);
}, 120_000);

test("a literal that matters is not erased", async () => {
  // Planted: were constants of any place erasable, these pairs would have to agree, and they do not.
  for (const [one, other] of [
    ["SELECT set_config('work_mem', '1MB', false)", "SELECT set_config('role', '1MB', false)"],
    ["SELECT ts_rewrite('a', 'b', 'c')", "SELECT ts_rewrite('a', 'b')"],
  ] as const) {
    const [a, b] = [await world.check(one), await world.check(other)];
    expect(a.cache?.erasable).toEqual([]);
    expect(reusable(a)).not.toEqual(reusable(b));
  }
});
