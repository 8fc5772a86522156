/**
 * How fast the log takes records in: `node bench/ingest.ts [seconds]`. Batches of a pgbench-like mix are made beforehand; what
 * is measured is everything from the bus's bytes to the committed part: decoding, columns, hashing, insert, merges. Beside it
 * the projections and the check of the chains, which run behind ingestion.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "../src/threads.ts";
import { createLogger } from "@sallyport/runtime";
import { openClickHouse } from "../src/clickhouse/clickhouse.ts";
import { migrate } from "../src/clickhouse/migrate.ts";
import { makeViews } from "../src/clickhouse/views.ts";
import { ChainCheck } from "../src/ingest/chain-check.ts";
import { defaultIngestSettings, Ingester } from "../src/ingest/ingester.ts";
import type { BusMessage, MessageSource } from "../src/ingest/source.ts";
import { VerdictKeys } from "../src/ingest/verdict-mac.ts";
import { Projector } from "../src/projections/projector.ts";
import { queryRecords, TestLane, TestSession } from "../testing/lane-writer.ts";

const RECORDS = Number(process.argv[2] ?? 1_000_000);
const PER_BATCH = 400;
/** of a record as it is on the bus, bytes */
const ROW_BYTES = 430;

const log = createLogger({ service: "audit", instance: "bench", log: { level: "error" } } as never);
const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-"));
const clickhouse = await openClickHouse({ kind: "embedded", folder });
await migrate(clickhouse.work);
await makeViews(clickhouse.work);
const projector = new Projector(clickhouse.work, log);
await projector.open();
const evidence = {
  gap: fail,
  epochClosed: () => undefined,
  brokenBatch: fail,
  brokenRecord: fail,
  missingRecords: fail,
};
const chains = new ChainCheck({ session: clickhouse.work, evidence, log, gapWaitMs: 60_000 });
await chains.open();

function fail(what: object): never {
  throw new Error(`not expected: ${JSON.stringify(what)}`);
}

/** Batches of 32 sessions' simple queries, repeated with new numbers would not be the same bytes: made one after the other. */
function makeBatches(): Buffer[] {
  const lane = new TestLane("edge-postgres-1");
  const sessions = Array.from(
    { length: 32 },
    (_, n) => new TestSession({ sessionId: `0192f0c1-${String(n).padStart(4, "0")}-7000-8000-000000000000` }),
  );
  const row = Buffer.alloc(ROW_BYTES, 7);
  const commands = sessions.map(() => 0);
  const batches: Buffer[] = [];
  for (let made = 0; made < RECORDS; made += PER_BATCH) {
    const records = [];
    for (let n = 0; records.length < PER_BATCH; n = (n + 1) % sessions.length) {
      const command = (commands[n] = (commands[n] ?? 0) + 1);
      records.push(
        ...queryRecords(
          sessions[n] as TestSession,
          command,
          `SELECT abalance FROM pgbench_accounts WHERE aid = ${command * 17};`,
          "v1",
          row,
        ),
      );
    }
    batches.push(lane.batch(records));
  }
  return batches;
}

const batches = makeBatches();
const bytes = batches.reduce((sum, batch) => sum + batch.length, 0);
const source: MessageSource = {
  streams: async () => [{ name: "FRAMES_0", created: "bench", lastSequence: batches.length }],
  read: async function* (_stream, _from, signal) {
    for (const [i, data] of batches.entries()) {
      const message: BusMessage = {
        stream: "FRAMES_0",
        sequence: i + 1,
        timeUs: Date.now() * 1000,
        isEvent: false,
        traceparent: "",
        data,
        mayCarry: () => true,
      };
      yield message;
    }
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  },
};

let committed = 0;
let done: () => void = () => undefined;
const all = new Promise<void>((resolve) => (done = resolve));
const ingester = new Ingester({
  clickhouse,
  source,
  evidence,
  verdictKeys: new VerdictKeys(new Map()),
  settings: defaultIngestSettings,
  log,
  positioned: () => undefined,
  committed: (block) => {
    committed += block.rows;
    projector.grown(block.ord, block.kinds);
    chains.grown(block.ord);
    if (committed >= RECORDS) done();
  },
});

const stop = new AbortController();
let longestStall = 0;
let last = performance.now();
const watch = setInterval(() => {
  longestStall = Math.max(longestStall, performance.now() - last - 5);
  last = performance.now();
}, 5);
const cpu = process.cpuUsage();
const started = performance.now();
const running = ingester.run(stop.signal);
await all;
const seconds = (performance.now() - started) / 1000;
const used = process.cpuUsage(cpu);
clearInterval(watch);
const cpuSeconds = (used.user + used.system) / 1e6;

async function timed(work: () => Promise<void>): Promise<number> {
  const from = process.cpuUsage();
  await work();
  const to = process.cpuUsage(from);
  return (to.user + to.system) / RECORDS;
}
const projecting = await timed(() => projector.foldAll());
const checking = await timed(async () => {
  while (chains.checked() < RECORDS) await chains.step();
});
stop.abort();
await running;
const [stored] = await clickhouse.work.rows<{ n: number; s: number }>(
  "SELECT count() AS n, uniqExact(session_id, seq) AS s FROM storage.event_log",
);
const [disk] = await clickhouse.work.rows<{ b: number }>(
  "SELECT sum(bytes_on_disk) AS b FROM system.parts WHERE active AND database = 'storage' AND table = 'event_log'",
);
console.log(
  JSON.stringify(
    {
      records: RECORDS,
      bytesPerRecord: Math.round(bytes / RECORDS),
      recordsPerSecond: Math.round(RECORDS / seconds),
      recordsPerCoreSecond: Math.round(RECORDS / cpuSeconds),
      megabytesPerSecond: Math.round(bytes / 1e6 / seconds),
      cpuMicrosPerRecord: Number(((cpuSeconds * 1e6) / RECORDS).toFixed(2)),
      projectionCpuMicrosPerRecord: Number(projecting.toFixed(2)),
      chainCheckCpuMicrosPerRecord: Number(checking.toFixed(2)),
      longestStallMs: Math.round(longestStall),
      residentMiB: Math.round(process.memoryUsage.rss() / 1048576),
      diskBytesPerRecord: Math.round((disk?.b ?? 0) / RECORDS),
      inLog: stored,
    },
    null,
    2,
  ),
);
await clickhouse.close();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
