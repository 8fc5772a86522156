/**
 * Executes a MaskPlan on cells. Knows nothing of rows or frames: the protocol finds the cells and writes them back.
 * What the transforms mean is said by `masking` (its README and vectors); those without a key are executed here.
 */
import { isAscii, isUtf8 } from "node:buffer";
import type { PartialTransform } from "@sallyport/proto/catalog_model";
import { ColumnPlan_Action, type ColumnPlan } from "@sallyport/proto/masking";

/** Where masked bytes are written: make room with `reserve`, then write at `at`. */
export interface CellOutput {
  bytes: Buffer;
  at: number;
  /** makes room for `length` more bytes at `at`; may replace `bytes` */
  reserve(length: number): void;
}

/** Appends the masked cell to `out`; returns its length in bytes, or -1 for NULL. Never keeps a reference to `source`. */
export type CellTransform = (source: Buffer, start: number, end: number, out: CellOutput) => number;

export type ColumnExecution =
  | { readonly kind: "pass" }
  /** in place, synchronously; a NULL cell stays NULL and is not passed in */
  | { readonly kind: "local"; readonly transform: CellTransform }
  /** hash and scan: collect the column's cells that are not NULL and ask `ResultMask.remote` */
  | { readonly kind: "remote" };

const PASS: ColumnExecution = { kind: "pass" };
const REMOTE: ColumnExecution = { kind: "remote" };
const NULLIFY: ColumnExecution = { kind: "local", transform: () => -1 };
const REDACTED = Buffer.from("[redacted]", "latin1");

/** Names of the actions, as ColumnClass.transform has them. */
export function actionName(action: ColumnPlan_Action): string {
  switch (action) {
    case ColumnPlan_Action.ACTION_PASS:
      return "pass";
    case ColumnPlan_Action.ACTION_REDACT:
      return "redact";
    case ColumnPlan_Action.ACTION_PARTIAL:
      return "partial";
    case ColumnPlan_Action.ACTION_HASH:
      return "hash";
    case ColumnPlan_Action.ACTION_SCAN:
      return "scan";
    default:
      return "null";
  }
}

/** What is not understood is NULL (I4). */
export function executionOf(column: ColumnPlan): ColumnExecution {
  switch (column.action) {
    case ColumnPlan_Action.ACTION_PASS:
      return PASS;
    case ColumnPlan_Action.ACTION_REDACT: {
      const replacement = column.redact?.replacement ?? "";
      const bytes = replacement === "" ? REDACTED : Buffer.from(replacement, "utf8");
      return { kind: "local", transform: (_source, _start, _end, out) => write(out, bytes) };
    }
    case ColumnPlan_Action.ACTION_PARTIAL:
      return column.partial === undefined ? NULLIFY : { kind: "local", transform: partial(column.partial) };
    case ColumnPlan_Action.ACTION_HASH:
    case ColumnPlan_Action.ACTION_SCAN:
      return REMOTE;
    default:
      return NULLIFY;
  }
}

function write(out: CellOutput, bytes: Uint8Array): number {
  out.reserve(bytes.length);
  out.bytes.set(bytes, out.at);
  out.at += bytes.length;
  return bytes.length;
}

const LETTERS_AND_DIGITS = new Uint8Array(128);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") {
  LETTERS_AND_DIGITS[character.charCodeAt(0)] = 1;
}

/**
 * Keeps the first and last code points of a value and masks the others. With `keep_separators` an ASCII character that is
 * no letter or digit stays and does not count (unless the value has nothing else). A value that would keep more than half
 * of what counts keeps nothing of it. What is not UTF-8 is redacted.
 */
function partial(transform: PartialTransform): CellTransform {
  const { keepFirst, keepLast } = transform;
  const mask = Buffer.from(transform.mask === "" ? "*" : transform.mask, "utf8");
  const oneByte = mask.length === 1 ? (mask[0] as number) : -1;

  /** Each byte is a code point, or continues one: a continuation goes the way of its first byte. */
  return (source, start, end, out) => {
    const cell = source.subarray(start, end);
    if (!isAscii(cell) && !isUtf8(cell)) return write(out, REDACTED);
    let { keepSeparators } = transform;
    let counted = 0;
    for (let i = start; i < end; i++) {
      const byte = source[i] as number;
      if (byte >= 0x80 ? byte >= 0xc0 : !keepSeparators || LETTERS_AND_DIGITS[byte] === 1) counted++;
    }
    if (counted === 0) {
      // separators alone are a value too; all of them are ASCII
      keepSeparators = false;
      counted = end - start;
    }
    const shown = 2 * (keepFirst + keepLast) <= counted;
    const first = shown ? keepFirst : 0;
    const last = shown ? counted - keepLast : counted;
    out.reserve((end - start) * Math.max(1, mask.length));
    const { bytes } = out;
    const begin = out.at;
    let at = begin;
    let index = 0;
    let keeps = false;
    for (let i = start; i < end; i++) {
      const byte = source[i] as number;
      if (byte >= 0x80 && byte < 0xc0) {
        if (keeps) bytes[at++] = byte;
        continue;
      }
      if (byte < 0x80 && keepSeparators && LETTERS_AND_DIGITS[byte] === 0) {
        bytes[at++] = byte;
        keeps = false;
        continue;
      }
      keeps = index < first || index >= last;
      index++;
      if (keeps) bytes[at++] = byte;
      else if (oneByte >= 0) bytes[at++] = oneByte;
      else {
        bytes.set(mask, at);
        at += mask.length;
      }
    }
    out.at = at;
    return at - begin;
  };
}

/** A CellOutput that grows by doubling; `reset` it for each chunk of rows. */
export class GrowingOutput implements CellOutput {
  bytes: Buffer;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  reserve(length: number): void {
    const needed = this.at + length;
    if (needed <= this.bytes.length) return;
    const bytes = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(bytes, 0, 0, this.at);
    this.bytes = bytes;
  }
}
