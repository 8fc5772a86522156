import { afterEach, expect, test } from "vitest";
import { Analyser } from "./analyser.ts";
import type { Understanding } from "./outline.ts";
import { isRefused } from "./outline.ts";

let analyser: Analyser | undefined;
afterEach(() => analyser?.close());

const refusal = (understanding: Understanding): string => (isRefused(understanding) ? understanding.refused : "");

test("a small text is understood at once, and kept", async () => {
  analyser = await Analyser.open();
  const first = analyser.outline("s", "SELECT 1");
  expect(first).not.toBeInstanceOf(Promise);
  expect(analyser.outline("s", "SELECT 1")).toBe(first);
});

test("a large text is understood in a worker", async () => {
  analyser = await Analyser.open({ deadlineMs: 60_000 });
  const list = Array.from({ length: 5_000 }, (_, i) => i).join(",");
  const outline = await analyser.outline("s", `SELECT * FROM orders WHERE id IN (${list})`);
  expect(outline).toMatchObject({ verbs: ["select"], relations: [{ name: "orders" }] });
}, 60_000);

test("what overflows the parser's stack is refused, and the next text is understood all the same", async () => {
  analyser = await Analyser.open({ deadlineMs: 60_000 });
  const deep = await analyser.outline("s", `SELECT ${"1+".repeat(60_000)}1`);
  expect(refusal(deep)).toMatch(/deep|large|memory|analysed/);
  const next = await analyser.outline("s", `SELECT ${"1,".repeat(3_000)}1 FROM orders`);
  expect(next).toMatchObject({ relations: [{ name: "orders" }] });
}, 60_000);

test("a text that takes longer than its deadline is refused, and the pool lives on", async () => {
  analyser = await Analyser.open({ deadlineMs: 50, inlineTokens: 10 });
  const list = Array.from({ length: 100_000 }, (_, i) => `a${i} = ${i}`).join(" OR ");
  const slow = await analyser.outline("s", `SELECT * FROM orders WHERE ${list}`.slice(0, 1_000_000));
  expect(refusal(slow)).toBe("it takes too long to understand");
  // The thread that was too slow has been replaced.
  let next: Understanding = { refused: "" };
  for (let tries = 0; tries < 20 && isRefused(next); tries++) {
    next = await analyser.outline("s", "SELECT a, b, c, d, e, f, g, h FROM orders");
  }
  expect(next).toMatchObject({ relations: [{ name: "orders" }] });
}, 60_000);

test("sessions take turns: one that sends many large texts does not make another wait behind all of them", async () => {
  analyser = await Analyser.open({ inlineTokens: 2, deadlineMs: 60_000, maxWaitingPerSession: 8 });
  const order: string[] = [];
  const ask = (session: string, text: string) =>
    Promise.resolve(analyser?.outline(session, text)).then(() => void order.push(session));
  await Promise.all([
    ...Array.from({ length: 6 }, (_, i) => ask("greedy", `SELECT ${i}, ${i}`)),
    ask("modest", "SELECT 9, 9"),
  ]);
  expect(order.indexOf("modest")).toBeLessThan(3);
}, 60_000);

test("what waits is bounded, by session", async () => {
  analyser = await Analyser.open({ inlineTokens: 2, maxWaitingPerSession: 2, deadlineMs: 60_000 });
  const opened = analyser;
  const answers = await Promise.all(
    Array.from({ length: 6 }, async (_, i) => await opened.outline("s", `SELECT ${i}, ${i}`)),
  );
  const refused = answers.filter((a) => refusal(a).startsWith("too many"));
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(6);
}, 60_000);

test("a text above the limit is refused unseen", async () => {
  analyser = await Analyser.open({ maxTextBytes: 2_000 });
  expect(analyser.outline("s", `SELECT '${"é".repeat(1_500)}'`)).toEqual({ refused: "it is longer than 2000 bytes" });
});

test("what is kept is bounded by its size", async () => {
  analyser = await Analyser.open({ keptCharacters: 8_192 });
  const first = analyser.outline("s", "SELECT 0");
  for (let i = 1; i < 40; i++) void analyser.outline("s", `SELECT ${i}`);
  expect(analyser.outline("s", "SELECT 0")).not.toBe(first);
});
