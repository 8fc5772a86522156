import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { StatusResponse } from "@sallyport/proto/audit";
import { EVENTS_STREAM, framesStream } from "@sallyport/proto/subjects";
import type { ClickHouse } from "./clickhouse/clickhouse.ts";
import type { Progress } from "./progress.ts";

export interface StatusReader {
  read(): Promise<StatusResponse>;
}

/** How the log stands: beside what it holds, how far it is behind the bus. */
export function statusReader(parts: {
  nc: NatsConnection;
  clickhouse: ClickHouse;
  progress: Progress;
  partitions: number;
  durability: string;
}): StatusReader {
  return {
    read: async () => {
      const manager = await jetstreamManager(parts.nc, { checkAPI: false });
      const frames = Array.from({ length: parts.partitions }, (_, n) => framesStream(n));
      const infos = await Promise.all([EVENTS_STREAM, ...frames].map((name) => manager.streams.info(name)));
      const behind = infos.map((info) => Math.max(0, info.state.last_seq - parts.progress.committed(info.config.name)));
      const [counts] = await parts.clickhouse.read.rows<{ records: number }>(
        "SELECT count() AS records FROM storage.event_log",
      );
      const [gaps] = await parts.clickhouse.read.rows<{ gaps: number }>(
        "SELECT countIf(kind = 'gap-found') AS gaps FROM storage.event_facts FINAL WHERE kind = 'gap-found'",
      );
      const lagMessages = behind.reduce((sum, n) => sum + n, 0);
      const ofFrames = infos.filter((info) => info.config.name !== EVENTS_STREAM);
      return {
        records: counts?.records ?? 0,
        lagMessages,
        lagMs: lagMessages === 0 ? 0 : parts.progress.lagMs(Date.now()),
        clickhouse: parts.clickhouse.version,
        durability: parts.durability,
        gaps: gaps?.gaps ?? 0,
        storedBytes: ofFrames.reduce((sum, info) => sum + info.state.bytes, 0),
        limitBytes: ofFrames.reduce((sum, info) => sum + Math.max(0, info.config.max_bytes), 0),
      };
    },
  };
}
