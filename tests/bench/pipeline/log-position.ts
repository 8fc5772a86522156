import type { Sallyport } from "../contenders/sallyport.ts";
import { framesStream } from "@sallyport/proto/subjects";

type Log = Sallyport["log"];

const STREAM = framesStream(0);

/** Waits until the message with that sequence is in ClickHouse. Rejects after `deadlineMs`. */
export async function untilIngested(log: Log, sequence: number, everyMs: number, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const reached = await ingestedUpTo(log);
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

async function ingestedUpTo(log: Log): Promise<number> {
  const rows = await log.ask("SELECT max(stream_seq) AS n FROM event_log WHERE stream = {stream:String}", {
    stream: STREAM,
  });
  return Number(rows[0]?.["n"] ?? 0);
}
