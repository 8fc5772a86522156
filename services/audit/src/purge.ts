import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { framesStream } from "@sallyport/proto/subjects";
import type { Logger } from "@sallyport/runtime";
import type { Session } from "./clickhouse/clickhouse.ts";
import { literal } from "./clickhouse/literal.ts";
import type { Progress } from "./progress.ts";

export interface PurgeSettings {
  /** what is in the log stays on the bus as well for so long */
  keepHours: number;
  /** ... unless the stream is fuller than this part of its limit: a full stream stops the gateway */
  purgeAbove: number;
}

const EVERY_MS = 5_000;

/**
 * Takes off the bus what is in the log. Only FRAMES, only what this process has seen committed: the bus's other reader is
 * nobody.
 */
export function startPurging(parts: {
  nc: NatsConnection;
  session: Session;
  progress: Progress;
  partitions: number;
  settings: PurgeSettings;
  log: Logger;
  signal: AbortSignal;
}): void {
  const { nc, progress, partitions, log, signal } = parts;
  const manager = jetstreamManager(nc, { checkAPI: false });
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    void (async () => {
      for (let n = 0; n < partitions; n++)
        await purgeStream(await manager, framesStream(n), progress.committed(framesStream(n)), parts);
    })()
      .catch((error: unknown) => log.warn({ err: error }, "the bus could not be relieved of what is in the log"))
      .finally(() => (busy = false));
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** @returns how many messages went */
export async function purgeStream(
  manager: JetStreamManager,
  stream: string,
  committed: number,
  parts: { session: Session; settings: PurgeSettings; log: Logger },
): Promise<number> {
  if (committed === 0) return 0;
  const { state, config } = await manager.streams.info(stream);
  const full = config.max_bytes > 0 && state.bytes > config.max_bytes * parts.settings.purgeAbove;
  const upTo = full
    ? committed
    : await lastBefore(parts.session, stream, state.first_seq, committed, parts.settings.keepHours);
  if (upTo < state.first_seq) return 0;
  const { purged } = await manager.streams.purge(stream, { seq: upTo + 1 });
  parts.log.info({ stream, upTo, purged, full }, "messages that are in the log were taken off the bus");
  return purged;
}

/** Last committed sequence that is older than the retention; 0: none. */
async function lastBefore(
  session: Session,
  stream: string,
  first: number,
  committed: number,
  keepHours: number,
): Promise<number> {
  const [row] = await session.rows<{ seq: number }>(
    `SELECT max(stream_seq) AS seq FROM storage.event_log
     WHERE stream = ${literal(stream)} AND stream_seq BETWEEN ${first} AND ${committed} AND bus_time < now64(6) - INTERVAL ${Math.round(keepHours * 3600)} SECOND`,
  );
  return row?.seq ?? 0;
}
