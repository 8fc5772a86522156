import { afterAll, beforeAll, expect, test } from "vitest";
import { asAccount, Canary, edgeMemory, givenBack, held, log, type Held } from "./place.ts";
import { query, RawClient } from "./raw-client.ts";

const CLIENTS = 1_000;
/** However busy the machine: whoever has no answer by then hangs. */
const DEADLINE_MS = 90_000;

let before: Held;
let canary: Canary;

beforeAll(async () => {
  canary = new Canary();
  await canary.sings(3);
  before = await held();
});

afterAll(async () => {
  await canary.stop();
  expect(canary.troubles).toEqual([]);
});

test(`${CLIENTS} connections at once: each is served or told why not, and nothing is left of them`, async () => {
  const memory = edgeMemory();
  const account = asAccount("engineer");
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () => RawClient.login(account, "sandbox", DEADLINE_MS)),
  );
  const outcomes = new Map<string, number>();
  for (const { report, ended } of clients) {
    const outcome = report?.code ?? (ended ? "hung up on without a word" : "served");
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  // 53300 too many, 08004 too slow, 08006 something that the login needs did not answer in time
  const served = clients.filter(({ report, ended }) => report === undefined && !ended);
  expect([...outcomes.keys()].filter((code) => !["served", "53300", "08004", "08006"].includes(code))).toEqual([]);
  expect(served.length).toBeGreaterThanOrEqual(100);
  expect((await held()).sessions).toBe(before.sessions + served.length);
  expect(edgeMemory() - memory).toBeLessThan(400);

  await Promise.all(
    served.map(async (client) => {
      client.send(query("SELECT 1"));
      await client.within(DEADLINE_MS, "Z", "E");
    }),
  );
  expect(served.filter(({ report, ended }) => report !== undefined || ended)).toEqual([]);
  await canary.sings(3);

  for (const client of clients) client.vanish();
  await givenBack(before);
  const refused = CLIENTS - served.length;
  if (refused === 0) return;
  await log.find(
    "refusals in the log",
    "SELECT count() AS n FROM sessions WHERE state = 'refused' AND cause IN ('exhausted', 'deadline', 'unavailable')",
    (rows) =>
      // Of a flood, 100 a second are recorded.
      Number(rows[0]?.["n"]) >= Math.min(refused, 100) ? true : undefined,
  );
});
