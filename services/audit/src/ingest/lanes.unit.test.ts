import { expect, test } from "vitest";
import { type BatchName, Lanes } from "./lanes.ts";

const WAIT = 1_000;
const name = (batchNo: number, epoch = 10, lane = 0): BatchName => ({ edge: "edge-1", lane, epoch, batchNo });
const hash = (n: number): string => `hash-${n}`;

/** Takes batches as they come; what each was, in short. */
function feed(lanes: Lanes, batches: number[], nowMs = 0): string[] {
  return batches.map((n) => {
    const arrival = lanes.judge(name(n), hash(n));
    if (arrival.kind === "new") lanes.accept(name(n), hash(n), nowMs);
    return arrival.kind;
  });
}

test("lanes: in order, repeated, overtaking", () => {
  const lanes = new Lanes(WAIT);
  expect(feed(lanes, [1, 2, 2, 1, 4, 3, 4, 5])).toEqual([
    "new",
    "new",
    "repeat",
    "repeat",
    "new",
    "new",
    "repeat",
    "new",
  ]);
  expect(lanes.overdue(10 * WAIT)).toEqual([]);
});

test("lanes: a gap is told after the wait, once, and what fills it later is taken", () => {
  const lanes = new Lanes(WAIT);
  feed(lanes, [1, 4, 7], 100);
  expect(lanes.overdue(100 + WAIT - 1)).toEqual([]);
  expect(lanes.overdue(100 + WAIT)).toMatchObject([
    { from: 2, to: 3 },
    { from: 5, to: 6 },
  ]);
  expect(lanes.overdue(100 + 9 * WAIT)).toEqual([]);
  feed(lanes, [8, 10], 20_000);
  expect(lanes.overdue(20_000 + WAIT)).toMatchObject([{ from: 9, to: 9 }]);
  expect(feed(lanes, [2])).toEqual(["new"]);
});

test("lanes: each gap has a wait of its own, and what is left of one that was filled in part keeps it", () => {
  const lanes = new Lanes(WAIT);
  feed(lanes, [1, 5], 0);
  feed(lanes, [7], 500);
  feed(lanes, [3], 900);
  expect(lanes.overdue(1_000)).toMatchObject([
    { from: 2, to: 2 },
    { from: 4, to: 4 },
  ]);
  expect(lanes.overdue(1_500)).toMatchObject([{ from: 6, to: 6 }]);
});

test("lanes: a newer epoch closes the older with its gaps, and refuses its late batches", () => {
  const lanes = new Lanes(WAIT);
  feed(lanes, [1, 3]);
  expect(lanes.judge(name(1, 11), "x")).toEqual({ kind: "new" });
  expect(lanes.accept(name(1, 11), "x", 0)).toEqual({
    closed: { edge: "edge-1", lane: 0, epoch: 10 },
    gaps: [{ edge: "edge-1", lane: 0, epoch: 10, from: 2, to: 2 }],
  });
  expect(lanes.judge(name(2), hash(2))).toEqual({ kind: "refuse", why: "closed-epoch" });
  // another lane of the edge is a life of its own
  expect(lanes.judge(name(1, 10, 1), "y")).toEqual({ kind: "new" });
});

test("lanes: the same number with other bytes is no repeat", () => {
  const lanes = new Lanes(WAIT);
  feed(lanes, [1, 2, 5]);
  expect(lanes.judge(name(2), "other")).toEqual({ kind: "refuse", why: "changed" });
  expect(lanes.judge(name(5), "other")).toEqual({ kind: "refuse", why: "changed" });
});

test("lanes: what was restored is judged as before", () => {
  const lanes = new Lanes(WAIT);
  lanes.restore(
    { edge: "edge-1", lane: 0, epoch: 10 },
    6,
    [{ from: 4, to: 5 }],
    new Map([
      [3, hash(3)],
      [6, hash(6)],
    ]),
    0,
  );
  expect(lanes.predecessorHash(name(4))).toBe(hash(3));
  expect(feed(lanes, [3, 6, 4])).toEqual(["repeat", "repeat", "new"]);
  expect(lanes.overdue(WAIT)).toMatchObject([{ from: 5, to: 5 }]);
});

test("lanes: any order of arrival, with repeats, ends without a gap", () => {
  let seed = 1;
  const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
  for (let round = 0; round < 200; round++) {
    const numbers = Array.from({ length: 30 }, (_, i) => i + 1);
    const arrivals = [...numbers, ...numbers].toSorted(() => random(3) - 1);
    const lanes = new Lanes(WAIT);
    const kinds = feed(lanes, arrivals);
    expect(kinds.filter((kind) => kind === "new")).toHaveLength(30);
    expect(lanes.overdue(10 * WAIT)).toEqual([]);
  }
});
