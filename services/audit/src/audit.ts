/** Puts the service together: what depends on what, and in which order it starts and ends. */
import type { NatsConnection } from "@nats-io/transport-node";
import { type Callers, contextOf, gauge, type Runtime, tally } from "@sallyport/runtime";
import { accessEvents } from "./access-events.ts";
import { type ClickHouse, openClickHouse } from "./clickhouse/clickhouse.ts";
import { migrate } from "./clickhouse/migrate.ts";
import { makeViews } from "./clickhouse/views.ts";
import { type AuditConfig, clickhouseLocation, verdictKeys } from "./config.ts";
import { ChainCheck } from "./ingest/chain-check.ts";
import { Evidence } from "./ingest/evidence.ts";
import { Ingester } from "./ingest/ingester.ts";
import { lastOrd } from "./ingest/position.ts";
import { natsSource, streamNames } from "./ingest/source.ts";
import { VerdictKeys } from "./ingest/verdict-mac.ts";
import { Progress } from "./progress.ts";
import { Projector } from "./projections/projector.ts";
import { startPurging } from "./purge.ts";
import { Turns } from "./query/turns.ts";
import { Growth } from "./replay/tail.ts";
import { auditService } from "./service.ts";
import { statusReader } from "./status.ts";

/** @param what `rebuild`: drop what the projections hold, fold the log again, and end */
export async function openAudit(
  runtime: Runtime<AuditConfig>,
  callers: () => Callers,
  what: "serve" | "rebuild",
): Promise<void> {
  const { config, log } = runtime;
  const clickhouse = await openClickHouse(await clickhouseLocation(config, process.env));
  runtime.onShutdown("clickhouse", () => clickhouse.close());
  const run = await migrate(clickhouse.work);
  if (run.length > 0) log.info({ migrations: run }, "the log's schema was brought up to date");
  await makeViews(clickhouse.work);
  await makeDurable(clickhouse, config.durability);
  const projector = new Projector(clickhouse.work, log);
  await projector.open();
  if (what === "rebuild") {
    await projector.rebuild();
    log.info({ ord: projector.folded() }, "the projections were rebuilt from the log");
    await runtime.stop("rebuilt");
    return;
  }
  await serve(runtime, clickhouse, projector, callers(), await runtime.connectNats());
}

/** Where an acknowledgement is to survive a loss of power, so must what is taken off the bus. */
async function makeDurable(clickhouse: ClickHouse, durability: AuditConfig["durability"]): Promise<void> {
  const on = durability === "power-loss" ? 1 : 0;
  await clickhouse.work.run(
    `ALTER TABLE storage.event_log MODIFY SETTING fsync_after_insert = ${on}, fsync_part_directory = ${on}`,
  );
}

async function serve(
  runtime: Runtime<AuditConfig>,
  clickhouse: ClickHouse,
  projector: Projector,
  callers: Callers,
  nc: NatsConnection,
): Promise<void> {
  const { config, log, signal, tracer } = runtime;
  const progress = new Progress();
  const growth = new Growth();
  growth.grown(await lastOrd(clickhouse.ingest));
  const evidence = new Evidence({
    nc,
    session: clickhouse.work,
    projected: () => projector.reached(growth.ord),
    log,
    signal,
  });
  const chains = new ChainCheck({ session: clickhouse.work, evidence, log, gapWaitMs: config.ingest.gapWaitMs });
  await chains.open();
  const ingested = tally(runtime.meter, "sallyport.audit.records", "what");
  const ingester = new Ingester({
    clickhouse,
    source: natsSource(nc, config.partitions),
    evidence,
    verdictKeys: new VerdictKeys(await verdictKeys(config)),
    settings: config.ingest,
    log,
    positioned: (stream, sequence) => progress.reached(stream, sequence, 0),
    committed: (block) => {
      for (const [stream, sequence] of block.reached) progress.reached(stream, sequence, block.busTimeUs);
      ingested.add("rows", block.rows);
      for (const { traceparent, readAtMs } of block.traces) {
        const attributes = { "sallyport.rows": block.rows };
        tracer.startSpan("audit.ingest", { startTime: readAtMs, attributes }, contextOf(traceparent)).end();
      }
      growth.grown(block.ord);
      projector.grown(block.ord, block.kinds);
      chains.grown(block.ord);
    },
  });
  gauge(runtime.meter, "sallyport.audit.ingest_lag", () => ingester.lagSeconds());
  for (const stream of streamNames(config.partitions)) {
    gauge(runtime.meter, "sallyport.audit.position", () => progress.committed(stream), { stream });
  }
  const giveWay = (): boolean => ingester.catchingUp;
  const running = [ingester.run(signal), projector.run(signal, giveWay), chains.run(signal, giveWay)];
  runtime.onShutdown("ingestion", async () => {
    await clickhouse.cancelAll();
    await Promise.allSettled(running);
  });
  startPurging({
    nc,
    session: clickhouse.work,
    progress,
    partitions: config.partitions,
    settings: config.frames,
    log,
    signal,
  });
  const status = statusReader({
    nc,
    clickhouse,
    progress,
    partitions: config.partitions,
    durability: config.durability,
  });
  await runtime.serve({
    public: [
      auditService({
        clickhouse,
        callers,
        access: accessEvents(nc),
        growth,
        status,
        limits: config.query,
        turns: new Turns(config.query.atOnce),
        signal,
      }),
    ],
  });
  runtime.ready({ clickhouse: clickhouse.version });
}
