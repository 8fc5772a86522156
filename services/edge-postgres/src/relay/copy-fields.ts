import type { ResultMask } from "@sallyport/edge";
import { WireFault } from "../wire/fault.ts";
import { GrowingOutput } from "./cell-output.ts";

/** A row of COPY data, apart. `value` undefined: NULL. */
export interface Field {
  value: Buffer | undefined;
}

/** What comes of a run of COPY data. */
export interface MaskedCopy {
  /** CopyData messages; empty: no row is complete yet */
  readonly bytes: Buffer;
  readonly rows: number;
  readonly maskedCells: number;
}

/** Masks COPY data of one format. */
export interface CopyMask {
  readonly mask: ResultMask;
  readonly binary: boolean;
  /** `bytes[start, end)`: whole CopyData messages. Throws or rejects when a row cannot be shown. */
  take(bytes: Buffer, start: number, end: number): Promise<MaskedCopy>;
  /** CopyDone. Throws when rows are missing. */
  finish(): void;
}

/** A row longer than this is not shown: it would have to be held whole. */
const LONGEST_ROW = 64 * 1024 * 1024;

/** CopyData messages are a byte stream, cut anywhere: what of a row came before, and the payloads of the messages. */
export class CopyStream {
  #tail: Buffer = Buffer.alloc(0);

  /** Nothing is left of a row. */
  get empty(): boolean {
    return this.#tail.length === 0;
  }

  push(bytes: Buffer, start: number, end: number): Buffer {
    const payloads: Buffer[] = [this.#tail];
    for (let at = start; at < end;) {
      const next = at + 1 + bytes.readUInt32BE(at + 1);
      payloads.push(bytes.subarray(at + 5, next));
      at = next;
    }
    return payloads.length === 2 && this.empty ? (payloads[1] as Buffer) : Buffer.concat(payloads);
  }

  keep(rest: Buffer): void {
    // A copy: the chunk that it lies in is not to be kept.
    this.#tail = Buffer.from(rest);
    if (this.#tail.length > LONGEST_ROW) throw new WireFault("a row of COPY data is too long to be masked", "54000");
  }
}

/** Masks the fields of rows in place, column by column. The number of cells that have changed. */
export async function maskFields(mask: ResultMask, rows: readonly (readonly Field[])[]): Promise<number> {
  let maskedCells = 0;
  for (const [index, execution] of mask.columns.entries()) {
    if (execution.kind === "pass") continue;
    const cells = rows.map((row) => row[index] as Field).filter((field) => field.value !== undefined);
    if (cells.length === 0) continue;
    if (execution.kind === "remote") {
      const answers = await mask.remote(
        index,
        cells.map((field) => field.value as Buffer),
      );
      if (answers.length !== cells.length) throw new WireFault("masking answered another number of cells");
      cells.forEach((field, i) => {
        const answer = answers[i] as Buffer;
        if (!answer.equals(field.value as Buffer)) maskedCells += 1;
        field.value = answer;
      });
      continue;
    }
    for (const field of cells) {
      const value = field.value as Buffer;
      const out = new GrowingOutput(value.length + 32);
      const length = execution.transform(value, 0, value.length, out);
      field.value = length < 0 ? undefined : out.bytes.subarray(0, length);
      maskedCells += 1;
    }
  }
  return maskedCells;
}
