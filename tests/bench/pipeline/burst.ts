/** Many small commands at once, and what the log's ingestion makes of them. */
import type { Bus, Recorded } from "../bus.ts";
import type { Sallyport } from "../contenders/sallyport.ts";
import { runPgbench } from "../pgbench.ts";
import { recordsInLog, untilIngested } from "./log-position.ts";

const DEADLINE_MS = 180_000;
/** Until the last lazy record of the closed sessions is on the bus, too. */
const LAST_RECORDS_MS = 100;

export interface BurstFigures {
  readonly commands: number;
  readonly tps: number;
  readonly recorded: Recorded;
  /** rows of `event_log` for the same messages */
  readonly inLog: number;
  /** from pgbench's end until the last of them was there */
  readonly drainSeconds: number;
}

/** With audit at work all the time: how far it lags when the burst ends. */
export async function measureDrain(sallyport: Sallyport, bus: Bus, seconds: number): Promise<BurstFigures> {
  const after = await bus.lastSequence();
  const run = await pgbench(sallyport, seconds);
  const ended = performance.now();
  await pause(LAST_RECORDS_MS);
  const last = await bus.lastSequence();
  await untilIngested(sallyport, last, 50, DEADLINE_MS);
  const drainSeconds = (performance.now() - ended) / 1000;
  return { ...run, ...(await count(sallyport, bus, after, last)), drainSeconds };
}

/** With audit halted during the burst: how fast it takes in what has piled up, with the machine to itself. */
export async function measureIngest(
  sallyport: Sallyport,
  bus: Bus,
  seconds: number,
): Promise<BurstFigures & { recordsPerSecond: number }> {
  const audit = sallyport.auditPid();
  const after = await bus.lastSequence();
  process.kill(audit, "SIGSTOP");
  let run: Awaited<ReturnType<typeof pgbench>>;
  try {
    run = await pgbench(sallyport, seconds);
    await pause(LAST_RECORDS_MS);
  } finally {
    process.kill(audit, "SIGCONT");
  }
  const started = performance.now();
  const last = await bus.lastSequence();
  await untilIngested(sallyport, last, 50, DEADLINE_MS);
  const drainSeconds = (performance.now() - started) / 1000;
  const counted = await count(sallyport, bus, after, last);
  return { ...run, ...counted, drainSeconds, recordsPerSecond: counted.recorded.records / drainSeconds };
}

async function pgbench(sallyport: Sallyport, seconds: number) {
  const run = await runPgbench({ env: sallyport.env(false), mode: "simple", clients: 32, seconds });
  return { commands: run.transactions, tps: run.tps };
}

async function count(sallyport: Sallyport, bus: Bus, after: number, last: number) {
  return { recorded: await bus.recorded(after, last), inLog: await recordsInLog(sallyport.log, after, last) };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
