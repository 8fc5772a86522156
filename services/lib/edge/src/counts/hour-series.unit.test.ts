import { expect, test } from "vitest";
import { HourSeries, minuteOf } from "./hour-series.ts";

const MINUTE = 60_000;
const START = Date.UTC(2026, 10, 22, 12, 0, 30);

test("what is older than an hour does not count, what is younger does", () => {
  const series = new HourSeries();
  for (let minute = 0; minute < 90; minute++) series.add(1, START + minute * MINUTE);
  const last = START + 89 * MINUTE;
  expect(series.total(last)).toBe(61);
  expect(series.total(last + 30 * MINUTE)).toBe(31);
  expect(series.total(last + 60 * MINUTE)).toBe(1);
  expect(series.total(last + 61 * MINUTE)).toBe(0);
  expect(series.told(last + 61 * MINUTE)).toEqual([]);
});

test("its version rises with what is added, heard of, and too old", () => {
  const series = new HourSeries();
  const versions = [series.version(START)];
  series.add(1, START);
  versions.push(series.version(START));
  series.hear("edge-2", [{ minute: minuteOf(START) + 1, count: 1 }], START + MINUTE);
  versions.push(series.version(START + MINUTE));
  expect(series.version(START + 30 * MINUTE)).toBe(versions[2]);
  versions.push(series.version(START + 61 * MINUTE));
  expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b));
});

test("what another edge says replaces what it said before", () => {
  const series = new HourSeries();
  series.add(5, START);
  series.hear("edge-2", [{ minute: minuteOf(START), count: 10 }], START);
  series.hear("edge-2", [{ minute: minuteOf(START), count: 12 }], START);
  series.hear("edge-3", [{ minute: minuteOf(START) - 1, count: 100 }], START);
  expect(series.total(START)).toBe(117);
  expect(series.told(START)).toEqual([{ minute: minuteOf(START), count: 5 }]);
  expect(series.total(START + 61 * MINUTE)).toBe(0);
});

test("an edge that is started anew goes on where it was", () => {
  const series = new HourSeries();
  series.remember([{ minute: minuteOf(START), count: 7 }], START);
  series.add(1, START);
  expect(series.total(START)).toBe(8);
  expect(series.told(START)).toEqual([{ minute: minuteOf(START), count: 8 }]);
});

test("a clock that is far ahead is not believed: its counts would stay", () => {
  const series = new HourSeries();
  const now = minuteOf(START);
  const minutes = [
    { minute: now + 1, count: 1 },
    { minute: now + 100, count: 10 },
    { minute: now - 61, count: 100 },
  ];
  series.hear("edge-2", minutes, START);
  expect(series.total(START)).toBe(1);
});
