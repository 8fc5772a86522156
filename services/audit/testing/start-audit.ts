/** A whole audit in the test's process: real NATS, the real engine, callers as the test says. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type ClickHouse, openClickHouse } from "../src/clickhouse/clickhouse.ts";
import { migrate } from "../src/clickhouse/migrate.ts";
import { makeViews } from "../src/clickhouse/views.ts";
import { ChainCheck } from "../src/ingest/chain-check.ts";
import { Evidence } from "../src/ingest/evidence.ts";
import { defaultIngestSettings, Ingester, type IngestSettings } from "../src/ingest/ingester.ts";
import { natsSource } from "../src/ingest/source.ts";
import { VerdictKeys } from "../src/ingest/verdict-mac.ts";
import { Progress } from "../src/progress.ts";
import { Projector } from "../src/projections/projector.ts";
import { Growth } from "../src/replay/tail.ts";
import { createLogger, type Logger } from "@sallyport/runtime";

export interface TestAudit {
  nc: NatsConnection;
  clickhouse: ClickHouse;
  ingester: Ingester;
  projector: Projector;
  chains: ChainCheck;
  evidence: Evidence;
  growth: Growth;
  progress: Progress;
  /** Resolves when everything that is on the bus now is in the log and in the projections. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export const silent: Logger = createLogger({
  service: "audit",
  instance: "audit",
  log: { level: process.env["TEST_LOG_LEVEL"] ?? "silent" },
} as never);

/** One data directory a process: every test file has one engine, on one folder. */
export async function openTestClickHouse(): Promise<{
  clickhouse: ClickHouse;
  folder: string;
  remove(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-audit-"));
  const clickhouse = await openClickHouse({ kind: "embedded", folder });
  await migrate(clickhouse.work);
  await makeViews(clickhouse.work);
  return {
    clickhouse,
    folder,
    remove: async () => {
      await clickhouse.close();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export async function startTestAudit(
  nats: string,
  clickhouse: ClickHouse,
  settings: Partial<IngestSettings> = {},
  verdictKeys: ReadonlyMap<string, Buffer> = new Map(),
): Promise<TestAudit> {
  const nc = await connect({ servers: nats });
  const stop = new AbortController();
  const { signal } = stop;
  const growth = new Growth();
  const progress = new Progress();
  const projector = new Projector(clickhouse.work, silent);
  await projector.open();
  const evidence = new Evidence({
    nc,
    session: clickhouse.work,
    projected: () => projector.reached(growth.ord),
    log: silent,
    signal,
  });
  const all = { ...defaultIngestSettings, flushMs: 20, gapWaitMs: 300, ...settings };
  const chains = new ChainCheck({ session: clickhouse.work, evidence, log: silent, gapWaitMs: all.gapWaitMs });
  await chains.open();
  const ingester = new Ingester({
    clickhouse,
    source: natsSource(nc, 1),
    evidence,
    verdictKeys: new VerdictKeys(verdictKeys),
    settings: all,
    log: silent,
    positioned: (stream, sequence) => progress.reached(stream, sequence, 0),
    committed: (block) => {
      for (const [stream, sequence] of block.reached) progress.reached(stream, sequence, block.busTimeUs);
      growth.grown(block.ord);
      projector.grown(block.ord, block.kinds);
      chains.grown(block.ord);
    },
  });
  const running = [ingester.run(signal), projector.run(signal)];
  const source = natsSource(nc, 1);
  return {
    nc,
    clickhouse,
    ingester,
    projector,
    chains,
    evidence,
    growth,
    progress,
    settled: async () => {
      for (const stream of await source.streams()) {
        while (progress.committed(stream.name) < stream.lastSequence)
          await growth.beyond(growth.ord, AbortSignal.timeout(50));
      }
      await projector.reached(growth.ord);
    },
    stop: async () => {
      stop.abort();
      await Promise.all(running);
      await nc.drain();
    },
  };
}
