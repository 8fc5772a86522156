import { createPrinter } from "@sallyport/cli/output";
import type { Tell } from "./scene.ts";

export interface Teller extends Tell {
  title(text: string): void;
  failed(text: string): void;
}

const MAX_LINES = 24;
const MAX_CELL = 72;
/** Rows of more columns are shown one below the other. */
const WIDE = 8;

/**
 * Prints the story; long answers are cut, and say so. Once `signal` is aborted, whoever tells on gets its reason thrown:
 * what a step sees of a gateway that is being stopped is not the story's.
 */
export function createTell(out: NodeJS.WriteStream, signal: AbortSignal): Teller {
  const print = createPrinter("table", out, out);
  const { paint } = print;
  return {
    title: (text) => print.line(`\n${paint.bold(text)}`),
    does(text) {
      signal.throwIfAborted();
      print.line(`  ${paint.yellow(text)}`);
    },
    shows(text) {
      signal.throwIfAborted();
      const lines = text.split("\n");
      for (const line of lines.slice(0, MAX_LINES)) print.line(`    ${line}`);
      if (lines.length > MAX_LINES) print.line(paint.dim(`    … ${lines.length - MAX_LINES} more lines`));
    },
    rows(rows) {
      signal.throwIfAborted();
      if (rows.length === 0) return;
      const columns = Object.keys(rows[0]!);
      print.line(paint.dim("    the log says:"));
      if (columns.length > WIDE) {
        for (const row of rows) {
          const filled = columns
            .map((column) => [column, cell(row[column])] as const)
            .filter(([, value]) => value !== "");
          print.record(Object.fromEntries(filled));
        }
        return;
      }
      print.rows(
        columns,
        rows.map((row) => columns.map((column) => cell(row[column]))),
      );
    },
    failed: (text) => print.line(paint.red(`  ✗ ${text}`)),
  };
}

function cell(value: unknown): string | number {
  if (typeof value === "number") return value;
  const text =
    typeof value === "string"
      ? value
      : Array.isArray(value)
        ? value.join(", ")
        : value === null || value === undefined
          ? ""
          : JSON.stringify(value);
  return text.length > MAX_CELL ? `${text.slice(0, MAX_CELL - 1)}…` : text;
}
