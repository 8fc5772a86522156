import type { Cells } from "./marks.ts";

/** Cells as a person reads them. */

const TEXTS = new Set([18, 19, 25, 114, 142, 705, 1042, 1043]);

/** Of the types that cases need; undefined for all others. Section 54.7 and the types' send functions. */
export function textOf(cell: Buffer, type: number): string | undefined {
  if (TEXTS.has(type)) return cell.toString("utf8");
  switch (type) {
    case 16:
      return cell[0] === 1 ? "t" : "f";
    case 20:
      return String(cell.readBigInt64BE());
    case 21:
      return String(cell.readInt16BE());
    case 23:
      return String(cell.readInt32BE());
    case 26:
      return String(cell.readUInt32BE());
    case 3802:
      return cell.subarray(1).toString("utf8");
    default:
      return undefined;
  }
}

/** Rows of COPY data, text or csv with plain options. */
export function parseCopyRows(data: Buffer, format: "text" | "csv"): Cells {
  if (data.length === 0) return [];
  const text = data.toString("utf8");
  return format === "text" ? text.replace(/\n$/, "").split("\n").map(textRow) : csvRows(text);
}

const ESCAPES: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };

function textRow(line: string): (Buffer | null)[] {
  return line
    .split("\t")
    .map((cell) => (cell === "\\N" ? null : Buffer.from(cell.replace(/\\(.)/gs, (_, c: string) => ESCAPES[c] ?? c))));
}

function csvRows(text: string): (Buffer | null)[][] {
  const rows: (Buffer | null)[][] = [];
  let row: (Buffer | null)[] = [];
  for (const [, quoted, bare, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    if (end === "" && quoted === undefined && bare === "" && row.length === 0) break;
    row.push(
      quoted === undefined ? (bare === "" ? null : Buffer.from(bare!)) : Buffer.from(quoted.replaceAll('""', '"')),
    );
    if (end === ",") continue;
    rows.push(row);
    row = [];
    if (end === "") break;
  }
  return rows;
}
