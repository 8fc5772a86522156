import type { ResultMask } from "@sallyport/edge";
import { Backend } from "../wire/message-table.ts";
import { WireFault } from "../wire/fault.ts";
import { GrowingOutput } from "./cell-output.ts";
import { type CopyMask, CopyStream, type Field, maskFields, type MaskedCopy } from "./copy-fields.ts";

/**
 * Masks `COPY … TO STDOUT (FORMAT binary)` column by column (section "Binary Format" of COPY's page): a header, rows of a count
 * of fields (int16) and fields (int32 length, -1 for NULL), a trailer with the count -1.
 */
const SIGNATURE = Buffer.from("PGCOPY\n\u00ff\r\n\0", "latin1");
/** signature, flags, length of the header's extension */
const HEADER = SIGNATURE.length + 8;
const MORE = -1;

export class BinaryMask implements CopyMask {
  readonly mask: ResultMask;
  readonly binary = true;
  readonly #stream = new CopyStream();
  #headerToCome = true;
  #ended = false;

  constructor(mask: ResultMask) {
    this.mask = mask;
  }

  async take(bytes: Buffer, start: number, end: number): Promise<MaskedCopy> {
    const wasEnded = this.#ended;
    const data = this.#stream.push(bytes, start, end);
    const from = this.#headerToCome ? headerEnd(data) : 0;
    const header = this.#headerToCome && from !== MORE ? data.subarray(0, from) : undefined;
    if (header !== undefined) this.#headerToCome = false;
    const rows: Field[][] = [];
    let at = Math.max(0, from);
    if (from !== MORE)
      for (let next = this.#row(data, at, rows); next !== MORE; next = this.#row(data, at, rows)) at = next;
    this.#stream.keep(data.subarray(at));
    const trailer = this.#ended && !wasEnded;
    const maskedCells = await maskFields(this.mask, rows);
    return { bytes: written(header, rows, trailer), rows: rows.length, maskedCells };
  }

  finish(): void {
    if (!this.#ended) throw new WireFault("COPY data ends without its trailer");
  }

  /** Where the row that begins at `at` ends; MORE: it is not here yet, or there is none. */
  #row(data: Buffer, at: number, rows: Field[][]): number {
    if (this.#ended) {
      if (at < data.length) throw new WireFault("COPY data behind its trailer");
      return MORE;
    }
    if (data.length < at + 2) return MORE;
    const count = data.readInt16BE(at);
    if (count === -1) {
      this.#ended = true;
      return at + 2;
    }
    const { length } = this.mask.columns;
    if (count !== length) throw new WireFault(`a row of ${count} columns, expected ${length}`);
    const fields: Field[] = [];
    let next = at + 2;
    for (let i = 0; i < count; i++) {
      if (data.length < next + 4) return MORE;
      const size = data.readInt32BE(next);
      if (size < -1) throw new WireFault("a field of COPY data of no length");
      next += 4;
      if (size >= 0 && data.length < next + size) return MORE;
      fields.push({ value: size < 0 ? undefined : data.subarray(next, next + size) });
      next += Math.max(0, size);
    }
    rows.push(fields);
    return next;
  }
}

function written(header: Buffer | undefined, rows: readonly Field[][], trailer: boolean): Buffer {
  const out = new GrowingOutput(rows.length === 0 ? 64 : 64 * 1024);
  if (header !== undefined) message(out, () => out.append(header));
  for (const row of rows) {
    message(out, () => {
      int16(out, row.length);
      for (const { value } of row) {
        out.int32(value === undefined ? -1 : value.length);
        if (value !== undefined) out.append(value);
      }
    });
  }
  if (trailer) message(out, () => int16(out, -1));
  return out.taken();
}

/** MORE: it is not here yet. */
function headerEnd(data: Buffer): number {
  if (data.length < HEADER) return MORE;
  if (!data.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new WireFault("COPY data without its signature");
  // Bits 16 to 31 tell what a reader has to understand; no server that is in use sets any.
  if (data.readUInt32BE(SIGNATURE.length) !== 0) throw new WireFault("COPY data with flags that are not known");
  const end = HEADER + data.readUInt32BE(SIGNATURE.length + 4);
  return data.length < end ? MORE : end;
}

function int16(out: GrowingOutput, value: number): void {
  out.byte((value >> 8) & 0xff);
  out.byte(value & 0xff);
}

function message(out: GrowingOutput, write: () => void): void {
  const at = out.at;
  out.byte(Backend.copyData);
  out.int32(0);
  write();
  out.putInt32(out.at - at - 1, at + 1);
}
