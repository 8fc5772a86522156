import type { ResultMask } from "@sallyport/edge";
import { Backend } from "../wire/message-table.ts";
import { WireFault } from "../wire/fault.ts";
import { GrowingOutput } from "./cell-output.ts";
import { type CopyMask, CopyStream, type Field, maskFields, type MaskedCopy } from "./copy-fields.ts";
import type { LinesFormat } from "./copy-options.ts";

/**
 * Masks `COPY … TO STDOUT` column by column, in the text and csv formats (section "File Formats" of COPY's page): lines are put
 * together first. What goes out is one CopyData message a line, as the server does.
 */
const LF = 0x0a;
const CR = 0x0d;
const BACKSLASH = 0x5c;
export class LinesMask implements CopyMask {
  readonly mask: ResultMask;
  readonly binary = false;
  readonly #format: LinesFormat;
  readonly #stream = new CopyStream();
  #headerToCome: boolean;

  constructor(mask: ResultMask, format: LinesFormat) {
    this.mask = mask;
    this.#format = format;
    this.#headerToCome = format.header;
  }

  async take(bytes: Buffer, start: number, end: number): Promise<MaskedCopy> {
    const data = this.#stream.push(bytes, start, end);
    const lines: Buffer[] = [];
    let from = 0;
    for (let to = this.#lineEnd(data, from); to >= 0; to = this.#lineEnd(data, from)) {
      lines.push(data.subarray(from, to));
      from = to + 1;
    }
    this.#stream.keep(data.subarray(from));
    return this.#masked(lines);
  }

  finish(): void {
    // A last line without its end would be shown unmasked by nobody.
    if (!this.#stream.empty) throw new WireFault("COPY data ends in the middle of a line");
  }

  /** Position of the line feed that ends the line; in csv one inside quotes does not. -1: not here yet. */
  #lineEnd(data: Buffer, from: number): number {
    if (this.#format.format === "text") return data.indexOf(LF, from);
    const { quote, escape } = this.#format;
    let quoted = false;
    for (let at = from; at < data.length; at++) {
      const byte = data[at];
      if (quoted && byte === escape && escape !== quote) at += 1;
      else if (byte === quote) quoted = !quoted;
      else if (byte === LF && !quoted) return at;
    }
    return -1;
  }

  async #masked(lines: readonly Buffer[]): Promise<MaskedCopy> {
    const header = this.#headerToCome && lines.length > 0 ? lines[0] : undefined;
    if (header !== undefined) this.#headerToCome = false;
    const rows = (header === undefined ? lines : lines.slice(1)).map((line) => this.#fields(line));
    const maskedCells = await maskFields(this.mask, rows);
    return { bytes: this.#written(header, rows), rows: rows.length, maskedCells };
  }

  #written(header: Buffer | undefined, rows: readonly Field[][]): Buffer {
    if (header === undefined && rows.length === 0) return Buffer.alloc(0);
    const out = new GrowingOutput(64 * 1024);
    if (header !== undefined) this.#message(out, () => out.append(header));
    for (const row of rows) {
      this.#message(out, () => {
        row.forEach((field, i) => {
          if (i > 0) out.byte(this.#format.delimiter);
          if (field.value === undefined) out.append(this.#format.nullText);
          else if (this.#format.format === "text") this.#writeText(out, field.value);
          else this.#writeCsv(out, field.value, row.length);
        });
      });
    }
    return out.taken();
  }

  #message(out: GrowingOutput, write: () => void): void {
    const at = out.at;
    out.byte(Backend.copyData);
    out.int32(0);
    write();
    out.byte(LF);
    out.bytes.writeUInt32BE(out.at - at - 1, at + 1);
  }

  #fields(line: Buffer): Field[] {
    const fields = this.#format.format === "text" ? this.#textFields(line) : this.#csvFields(line);
    if (fields.length !== this.mask.columns.length) {
      throw new WireFault(`a line of ${fields.length} columns, expected ${this.mask.columns.length}`);
    }
    return fields;
  }

  #textFields(line: Buffer): Field[] {
    const { delimiter, nullText } = this.#format;
    const fields: Field[] = [];
    let from = 0;
    for (let at = 0; at <= line.length; at++) {
      if (at < line.length && line[at] === BACKSLASH) {
        at += 1;
        continue;
      }
      if (at < line.length && line[at] !== delimiter) continue;
      const raw = line.subarray(from, at);
      fields.push({ value: raw.equals(nullText) ? undefined : unescaped(raw) });
      from = at + 1;
    }
    return fields;
  }

  #csvFields(line: Buffer): Field[] {
    const { delimiter, nullText, quote, escape } = this.#format;
    const fields: Field[] = [];
    let at = 0;
    for (;;) {
      const out = new GrowingOutput(64);
      let wasQuoted = false;
      let quoted = false;
      for (; at < line.length; at++) {
        const byte = line[at] as number;
        if (quoted) {
          if (byte === escape && (line[at + 1] === escape || line[at + 1] === quote)) out.byte(line[++at] as number);
          else if (byte === quote) quoted = false;
          else out.byte(byte);
        } else if (byte === quote) {
          quoted = true;
          wasQuoted = true;
        } else if (byte === delimiter) break;
        else out.byte(byte);
      }
      if (quoted) throw new WireFault("a quoted field without its end");
      const value = out.taken();
      fields.push({ value: !wasQuoted && value.equals(nullText) ? undefined : value });
      if (at >= line.length) return fields;
      at += 1;
    }
  }

  #writeText(out: GrowingOutput, value: Buffer): void {
    const { delimiter } = this.#format;
    for (const byte of value) {
      const letter = ESCAPED[byte];
      if (letter !== undefined) {
        out.byte(BACKSLASH);
        out.byte(letter);
      } else {
        if (byte === delimiter) out.byte(BACKSLASH);
        out.byte(byte);
      }
    }
  }

  #writeCsv(out: GrowingOutput, value: Buffer, columns: number): void {
    const { delimiter, quote, escape, nullText } = this.#format;
    const endOfData = columns === 1 && value.length === 2 && value[0] === BACKSLASH && value[1] === 0x2e;
    const plain =
      !endOfData &&
      !value.equals(nullText) &&
      !value.some((b) => b === delimiter || b === quote || b === escape || b === LF || b === CR);
    if (plain) return out.append(value);
    out.byte(quote);
    for (const byte of value) {
      if (byte === quote || byte === escape) out.byte(escape);
      out.byte(byte);
    }
    out.byte(quote);
  }
}

/** byte → the letter behind the backslash */
const ESCAPED: Readonly<Record<number, number>> = {
  0x08: 0x62,
  0x09: 0x74,
  0x0a: 0x6e,
  0x0b: 0x76,
  0x0c: 0x66,
  0x0d: 0x72,
  0x5c: 0x5c,
};
const UNESCAPED: Readonly<Record<number, number>> = Object.fromEntries(
  Object.entries(ESCAPED).map(([byte, letter]) => [letter, Number(byte)]),
);

/** The server writes nothing but these escapes (never octal or hexadecimal ones). */
function unescaped(raw: Buffer): Buffer {
  if (!raw.includes(BACKSLASH)) return raw;
  const out = Buffer.allocUnsafe(raw.length);
  let length = 0;
  for (let at = 0; at < raw.length; at++) {
    let byte = raw[at] as number;
    if (byte === BACKSLASH && at + 1 < raw.length) {
      at += 1;
      byte = UNESCAPED[raw[at] as number] ?? (raw[at] as number);
    }
    out[length++] = byte;
  }
  return out.subarray(0, length);
}
