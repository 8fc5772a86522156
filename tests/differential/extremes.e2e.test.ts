import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, Conversation } from "./conversation.ts";
import type { Message } from "./messages.ts";
import { type Place, startPlace } from "./place.ts";
import { FIXTURE } from "./scripts/fixture.ts";

/** Statements at the edge of what can be looked at: a clear error or the server's answer, and nobody else waits for it. */
let place: Place;
let other: Conversation;

beforeAll(async () => {
  place = await startPlace(FIXTURE);
  other = await Conversation.open(place.through("engineer"), place.aside);
  await other.turn({ say: [["Q", "SELECT 1"]] });
});

afterAll(async () => {
  other?.end();
  await place?.stop();
});

const nested = (depth: number): string => `SELECT ${"(".repeat(depth)}1${")".repeat(depth)}`;
const columns = Array.from({ length: 1600 }, (_, i) => `c${i}`).join(", ");

/** What is looked at for longer than a command may wait is not decided (58000): on a busy machine that is so earlier. */
const LOOKED_AT = /^TDCZ$|^(42601|42501|54001|58000) /;

/** `answer`: types of the messages; or the SQLSTATE of an error whose words match. */
const cases: readonly (readonly [name: string, sql: string, answer: string | RegExp])[] = [
  ["a text of 1 MiB", `SELECT '${"x".repeat(1024 * 1024)}'`, /^42601 .*too long/],
  [
    "a list of 200 KiB",
    `SELECT 1 WHERE 5 IN (${Array.from({ length: 30_000 }, (_, i) => i).join(",")})`,
    /^TDCZ$|^(42501|42601|58000|54\d{3}) /,
  ],
  ["10,000 parentheses", nested(10_000), LOOKED_AT],
  ["100,000 parentheses", nested(100_000), LOOKED_AT],
  ["10,000 terms", `SELECT ${"1 + ".repeat(10_000)}1`, LOOKED_AT],
  ["2,000 sub-queries in one another", `${"SELECT * FROM (".repeat(2000)}SELECT 1${") x".repeat(2000)}`, LOOKED_AT],
  [
    "500 unions",
    Array.from({ length: 500 }, (_, i) => `SELECT ${i}`).join(" UNION ALL "),
    "T" + "D".repeat(500) + "CZ",
  ],
  ["1,600 columns by name", `SELECT ${columns} FROM wide`, "TDCZ"],
  [
    "1,600 columns by star, twice joined",
    "SELECT a.c0, b.* FROM wide a JOIN wide b USING (c0, c1599)",
    /^TDCZ$|^54011 /,
  ],
  ["an opened quote", `SELECT '${"x".repeat(200_000)}`, /^42601 /],
  ["an opened comment", `SELECT 1 /* ${"/* ".repeat(50_000)}`, /^42601 /],
  ["a thousand statements", "SELECT 1;".repeat(1000), /^(TDC){1000}Z$|^(42501|54000) /],
];

/** One turn, while another session asks again and again; how long that waited at the most, ms. */
async function beside(say: readonly Message[], until?: string): Promise<{ answer: string; waited: number }> {
  const conversation = await Conversation.open(place.through("engineer"), place.aside);
  const asked = { done: false, waited: 0 };
  const asking = (async () => {
    while (!asked.done) {
      const began = performance.now();
      await other.turn({ say: [["Q", "SELECT id FROM things WHERE id = 1"]] });
      asked.waited = Math.max(asked.waited, performance.now() - began);
    }
  })();
  const answers = await conversation.turn({ say, ...(until === undefined ? {} : { until }) });
  const alive = await conversation.turn({ say: [["Q", "SELECT 'alive'"]] });
  asked.done = true;
  await asking;
  conversation.end();
  expect(alive.some(({ type, body }) => type === "D" && body.includes("alive"))).toBe(true);
  return { answer: told(answers), waited: asked.waited };
}

function told(answers: readonly Answer[]): string {
  const error = answers.find(({ type }) => type === "E");
  if (error === undefined) return answers.map(({ type }) => type).join("");
  const fields = new Map(
    error.body
      .toString("utf8")
      .split("\0")
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
  return `${fields.get("C")} ${fields.get("M")}`;
}

test.each(cases)("%s: simple and extended", async (_, sql, answer) => {
  const simple = await beside([["Q", sql]]);
  if (typeof answer === "string") expect(simple.answer).toBe(answer);
  else expect(simple.answer).toMatch(answer);
  const extended = await beside([["P", "", sql], ["B", "", ""], ["D", "P", ""], ["E", ""], ["S"]]);
  expect(extended.answer).toMatch(/^1?2?T?D*C?Z$|^(42501|42601|54\d{3}|58000) /);
  // The machine of a test is busy; what must not be is that somebody waits for as long as a stall takes.
  expect(Math.max(simple.waited, extended.waited)).toBeLessThan(3_000);
});

test.each<[string, Message[]]>([
  ["a text", [["raw", "Q", { hex: "53454c4543542027ff2700" }]]],
  [
    "a statement",
    [
      [
        "raw",
        "P",
        { hex: `00${Buffer.from("SELECT '").toString("hex")}c328${Buffer.from("'").toString("hex")}000000` },
      ],
      ["S"],
    ],
  ],
  ["a parameter", [["P", "", "SELECT $1::text"], ["B", "", "", [{ hex: "ff" }]], ["E", ""], ["S"]]],
])("invalid UTF-8 in %s is an error, and the session lives on", async (_, say) => {
  expect((await beside(say, "Z")).answer).toMatch(/^22021 /);
});
