import type { Find } from "./marks.ts";
import { parseCopyRows } from "./cells.ts";
import { hiddenFrom, login } from "./place.ts";
import type { RandomStatement, Way } from "./random-statements.ts";
import { bytesOf } from "./run-case.ts";
import { cellsOf, extended, fieldsOf, query, sync, type Message, type WireClient } from "./wire-client.ts";

/** Runs random statements on some sessions at once, a few of them on their way at any time, and searches every answer. */

export interface Totals {
  queries: number;
  rows: number;
  cells: number;
  /** cells of text or more that are neither NULL nor a masked value: what people could work with */
  readonly outcomes: Map<string, number>;
  readonly leaks: { statement: RandomStatement; as: Session; finds: readonly Find[] }[];
  /** sessions that ended by themselves */
  readonly ended: string[];
}

interface Session {
  readonly account: string;
  readonly connection: string;
}

const SESSIONS: readonly Session[] = [
  { account: "engineer", connection: "lab" },
  { account: "engineer", connection: "open" },
  { account: "dba", connection: "lab" },
  { account: "contractor", connection: "lab" },
  { account: "engineer", connection: "lab" },
  { account: "engineer", connection: "lab" },
];
/** statements that are sent together */
const TOGETHER = 5;
/** after so many a session is exchanged: what a session has learnt is not to hide anything from the next */
const PER_LOGIN = 400;

export const newTotals = (): Totals => ({ queries: 0, rows: 0, cells: 0, outcomes: new Map(), leaks: [], ended: [] });

export async function runAll(next: () => RandomStatement | undefined, totals: Totals): Promise<void> {
  await Promise.all(SESSIONS.map((as) => runOne(as, next, totals)));
}

async function runOne(as: Session, next: () => RandomStatement | undefined, totals: Totals): Promise<void> {
  let client: WireClient | undefined;
  for (let done = 0; totals.leaks.length === 0; done += TOGETHER) {
    const batch: RandomStatement[] = [];
    while (batch.length < TOGETHER) {
      const statement = next();
      if (statement === undefined) break;
      batch.push(statement);
    }
    if (batch.length === 0) break;
    if (client === undefined || client.closed || done >= PER_LOGIN) {
      client?.close();
      client = await login(as.account, as.connection);
      done = 0;
    }
    await runBatch(as, client, batch, totals);
  }
  client?.close();
}

async function runBatch(
  as: Session,
  client: WireClient,
  batch: readonly RandomStatement[],
  totals: Totals,
): Promise<void> {
  const reads = batch.filter(({ writes }) => !writes);
  const turns = reads.map(turnsOf);
  const answers = reads.length === 0 ? [] : await client.pipeline(turns.flat());
  for (const [at, statement] of reads.entries()) {
    take(as, statement, answers.splice(0, turns[at]!.length).flat(), totals);
  }
  for (const statement of batch.filter(({ writes }) => writes)) {
    // Nothing is written outside a transaction: a BEGIN can be refused, when the rules change on its way.
    const begun = await client.pipeline([query("BEGIN")]);
    if (begun.flat().some(({ type }) => type === "E")) continue;
    take(as, statement, (await client.pipeline([...turnsOf(statement), query("ROLLBACK")])).flat(), totals);
  }
  if (client.closed) totals.ended.push(`${as.account}@${as.connection}: ${batch.map(({ sql }) => sql).join("\n")}`);
}

/** One statement alone: does it leak? Used to shorten what was found. */
export async function leaks(as: Session, statement: RandomStatement): Promise<boolean> {
  const client = await login(as.account, as.connection);
  const totals = newTotals();
  await runBatch(as, client, [statement], totals);
  client.close();
  return totals.leaks.length > 0;
}

function take(as: Session, statement: RandomStatement, messages: readonly Message[], totals: Totals): void {
  const error = messages.find(({ type }) => type === "E");
  const outcome = error === undefined ? "passed" : (fieldsOf(error)["C"] ?? "?");
  const copied = Buffer.concat(messages.filter(({ type }) => type === "d").map(({ body }) => body));
  const cells = [...messages.filter(({ type }) => type === "D").map(cellsOf), ...copiedCells(statement.way, copied)];
  totals.queries++;
  totals.rows += cells.length;
  totals.cells += cells.reduce((sum, row) => sum + row.length, 0);
  totals.outcomes.set(outcome, (totals.outcomes.get(outcome) ?? 0) + 1);
  const marks = hiddenFrom(as.account);
  const finds = [...marks.inBytes(bytesOf(messages)), ...marks.inCells(cells)];
  if (finds.length > 0) totals.leaks.push({ statement, as, finds });
}

function copiedCells(way: Way, copied: Buffer): ReturnType<typeof parseCopyRows> {
  if (way === "copy") return parseCopyRows(copied, "text");
  return way === "copy-csv" ? parseCopyRows(copied, "csv") : [];
}

function turnsOf({ sql, way, writes }: RandomStatement): Buffer[] {
  const inside = waysOf(sql, way);
  return !writes && way === "cursor" ? [query("BEGIN"), ...inside, query("ROLLBACK")] : inside;
}

function waysOf(sql: string, way: Way): Buffer[] {
  switch (way) {
    case "simple":
      return [query(sql)];
    case "text":
      return [Buffer.concat([extended(sql, [], 0), sync])];
    case "binary":
      return [Buffer.concat([extended(sql, [], 1), sync])];
    case "copy":
      return [query(`COPY (${sql}) TO STDOUT`)];
    case "copy-csv":
      return [query(`COPY (${sql}) TO STDOUT WITH (FORMAT csv, HEADER)`)];
    case "copy-binary":
      return [query(`COPY (${sql}) TO STDOUT WITH (FORMAT binary)`)];
    case "cursor":
      return [query(`DECLARE c CURSOR FOR ${sql}`), query("FETCH ALL FROM c")];
    case "execute":
      return [query(`PREPARE p AS ${sql}`), query("EXECUTE p"), query("DEALLOCATE ALL")];
    case "explain":
      return [query(`EXPLAIN (ANALYZE, VERBOSE) ${sql}`)];
    default:
      return way satisfies never;
  }
}
