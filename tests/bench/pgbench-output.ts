/** What pgbench prints at its end (PostgreSQL 15 to 18), as far as the tables need it. */
export interface PgbenchResult {
  readonly transactions: number;
  readonly failed: number;
  /** ms */
  readonly latency: number;
  /** ms, all clients */
  readonly connecting: number;
  /** without the initial connections */
  readonly tps: number;
}

/** Throws when a figure is missing: a run that did not finish must not count as a slow one. */
export function parsePgbench(output: string): PgbenchResult {
  const figure = (what: string, pattern: RegExp): number => {
    const found = pattern.exec(output)?.[1];
    if (found === undefined) throw new Error(`pgbench printed no ${what}:\n${output.trim()}`);
    return Number(found);
  };
  return {
    transactions: figure("transactions", /^number of transactions actually processed: (\d+)/m),
    failed: figure("failed transactions", /^number of failed transactions: (\d+)/m),
    latency: figure("latency", /^latency average = ([\d.]+) ms$/m),
    connecting: figure("connection time", /^initial connection time = ([\d.]+) ms$/m),
    tps: figure("tps", /^tps = ([\d.]+) \(without initial connection time\)$/m),
  };
}
