/**
 * Executes a MaskPlan on cells. Knows nothing of rows or frames: the protocol finds the cells and writes them back.
 * What the transforms mean is said by `masking` (its README and vectors); those without a key are executed here.
 */
import { isUtf8 } from "node:buffer";
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

/** What counts as a character, by byte: the first bytes of those beyond ASCII do, too. */
const EVERY_CHARACTER = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x80 || byte >= 0xc0 ? 1 : 0));
const LETTERS_AND_DIGITS = EVERY_CHARACTER.map((counts, byte) =>
  byte < 0x80 && !/[A-Za-z0-9]/.test(String.fromCharCode(byte)) ? 0 : counts,
);

/**
 * Keeps the first and last code points of a value and masks the others. With `keep_separators` an ASCII character that is
 * no letter or digit stays and does not count (unless the value has nothing else). A value that would keep more than half
 * of what counts keeps nothing of it. What is not UTF-8 is redacted.
 */
function partial(transform: PartialTransform): CellTransform {
  const { keepFirst, keepLast } = transform;
  const mask = Buffer.from(transform.mask === "" ? "*" : transform.mask, "utf8");
  const oneByte = mask.length === 1 ? (mask[0] as number) : -1;

  return (source, start, end, out) => {
    const counts = transform.keepSeparators ? LETTERS_AND_DIGITS : EVERY_CHARACTER;
    let counted = 0;
    let seen = 0;
    for (let i = start; i < end; i++) {
      const byte = source[i] as number;
      seen |= byte;
      counted += counts[byte] as number;
    }
    // continuations of a code point count for nothing
    if (seen >= 0x80 && !isUtf8(source.subarray(start, end))) return write(out, REDACTED);
    // separators alone are a value too; all of them are ASCII
    const separatorsOnly = counted === 0;
    if (separatorsOnly) counted = end - start;
    const counting = separatorsOnly ? EVERY_CHARACTER : counts;
    const shown = 2 * (keepFirst + keepLast) <= counted;
    const first = shown ? keepFirst : 0;
    const last = shown ? counted - keepLast : counted;
    out.reserve((end - start) * Math.max(1, mask.length));
    if (oneByte >= 0 && seen < 0x80) {
      const { bytes, at } = out;
      const shift = at - start;
      let index = 0;
      for (let i = start; i < end; i++) {
        const byte = source[i] as number;
        const hides = counting[byte] === 1 && index >= first && index < last;
        index += counting[byte] as number;
        bytes[i + shift] = hides ? oneByte : byte;
      }
      out.at = at + (end - start);
      return end - start;
    }
    return writePartial(source, start, end, out, { mask, counting, first, last });
  };
}

/** By code points: each byte is one, or continues one, and a continuation goes the way of its first byte. */
function writePartial(
  source: Buffer,
  start: number,
  end: number,
  out: CellOutput,
  { mask, counting, first, last }: { mask: Buffer; counting: Uint8Array; first: number; last: number },
): number {
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
    keeps = counting[byte] === 0;
    if (!keeps) {
      keeps = index < first || index >= last;
      index++;
    }
    if (keeps) bytes[at++] = byte;
    else {
      bytes.set(mask, at);
      at += mask.length;
    }
  }
  out.at = at;
  return at - begin;
}
