/**
 * The values that nobody may see, and the search for them and for parts of them in what was said.
 *
 * A marked value is recognised by five letters of `ghjkqvwxz` in a row, or eight digits of a marked number: in any case,
 * forwards or backwards, with other characters between them, escaped, in hex or base64, spread over rows or columns, as
 * character codes, and in PostgreSQL's binary formats.
 */

export interface Mark {
  /** `people.email 1` */
  readonly where: string;
  readonly class: string;
  readonly text: string;
  /** as its type is sent in the binary format; absent for texts */
  readonly binary?: Buffer;
}

export interface Find {
  readonly mark: Mark;
  /** the part that was recognised */
  readonly part: string;
  /** how it stood there: `plain`, `hex`, `a column of cells`, … */
  readonly form: string;
  /** what is around it, printable */
  readonly around: string;
}

/** Cells of one result, in the order of its rows. */
export type Cells = readonly (readonly (Buffer | null)[])[];

const LETTERS = 5;
const DIGITS = 8;
const RUNS = /[ghjkqvwxz]{5,}|[0-9a-f]{8,}/g;
/** longer runs of hex digits are hashes and ids, in which digits of a marked number stand by chance */
const HASH = 24;
const AROUND = 48;
/** Lengths before cells and messages, whose last byte may look like a letter that goes before what may be seen. */
const LENGTHS = /\0\0[\0-\x3f][^]/g;

const stripped = (text: string): string => text.replace(/[^a-z0-9]+/g, "");
const turned = (text: string): string => [...text].toReversed().join("");

export class Marks {
  readonly #parts = new Map<string, Mark>();
  readonly #binary: Mark[] = [];

  /** `seen`: what may be seen; a part of it is no find, though it be a part of something else too. */
  constructor(marks: readonly Mark[], seen: readonly Mark[] = []) {
    const open = new Set(seen.flatMap(partsOfMark));
    for (const mark of marks) {
      for (const part of partsOfMark(mark)) if (!open.has(part)) this.#parts.set(part, mark);
      if (mark.binary !== undefined && mark.binary.length >= 4) this.#binary.push(mark);
    }
  }

  /** Finds in the bytes of a conversation, or of a log. */
  inBytes(bytes: Buffer): Find[] {
    const raw = bytes.toString("latin1").replace(LENGTHS, "\0\0\0\0");
    const lower = raw.toLowerCase();
    const found = [
      ...this.#inText(lower, "plain"),
      ...this.#inText(stripped(lower), "with other characters between"),
      ...this.#inHex(lower),
      ...this.#inBase64(raw),
    ];
    if (/\\[xu0-3]|&#|%[0-9a-f]{2}|=[0-9a-f]{2}/.test(lower))
      found.push(...this.#inText(stripped(unescaped(lower)), "escaped"));
    return found;
  }

  /** Finds that only show when cells are put together. */
  inCells(rows: Cells): Find[] {
    if (rows.length === 0) return [];
    const width = Math.max(...rows.map((row) => row.length));
    const found: Find[] = [];
    for (let column = 0; column < width; column++) {
      const cells = rows.map((row) => row[column] ?? null);
      found.push(...this.#inText(stripped(joined(cells)), "a column of cells"));
      found.push(...this.#inText(codes(cells), "a column of character codes"));
    }
    for (const row of rows) {
      if (row.length < 2) continue;
      found.push(
        ...this.#inText(stripped(joined(row)), "a row of cells"),
        ...this.#inText(codes(row), "a row of codes"),
      );
    }
    for (const row of rows) for (const cell of row) if (cell !== null) found.push(...this.#inBinary(cell));
    return found;
  }

  #inText(text: string, form: string): Find[] {
    const found: Find[] = [];
    for (const { 0: run, index } of text.matchAll(RUNS)) {
      const length = /[ghjkqvwxz]/.test(run) ? LETTERS : DIGITS;
      if (length === DIGITS && run.length >= HASH) continue;
      for (let at = 0; at + length <= run.length; at++) {
        const mark = this.#parts.get(run.slice(at, at + length));
        if (mark === undefined) continue;
        const from = Math.max(0, index + at - AROUND);
        const around = printable(text.slice(from, index + at + length + AROUND));
        found.push({ mark, part: run.slice(at, at + length), form, around });
        break;
      }
    }
    return found;
  }

  #inHex(lower: string): Find[] {
    const found: Find[] = [];
    for (const [run] of lower.matchAll(/[0-9a-f]{10,}/g)) {
      for (const shift of [0, 1]) {
        const decoded = Buffer.from(run.slice(shift, run.length - ((run.length - shift) % 2)), "hex");
        found.push(...this.#inText(decoded.toString("latin1").toLowerCase(), "hex"));
      }
    }
    return found;
  }

  #inBase64(raw: string): Find[] {
    const found: Find[] = [];
    for (const [run] of raw.matchAll(/[A-Za-z0-9+/]{8,}/g)) {
      for (const shift of [0, 1, 2, 3]) {
        const decoded = Buffer.from(run.slice(shift), "base64").toString("latin1").toLowerCase();
        found.push(...this.#inText(decoded, "base64"));
      }
    }
    return found;
  }

  #inBinary(cell: Buffer): Find[] {
    return this.#binary.flatMap((mark) => {
      const at = cell.indexOf(mark.binary!);
      if (at < 0) return [];
      const around = cell.subarray(Math.max(0, at - 8), at + mark.binary!.length + 8).toString("hex");
      return [{ mark, part: mark.binary!.toString("hex"), form: "binary", around }];
    });
  }
}

function partsOfMark({ text }: Mark): string[] {
  const plain = stripped(text.toLowerCase());
  return [...partsOf(plain), ...partsOf(turned(plain))];
}

function* partsOf(text: string): Generator<string> {
  for (let at = 0; at < text.length; at++) {
    const letters = text.slice(at, at + LETTERS);
    if (letters.length === LETTERS && /^[ghjkqvwxz]+$/.test(letters)) yield letters;
    const digits = text.slice(at, at + DIGITS);
    if (digits.length === DIGITS && /^[0-9a-f]+$/.test(digits) && /\d.*\d.*\d.*\d/.test(digits)) yield digits;
  }
}

const joined = (cells: readonly (Buffer | null)[]): string =>
  cells.map((cell) => cell?.toString("latin1").toLowerCase() ?? "").join("");

/** Numbers, in digits or as two, four or eight bytes, that could be characters. */
function codes(cells: readonly (Buffer | null)[]): string {
  let text = "";
  for (const cell of cells) {
    if (cell === null) continue;
    const digits = /^\d{2,3}$/.test(cell.toString("latin1")) ? Number(cell.toString("latin1")) : undefined;
    const binary = [2, 4, 8].includes(cell.length)
      ? cell.readUIntBE(cell.length > 4 ? 2 : 0, Math.min(cell.length, 6))
      : 0;
    const code = digits ?? binary;
    if (code > 32 && code < 127) text += String.fromCharCode(code).toLowerCase();
  }
  return text;
}

function unescaped(lower: string): string {
  const character = (digits: string, base: number): string => {
    const code = Number.parseInt(digits, base);
    return code < 0x11_0000 ? String.fromCodePoint(code).toLowerCase() : "";
  };
  return lower
    .replace(/\\u\{?([0-9a-f]{4,6})\}?/g, (_, digits: string) => character(digits, 16))
    .replace(/(?:\\x|%|=)([0-9a-f]{2})/g, (_, digits: string) => character(digits, 16))
    .replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => character(digits, 8))
    .replace(/&#x([0-9a-f]{1,6});?/g, (_, digits: string) => character(digits, 16))
    .replace(/&#(\d{1,7});?/g, (_, digits: string) => character(digits, 10));
}

export const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, "·");
