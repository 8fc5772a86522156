import { expect, test } from "vitest";
import type { ColumnExecution, ResultMask } from "@sallyport/edge";
import { cellPlaces, decodeDataRow } from "../wire/backend.ts";
import { maskRows } from "./masked-rows.ts";

type Cell = string | null;

function row(...cells: Cell[]): Buffer {
  const parts: Buffer[] = [];
  const head = Buffer.alloc(7);
  head[0] = 0x44;
  head.writeUInt16BE(cells.length, 5);
  parts.push(head);
  for (const cell of cells) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(cell === null ? -1 : Buffer.byteLength(cell));
    parts.push(length, Buffer.from(cell ?? ""));
  }
  const bytes = Buffer.concat(parts);
  bytes.writeUInt32BE(bytes.length - 1, 1);
  return bytes;
}

function rowsOf(bytes: Buffer): Cell[][] {
  const places = cellPlaces();
  const rows: Cell[][] = [];
  for (let at = 0; at < bytes.length;) {
    const next = at + 1 + bytes.readUInt32BE(at + 1);
    decodeDataRow(bytes, at + 5, next, places);
    rows.push(
      Array.from(places.starts.slice(0, places.count), (start, i) => {
        const length = places.lengths[i] as number;
        return length < 0 ? null : bytes.toString("utf8", start, start + length);
      }),
    );
    at = next;
  }
  return rows;
}

const pass: ColumnExecution = { kind: "pass" };
const stars: ColumnExecution = {
  kind: "local",
  transform: (_, start, end, out) => {
    out.reserve(end - start);
    out.bytes.fill("*", out.at, out.at + (end - start));
    out.at += end - start;
    return end - start;
  },
};
const longer: ColumnExecution = {
  kind: "local",
  transform: (source, start, end, out) => {
    const text = `<${source.toString("utf8", start, end)}>`.repeat(40);
    out.reserve(text.length);
    out.at += out.bytes.write(text, out.at);
    return text.length;
  },
};
const nothing: ColumnExecution = { kind: "local", transform: () => -1 };
const remote: ColumnExecution = { kind: "remote" };

const asked: [number, string[]][] = [];
const mask = (...columns: ColumnExecution[]): ResultMask => ({
  planId: "p",
  passesAll: columns.every((c) => c.kind === "pass"),
  hasRemote: columns.some((c) => c.kind === "remote"),
  columns,
  classes: [],
  scrubText: true,
  staleSchema: false,
  disagreement: "",
  whole: [],
  everyColumn: [],
  remote: async (column, cells) => {
    asked.push([column, cells.map(String)]);
    return cells.map((c) => (String(c) === "same" ? c : Buffer.from(`#${c.length}`)));
  },
});

test("masked cells are replaced, everything else is as it was", () => {
  const bytes = Buffer.concat([row("1", "secret", "x", "hidden"), row("2", null, null, ""), row("3", "a", "y", "b")]);
  const result = maskRows(mask(pass, stars, pass, longer), bytes, 0, bytes.length);
  if (result instanceof Promise) throw new Error("nothing was remote");
  expect(rowsOf(result.bytes)).toEqual([
    ["1", "******", "x", "<hidden>".repeat(40)],
    ["2", null, null, "<>".repeat(40)],
    ["3", "*", "y", "<b>".repeat(40)],
  ]);
  expect([result.rows, result.maskedCells]).toEqual([3, 5]);
});

test("a transform that says NULL gives NULL", () => {
  const bytes = Buffer.concat([row("1", "secret"), row("2", "other")]);
  const result = maskRows(mask(pass, nothing), bytes, 0, bytes.length);
  expect(rowsOf((result as { bytes: Buffer }).bytes)).toEqual([
    ["1", null],
    ["2", null],
  ]);
});

test("remote columns are asked once per run, NULLs left out, and counted only when changed", async () => {
  asked.length = 0;
  const bytes = Buffer.concat([row("abc", "1", "k"), row(null, "2", "l"), row("same", "3", "m")]);
  const result = await maskRows(mask(remote, pass, stars), bytes, 0, bytes.length);
  expect(asked).toEqual([[0, ["abc", "same"]]]);
  expect(rowsOf(result.bytes)).toEqual([
    ["#3", "1", "*"],
    [null, "2", "*"],
    ["same", "3", "*"],
  ]);
  expect(result.maskedCells).toBe(4);
});

test("the run may lie anywhere in its buffer", () => {
  const run = Buffer.concat([row("a", "b"), row("c", "d")]);
  const bytes = Buffer.concat([Buffer.from("before"), run, Buffer.from("behind")]);
  const result = maskRows(mask(stars, pass), bytes, 6, 6 + run.length);
  expect(rowsOf((result as { bytes: Buffer }).bytes)).toEqual([
    ["*", "b"],
    ["*", "d"],
  ]);
});

test("a row that does not fit its description is not shown", () => {
  const bytes = row("a", "b", "c");
  expect(() => maskRows(mask(stars, pass), bytes, 0, bytes.length)).toThrow(/3 columns, described as 2/);
});
