/** How answers are printed. Data goes to standard output; everything said to a person goes to standard error. */
export const FORMATS = ["table", "json", "csv"] as const;
export type Format = (typeof FORMATS)[number];

export type Cell = string | number | boolean | null | readonly Cell[] | { readonly [key: string]: Cell };

export interface Printer {
  readonly format: Format;
  /** Rows under their columns; `json` prints an array of objects, `csv` follows RFC 4180. */
  rows(columns: readonly string[], rows: readonly (readonly Cell[])[]): void;
  /** One thing: a list of names and values. */
  record(record: Readonly<Record<string, Cell>>): void;
  line(text: string): void;
  say(text: string): void;
  readonly paint: Paint;
}

export interface Paint {
  dim(text: string): string;
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

export function createPrinter(format: Format, out: NodeJS.WriteStream, err: NodeJS.WriteStream): Printer {
  const paint = paintFor(out);
  const write = (line: string): void => void out.write(line + "\n");
  return {
    format,
    paint,
    line: write,
    say: (line) => void err.write(line + "\n"),
    rows(columns, rows) {
      if (format === "json") write(json(rows.map((row) => objectOf(columns, row))));
      else if (format === "csv") write([columns, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n"));
      else write(table(columns, rows, paint));
    },
    record(record) {
      if (format === "json") write(json(record));
      else if (format === "csv") this.rows(Object.keys(record), [Object.values(record)]);
      else {
        const width = Math.max(0, ...Object.keys(record).map((key) => key.length));
        for (const [key, value] of Object.entries(record))
          write(`${paint.dim(key.padEnd(width))}  ${visible(text(value))}`);
      }
    },
  };
}

function paintFor(stream: NodeJS.WriteStream): Paint {
  const on = stream.isTTY && process.env["NO_COLOR"] === undefined && process.env["TERM"] !== "dumb";
  const code = (open: number, close: number) => (value: string) =>
    on ? `\u001b[${open}m${value}\u001b[${close}m` : value;
  return { dim: code(2, 22), bold: code(1, 22), red: code(31, 39), green: code(32, 39), yellow: code(33, 39) };
}

function objectOf(columns: readonly string[], row: readonly Cell[]): Record<string, Cell> {
  return Object.fromEntries(columns.map((column, index) => [column, row[index] ?? null]));
}

function table(columns: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const cells = rows.map((row) => columns.map((_, index) => visible(text(row[index] ?? null))));
  const widths = columns.map((column, index) => Math.max(column.length, ...cells.map((row) => row[index]!.length)));
  const numeric = columns.map((_, index) => rows.length > 0 && rows.every((row) => typeof row[index] === "number"));
  const lay = (row: readonly string[]): string =>
    row
      .map((cell, index) => (numeric[index] ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)))
      .join("  ")
      .trimEnd();
  const head = paint.bold(lay(columns));
  const rule = paint.dim(widths.map((width) => "─".repeat(width)).join("  "));
  return [head, rule, ...cells.map(lay)].join("\n");
}

function text(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "string") return cell;
  if (typeof cell === "number" || typeof cell === "boolean") return String(cell);
  if (isList(cell)) return cell.map(text).join(", ");
  return JSON.stringify(cell);
}

function isList(cell: Cell): cell is readonly Cell[] {
  return Array.isArray(cell);
}

/** What a terminal obeys, or what changes how the text around it reads: controls, directions, invisible characters. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Values come from outside: control characters (an escape sequence, a line break) are shown, not obeyed. */
export function visible(value: string): string {
  return value.replace(UNSEEN, (c) => {
    if (c === "\n") return "⏎";
    if (c === "\t") return " ";
    const code = c.codePointAt(0)!.toString(16);
    return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
  });
}

/** JSON, with what a terminal would obey as escapes: it says the same. */
function json(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(UNSEEN, (c) => {
    if (c === "\n") return c;
    return Array.from({ length: c.length }, (_, i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");
  });
}

function csvCell(cell: Cell): string {
  const value = text(cell);
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

export const when = (ms: number): string => (ms === 0 ? "" : new Date(ms).toISOString().replace("T", " ").slice(0, 19));
