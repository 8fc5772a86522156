/** Columns as wide as they need to be; figures to the right. The first row is the head. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const line = (row: readonly string[]): string =>
    widths
      .map((width, i) => (isFigure(rows, i) ? (row[i] ?? "").padStart(width) : (row[i] ?? "").padEnd(width)))
      .join("  ")
      .trimEnd();
  const [head, ...body] = rows;
  if (head === undefined) return "";
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...body.map(line)].join("\n");
}

function isFigure(rows: readonly (readonly string[])[], column: number): boolean {
  return rows.slice(1).every((row) => /^(|–|[-+]?[\d.,]+( ?[%×])?)$/.test(row[column] ?? ""));
}

/** Three digits that count, thousands marked. NaN and undefined are a dash. */
export function figure(value: number | undefined, digits?: number): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  const decimals = digits ?? (Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
