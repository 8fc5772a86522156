import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { differences, type Script } from "./compare.ts";
import { type Place, startPlace } from "./place.ts";
import { randomScript } from "./random.ts";
import { copy } from "./scripts/copy.ts";
import { extended, functionCalls } from "./scripts/extended.ts";
import { FIXTURE } from "./scripts/fixture.ts";
import { simple } from "./scripts/simple.ts";

/** The same bytes are said to the server and to the gateway, by somebody from whom nothing is hidden: the answers are the same. */
let place: Place;

beforeAll(async () => {
  place = await startPlace(FIXTURE);
});

afterAll(async () => {
  await place?.stop();
});

const compare = (script: Script): Promise<string[]> =>
  differences(script, place.direct, place.through("dba"), place.aside);

describe.each([
  ["simple", simple],
  ["extended", extended],
  ["function calls", functionCalls],
  ["COPY", copy],
])("%s", (_, scripts) => {
  test.each(scripts.map((script) => [script.name, script] as const))("%s", async (__, script) => {
    expect(await compare(script)).toEqual([]);
  });
});

const SEEDS = Number(process.env["SALLYPORT_DIFFERENTIAL_SEEDS"] ?? 150);

test(`${SEEDS} sessions of messages in any order`, { timeout: 120_000 + SEEDS * 500 }, async () => {
  const found: string[] = [];
  for (let seed = 1; seed <= SEEDS && found.length < 5; seed++) {
    found.push(...(await compare(randomScript(seed))));
  }
  expect(found).toEqual([]);
});
