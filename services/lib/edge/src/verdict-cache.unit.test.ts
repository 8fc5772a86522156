import { expect, test } from "vitest";
import { CacheScope_Kind, Outcome, type Verdict } from "@sallyport/proto/verdict";
import { asciiLexer } from "../testing/ascii-lexer.ts";
import { signedVerdict } from "../testing/recording-only.ts";
import type { AdmissionUnit } from "./unit.ts";
import { outcomeOf, VerdictCache, VerdictEntry } from "./verdict-cache.ts";

const unit = (text: string, kind = "simple-query"): AdmissionUnit => ({ unit: kind, text: Buffer.from(text) });
const entry = (change: Partial<Verdict> = {}): VerdictEntry =>
  new VerdictEntry(signedVerdict(undefined, { asOf: 5, ...change }));
const literals = (...erasable: number[]): Partial<Verdict> => ({
  cache: { kind: CacheScope_Kind.KIND_LITERALS, erasable, expiresAtMs: 0 },
});

test("an exact verdict is for the same text and the same kind of unit", () => {
  const cache = new VerdictCache(asciiLexer);
  const known = entry();
  cache.add(unit("select 1"), known);
  expect(cache.find(unit("select 1"), 5)).toBe(known);
  expect(cache.find(unit("select  1"), 5)).toBeUndefined();
  expect(cache.find(unit("select 2"), 5)).toBeUndefined();
  expect(cache.find(unit("SELECT 1"), 5)).toBeUndefined();
  expect(cache.find(unit("select 1", "parse"), 5)).toBeUndefined();
});

test("a verdict that has not seen what matters now is none", () => {
  const cache = new VerdictCache(undefined);
  cache.add(unit("select 1"), entry());
  expect(cache.find(unit("select 1"), 6)).toBeUndefined();
});

test("a verdict that depends on the clock ends with it", () => {
  const cache = new VerdictCache(undefined);
  const past = { kind: CacheScope_Kind.KIND_EXACT, erasable: [], expiresAtMs: Date.now() - 1 };
  cache.add(unit("select 1"), entry({ cache: past }));
  expect(cache.find(unit("select 1"), 0)).toBeUndefined();
  cache.add(unit("select 1"), entry({ cache: { ...past, expiresAtMs: Date.now() + 60_000 } }));
  expect(cache.find(unit("select 1"), 0)).toBeDefined();
});

test("a verdict without a scope is never used again", () => {
  const cache = new VerdictCache(undefined);
  cache.add(unit("select 1"), entry({ cache: undefined }));
  expect(cache.find(unit("select 1"), 0)).toBeUndefined();
});

test("only the literals that policy named are erased", () => {
  const cache = new VerdictCache(asciiLexer);
  const text = "select * from t where id = 7 limit 5";
  const known = entry(literals(text.indexOf("7")));
  cache.add(unit(text), known);
  expect(cache.find(unit("select * from t where id = 1234 limit 5"), 0)).toBe(known);
  expect(cache.find(unit("select * from t where id = 7 limit 500000000"), 0)).toBeUndefined();
  expect(cache.find(unit("select * from t where id = 'x' limit 5"), 0)).toBeUndefined();
  expect(cache.find(unit("select * from t where id = 7 limit 5 "), 0)).toBeUndefined();
  expect(cache.find(unit("select * from u where id = 7 limit 5"), 0)).toBeUndefined();
});

test("templates of one skeleton differ by what is fixed", () => {
  const cache = new VerdictCache(asciiLexer);
  const text = "select * from t where id = 7 limit 5";
  const other = "select * from t where id = 7 limit 9";
  const five = entry(literals(text.indexOf("7")));
  const nine = entry(literals(text.indexOf("7")));
  cache.add(unit(text), five);
  cache.add(unit(other), nine);
  expect(cache.find(unit("select * from t where id = 1 limit 5"), 0)).toBe(five);
  expect(cache.find(unit("select * from t where id = 1 limit 9"), 0)).toBe(nine);
});

test("where policy and lexer disagree, and where the lexer is not sure, the text is the key", () => {
  const cache = new VerdictCache(asciiLexer);
  const text = "select * from t where id = 7";
  cache.add(unit(text), entry(literals(0)));
  expect(cache.find(unit(text), 0)).toBeDefined();
  expect(cache.find(unit("select * from t where id = 8"), 0)).toBeUndefined();
  const strange = "select $$7$$";
  cache.add(unit(strange), entry(literals(9)));
  expect(cache.find(unit(strange), 0)).toBeDefined();
  expect(cache.find(unit("select $$8$$"), 0)).toBeUndefined();
});

test("the cache is bounded", () => {
  const cache = new VerdictCache(asciiLexer);
  for (let i = 0; i < 1000; i++) cache.add(unit(`select a${i}`), entry());
  const kept = Array.from({ length: 1000 }, (_, i) => cache.find(unit(`select a${i}`), 0)).filter(Boolean);
  expect(kept.length).toBe(256);
  const long = `select ${"x".repeat(20_000)}`;
  cache.add(unit(long), entry());
  expect(cache.find(unit(long), 0)).toBeUndefined();
});

test("what is not clearly forward or hold is a denial", () => {
  expect(outcomeOf(entry())).toBe("forward");
  expect(outcomeOf(entry({ outcome: Outcome.OUTCOME_UNSPECIFIED }))).toBe("deny");
  expect(outcomeOf(entry({ outcome: 99 as Outcome }))).toBe("deny");
  expect(outcomeOf(entry({ outcome: Outcome.OUTCOME_HOLD, holds: [] }))).toBe("deny");
  expect(() => entry({ id: "" })).toThrow();
  expect(() => entry({ facts: undefined })).toThrow();
});
