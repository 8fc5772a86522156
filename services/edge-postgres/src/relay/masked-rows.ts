import type { ColumnExecution, ResultMask } from "@sallyport/edge";
import { cellPlaces, decodeDataRow } from "../wire/backend.ts";
import { WireFault } from "../wire/fault.ts";
import { GrowingOutput } from "./cell-output.ts";

/**
 * Executes a mask on DataRows: `bytes[start, end)` is a run of whole messages. Between two masked cells the bytes are
 * copied in one go, across columns and rows alike; only lengths are written anew.
 */
export interface MaskedRows {
  readonly bytes: Buffer;
  readonly rows: number;
  readonly maskedCells: number;
}

// One row is decoded at a time, in one turn of the event loop: all sessions share the places.
const places = cellPlaces();
const HEADER = 5;

interface Column {
  readonly index: number;
  readonly execution: Exclude<ColumnExecution, { kind: "pass" }>;
}

const maskedColumns = new WeakMap<ResultMask, readonly Column[]>();

function columnsOf(mask: ResultMask): readonly Column[] {
  const known = maskedColumns.get(mask);
  if (known !== undefined) return known;
  const columns: Column[] = [];
  mask.columns.forEach((execution, index) => {
    if (execution.kind !== "pass") columns.push({ index, execution });
  });
  maskedColumns.set(mask, columns);
  return columns;
}

/** Rejects or throws when a row does not fit the mask, or masking cannot be reached: then nothing may be shown. */
export function maskRows(
  mask: ResultMask,
  bytes: Buffer,
  start: number,
  end: number,
): MaskedRows | Promise<MaskedRows> {
  const columns = columnsOf(mask);
  if (!mask.hasRemote) return build(mask, columns, bytes, start, end, NO_REMOTE);
  return maskWithRemote(mask, columns, bytes, start, end);
}

type RemoteCells = ReadonlyMap<number, { cells: readonly Buffer[]; originals: readonly Buffer[]; next: number }>;
const NO_REMOTE: RemoteCells = new Map();

async function maskWithRemote(
  mask: ResultMask,
  columns: readonly Column[],
  bytes: Buffer,
  start: number,
  end: number,
): Promise<MaskedRows> {
  const wanted = new Map<number, Buffer[]>();
  for (const { index, execution } of columns) if (execution.kind === "remote") wanted.set(index, []);
  for (let at = start; at < end;) {
    const next = at + 1 + bytes.readUInt32BE(at + 1);
    place(mask, bytes, at, next);
    for (const [index, cells] of wanted) {
      const length = places.lengths[index] as number;
      const from = places.starts[index] as number;
      if (length >= 0) cells.push(bytes.subarray(from, from + length));
    }
    at = next;
  }
  const remote: RemoteCells = new Map(
    await Promise.all(
      [...wanted].map(async ([index, originals]) => {
        const cells = originals.length === 0 ? [] : await mask.remote(index, originals);
        if (cells.length !== originals.length) throw new WireFault("masking answered another number of cells");
        return [index, { cells, originals, next: 0 }] as const;
      }),
    ),
  );
  return build(mask, columns, bytes, start, end, remote);
}

function place(mask: ResultMask, bytes: Buffer, at: number, next: number): void {
  decodeDataRow(bytes, at + HEADER, next, places);
  if (places.count !== mask.columns.length) {
    throw new WireFault(`a row of ${places.count} columns, described as ${mask.columns.length}`);
  }
}

function build(
  mask: ResultMask,
  columns: readonly Column[],
  bytes: Buffer,
  start: number,
  end: number,
  remote: RemoteCells,
): MaskedRows {
  const out = new GrowingOutput(end - start + 1024);
  let rows = 0;
  let maskedCells = 0;
  /** source bytes from here on are not yet copied */
  let from = start;
  for (let at = start; at < end; rows++) {
    const next = at + 1 + bytes.readUInt32BE(at + 1);
    place(mask, bytes, at, next);
    /** where this row's header will stand in the output, if its length changes */
    const header = out.at + (at - from);
    let changed = false;
    for (const { index, execution } of columns) {
      const length = places.lengths[index] as number;
      if (length < 0) continue;
      const cell = places.starts[index] as number;
      // up to the cell's length, which is written anew
      out.copy(bytes, from, cell - 4);
      const lengthAt = out.at;
      out.int32(0);
      const written = writeCell(execution, index, bytes, cell, cell + length, out, remote);
      out.putInt32(written.length, lengthAt);
      if (written.changed) maskedCells += 1;
      from = cell + length;
      changed = true;
    }
    at = next;
    if (!changed) continue;
    out.copy(bytes, from, next);
    from = next;
    out.putInt32(out.at - header - 1, header + 1);
  }
  out.copy(bytes, from, end);
  return { bytes: out.taken(), rows, maskedCells };
}

const written = { length: 0, changed: false };

function writeCell(
  execution: Column["execution"],
  index: number,
  bytes: Buffer,
  start: number,
  end: number,
  out: GrowingOutput,
  remote: RemoteCells,
): typeof written {
  if (execution.kind === "local") {
    const at = out.at;
    written.length = execution.transform(bytes, start, end, out);
    // A transform that says NULL has written nothing that may stay.
    out.at = at + Math.max(0, written.length);
    written.changed = true;
    return written;
  }
  const answer = remote.get(index);
  const cell = answer?.cells[answer.next];
  const original = answer?.originals[answer.next];
  if (answer === undefined || cell === undefined || original === undefined) throw new Error("a cell without an answer");
  answer.next += 1;
  out.append(cell);
  written.length = cell.length;
  written.changed = !cell.equals(original);
  return written;
}
