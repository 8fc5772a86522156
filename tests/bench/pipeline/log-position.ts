import type { Sallyport } from "../contenders/sallyport.ts";
import { framesStream } from "@sallyport/proto/subjects";

type Log = Sallyport["log"];

const STREAM = framesStream(0);

/**
 * Waits until the message with that sequence is in ClickHouse, as audit's own metric says: asking the log so often would
 * take from it the time that is measured. Rejects after `deadlineMs`.
 */
export async function untilIngested(
  sallyport: Pick<Sallyport, "metricsUrl">,
  sequence: number,
  everyMs: number,
  deadlineMs: number,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const reached = await ingestedUpTo(sallyport.metricsUrl("audit"));
    if (reached >= sequence) return;
    if (performance.now() > deadline) throw new Error(`only message ${reached} of ${sequence} is in ClickHouse`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Records in ClickHouse from messages behind `after` up to `last`. */
export async function recordsInLog(log: Log, after: number, last: number): Promise<number> {
  const rows = await log.ask(
    "SELECT count() AS n FROM event_log WHERE stream = {stream:String} AND stream_seq > {after:UInt64} AND stream_seq <= {last:UInt64}",
    { stream: STREAM, after: String(after), last: String(last) },
  );
  return Number(rows[0]?.["n"] ?? 0);
}

const POSITION = new RegExp(`^sallyport_audit_position\\{[^}]*stream="${STREAM}"[^}]*\\} (\\S+)`, "m");

async function ingestedUpTo(metricsUrl: string): Promise<number> {
  const metrics = await (await fetch(metricsUrl)).text();
  return Number(POSITION.exec(metrics)?.[1] ?? Number.NaN);
}
