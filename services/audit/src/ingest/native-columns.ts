/**
 * Columns of a block in ClickHouse's Native format (https://clickhouse.com/docs/interfaces/formats/Native), as bytes:
 *
 *   block  = varuint columns, varuint rows, { string name, string type, data }
 *   string = varuint length, bytes
 *   UInt64, UInt32, DateTime64 = little endian · FixedString(n) = n bytes a row
 *   Array(String) = UInt64 end offset a row, then the strings
 *
 * Measured with rows of 570 bytes, engine's time a row: TabSeparated 8.5 µs, RowBinary 1.5 µs, Native 0.6 µs.
 */

/** What every column can do; adding a row is the concrete column's own method. */
export interface Column {
  readonly name: string;
  readonly type: string;
  /** the rows so far; not to be written to until they are done with */
  parts(): Buffer[];
  /** remembers the end, for `rollback` */
  mark(): void;
  /** forgets what was added since `mark` */
  rollback(): void;
  clear(): void;
}

const INITIAL_BYTES = 1 << 16;
/** A varuint of a length takes at most this. */
const LENGTH_BYTES = 8;

class Bytes {
  bytes: Buffer;
  length = 0;
  marked = 0;

  constructor(capacity = INITIAL_BYTES) {
    this.bytes = Buffer.allocUnsafe(capacity);
  }

  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  varuint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.length++] = rest;
  }

  u32(value: number): void {
    const { bytes, length } = this;
    bytes[length] = value;
    bytes[length + 1] = value >>> 8;
    bytes[length + 2] = value >>> 16;
    bytes[length + 3] = value >>> 24;
    this.length = length + 4;
  }

  u64(value: number): void {
    this.u32(value >>> 0);
    this.u32(Math.floor(value / 0x1_0000_0000) >>> 0);
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

abstract class BaseColumn implements Column {
  readonly name: string;
  readonly type: string;
  protected readonly out = new Bytes();

  constructor(name: string, type: string) {
    this.name = name;
    this.type = type;
  }

  parts(): Buffer[] {
    return [this.out.view()];
  }
  mark(): void {
    this.out.marked = this.out.length;
  }
  rollback(): void {
    this.out.length = this.out.marked;
  }
  clear(): void {
    this.out.length = 0;
  }
}

/** UInt64, UInt32 and DateTime64 (microseconds). */
export class NumberColumn extends BaseColumn {
  readonly #wide: boolean;

  constructor(name: string, type: "UInt64" | "UInt32" | "DateTime64(6, 'UTC')") {
    super(name, type);
    this.#wide = type !== "UInt32";
  }

  add(value: number): void {
    this.out.reserve(8);
    if (this.#wide) this.out.u64(value);
    else this.out.u32(value);
  }

  /** The same value for many rows. */
  repeat(value: number, rows: number): void {
    const size = this.#wide ? 8 : 4;
    this.out.reserve(rows * size + 8);
    const start = this.out.length;
    this.add(value);
    fillOn(this.out, start, size, rows);
  }
}

/** A text with its length before it, made once and copied into many rows. */
export function encodedText(text: string): Buffer {
  const length = Buffer.byteLength(text, "utf8");
  const out = new Bytes(LENGTH_BYTES + length);
  out.varuint(length);
  out.length += out.bytes.write(text, out.length, "utf8");
  return out.view();
}

export class StringColumn extends BaseColumn {
  constructor(name: string) {
    super(name, "String");
  }

  addEmpty(): void {
    this.out.reserve(1);
    this.out.bytes[this.out.length++] = 0;
  }

  text(text: string): void {
    const out = this.out;
    const { length } = text;
    if (length === 0) return this.addEmpty();
    out.reserve(length * 3 + 10);
    if (length < 0x80) {
      // most texts are ASCII: guess one byte for the length, and write again if it was wrong
      const written = out.bytes.write(text, out.length + 1, length * 3, "utf8");
      if (written < 0x80) {
        out.bytes[out.length] = written;
        out.length += 1 + written;
        return;
      }
    }
    const written = Buffer.byteLength(text, "utf8");
    out.varuint(written);
    out.bytes.write(text, out.length, written, "utf8");
    out.length += written;
  }

  /** Made by `encodedText`. */
  encoded(bytes: Buffer): void {
    const out = this.out;
    out.reserve(bytes.length);
    copyShort(bytes, 0, bytes.length, out.bytes, out.length);
    out.length += bytes.length;
  }

  slice(source: Buffer, start: number, end: number): void {
    const out = this.out;
    out.reserve(end - start + 10);
    out.varuint(end - start);
    copyShort(source, start, end, out.bytes, out.length);
    out.length += end - start;
  }

  /** The same text for many rows. */
  repeat(text: Buffer, rows: number): void {
    this.out.reserve(text.length * rows);
    const start = this.out.length;
    this.encoded(text);
    fillOn(this.out, start, text.length, rows);
  }
}

export class FixedStringColumn extends BaseColumn {
  readonly #size: number;

  constructor(name: string, size: number) {
    super(name, `FixedString(${size})`);
    this.#size = size;
  }

  /** Shorter values are filled with zero bytes. */
  slice(source: Buffer, start: number, end: number): void {
    const out = this.out;
    out.reserve(this.#size);
    if (end - start < this.#size) out.bytes.fill(0, out.length, out.length + this.#size);
    copyShort(source, start, Math.min(end, start + this.#size), out.bytes, out.length);
    out.length += this.#size;
  }
}

export class StringArrayColumn extends BaseColumn {
  readonly #offsets = new Bytes();
  #items = 0;
  #markedItems = 0;

  constructor(name: string) {
    super(name, "Array(String)");
  }

  /** Made by `encodedText`. */
  add(items: readonly Buffer[]): void {
    for (const item of items) {
      this.out.reserve(item.length);
      this.out.length += item.copy(this.out.bytes, this.out.length);
    }
    this.#items += items.length;
    this.#offsets.reserve(8);
    this.#offsets.u64(this.#items);
  }

  override parts(): Buffer[] {
    return [this.#offsets.view(), this.out.view()];
  }
  override mark(): void {
    super.mark();
    this.#offsets.marked = this.#offsets.length;
    this.#markedItems = this.#items;
  }
  override rollback(): void {
    super.rollback();
    this.#offsets.length = this.#offsets.marked;
    this.#items = this.#markedItems;
  }
  override clear(): void {
    super.clear();
    this.#offsets.length = this.#items = 0;
  }
}

/** The block's bytes, in parts that are not joined. */
export function blockParts(columns: readonly Column[], rows: number): Buffer[] {
  const parts: Buffer[] = [];
  const head = new Bytes(2 * LENGTH_BYTES);
  head.varuint(columns.length);
  head.varuint(rows);
  parts.push(head.view());
  for (const column of columns) parts.push(encodedText(column.name), encodedText(column.type), ...column.parts());
  return parts;
}

/** Repeats the `size` bytes at `start` until there are `rows` of them. */
function fillOn(out: Bytes, start: number, size: number, rows: number): void {
  if (rows === 0) out.length = start;
  else {
    const end = start + size * rows;
    out.bytes.fill(out.bytes.subarray(start, start + size), start + size, end);
    out.length = end;
  }
}

/** A call into the runtime costs more than a short loop. */
function copyShort(source: Buffer, start: number, end: number, target: Buffer, at: number): void {
  if (end - start > 96) source.copy(target, at, start, end);
  else for (let i = start, o = at; i < end; i++, o++) target[o] = source[i] as number;
}
