import type { AuditLog, Row } from "./audit-log.ts";
import type { Sent } from "./load.ts";
import { idsIn } from "./target.ts";

/** What the log says of one marked statement: an admission unit each (a Parse and its portal are two). */
export interface Recorded {
  readonly id: string;
  readonly status: string;
  readonly unit: string;
  readonly admitted: boolean;
  readonly forwarded: boolean;
}

export async function recordedCommands(log: AuditLog): Promise<Recorded[]> {
  const rows = await log.ask(
    "SELECT statement, status, unit, admitted_at IS NOT NULL AS admitted, forwarded_at IS NOT NULL AS forwarded FROM commands WHERE statement LIKE '%/* id:%'",
  );
  return rows.flatMap(({ statement, status, unit, admitted, forwarded }) =>
    [...idsIn(String(statement))].map((id) => ({
      id,
      status: String(status),
      unit: String(unit),
      admitted: Boolean(admitted),
      forwarded: Boolean(forwarded),
    })),
  );
}

/** A command that may have had an effect: what ran, or may have run. */
const CONCLUDED = new Set(["ok", "error", "cancelled", "unknown"]);

/** What is wrong between what clients sent, what the log admitted, what arrived at the target, and what is there now. */
export function disagreements(facts: {
  sent: ReadonlyMap<string, Sent>;
  recorded: readonly Recorded[];
  arrived: ReadonlySet<string>;
  /** ids of rows that are in the target's table; once each */
  written: readonly string[];
}): string[] {
  const { sent, arrived } = facts;
  const wrong: string[] = [];
  const recorded = new Map<string, Recorded[]>();
  for (const one of facts.recorded) recorded.set(one.id, [...(recorded.get(one.id) ?? []), one]);
  const written = new Set(facts.written);
  if (written.size !== facts.written.length) wrong.push("a row was written twice");
  for (const id of new Set([...arrived, ...written])) {
    if (!recorded.get(id)?.some((one) => one.admitted)) wrong.push(`${id} reached the target and was not admitted`);
  }
  for (const [id, commands] of recorded) {
    for (const { status, unit, admitted } of commands) {
      if (admitted && !CONCLUDED.has(status)) wrong.push(`${id} (${unit}) was admitted and is ${status}`);
    }
    const ran = commands.filter((one) => one.unit !== "parse");
    if (ran.length > 1) wrong.push(`${id} is recorded ${ran.length} times`);
    const isSaid = (status: string): boolean => ran.some((one) => one.status === status);
    if (isSaid("ok") && sent.get(id)?.writes === true && !written.has(id))
      wrong.push(`${id} is ok in the log and has not run`);
    if (written.has(id) && !isSaid("ok") && !isSaid("unknown")) wrong.push(`${id} has run and is not said to`);
  }
  for (const { id, outcome, code, writes } of sent.values()) {
    const commands = recorded.get(id) ?? [];
    if (outcome === "ok" && !commands.some((one) => one.status === "ok"))
      wrong.push(`${id} came back well and is not ok in the log`);
    if (outcome === "ok" && writes && !written.has(id)) wrong.push(`${id} came back well and has not run`);
    if (
      outcome === "refused" &&
      code === "58000" &&
      (written.has(id) || commands.some((one) => one.forwarded && one.unit !== "parse"))
    ) {
      wrong.push(`${id} was refused and forwarded`);
    }
  }
  return wrong;
}

/** What is missing, double or out of order in the log itself. `ends`: last sequence of each stream on the bus. */
export async function faultsOfLog(log: AuditLog, ends: Readonly<Record<string, number>>): Promise<string[]> {
  const wrong: string[] = [];
  const complain = (rows: readonly Row[], say: (row: Row) => string): void => void wrong.push(...rows.map(say));
  complain(
    await log.ask(
      "SELECT session_id, count() AS n, uniqExact(seq) AS different, min(seq) AS first, max(seq) AS last FROM event_log WHERE session_id != '' AND stream != 'EVENTS' GROUP BY session_id HAVING n != different OR first != 1 OR last != n",
    ),
    (row) => `session ${String(row["session_id"])}: ${JSON.stringify(row)}`,
  );
  complain(
    await log.ask(
      "SELECT edge, lane, epoch, uniqExact(batch_no) AS n, min(batch_no) AS first, max(batch_no) AS last FROM event_log WHERE edge != '' GROUP BY edge, lane, epoch HAVING first != 1 OR last != n",
    ),
    (row) => `batches ${JSON.stringify(row)}`,
  );
  complain(
    await log.ask(
      "SELECT stream, stream_seq, idx, count() AS n FROM event_log GROUP BY stream, stream_seq, idx HAVING n > 1 LIMIT 5",
    ),
    (row) => `twice in the log: ${JSON.stringify(row)}`,
  );
  complain(
    await log.ask(
      "SELECT count() AS n, uniqExact(ord) AS different, max(ord) AS last FROM event_log HAVING n != different OR last != n",
    ),
    (row) => `order: ${JSON.stringify(row)}`,
  );
  complain(
    await log.ask("SELECT kind, detail FROM gaps WHERE kind NOT IN ('session-lost') LIMIT 5"),
    (row) => `evidence: ${JSON.stringify(row)}`,
  );
  const taken = await log.ask(
    "SELECT stream, max(stream_seq) AS last, uniqExact(stream_seq) AS n FROM event_log GROUP BY stream",
  );
  for (const [stream, end] of Object.entries(ends)) {
    const row = taken.find((one) => one["stream"] === stream);
    const last = Number(row?.["last"] ?? 0);
    if (last < end) wrong.push(`${stream} ends at ${end}, the log at ${last}`);
    if (Number(row?.["n"] ?? 0) !== last) wrong.push(`${stream}: messages are missing: ${JSON.stringify(row)}`);
  }
  return wrong;
}
