/** A text as a ClickHouse string literal (https://clickhouse.com/docs/sql-reference/syntax#string). */
export function literal(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\0", "\\0")}'`;
}

/** The zero-based statements of a file of them: each ends with a semicolon at a line's end; lines of `--` are comments. */
export function statementsOf(text: string): string[] {
  return text
    .replace(/^\s*--.*$/gm, "")
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}
