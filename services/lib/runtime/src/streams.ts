/** How EVENTS, FRAMES, COUNTS and the snapshots are kept. The launcher (and tests) create them; nobody else may. */
import { DiscardPolicy, jetstreamManager, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import {
  COUNTS_ALL,
  COUNTS_STREAM,
  EVENTS_ALL,
  EVENTS_STREAM,
  framesAll,
  framesStream,
  SNAPSHOT_BUCKET,
} from "@sallyport/proto/subjects";

type Wanted = Partial<StreamConfig> & { name: string };
const dayNanos = 24 * 3_600 * 1e9;

/** Nothing is ever removed from EVENTS: every state is a fold over it. */
export const eventsStreamConfig = (replicas = 1): Wanted => ({
  name: EVENTS_STREAM,
  subjects: [EVENTS_ALL],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  num_replicas: replicas,
  duplicate_window: 120 * 1e9,
  deny_delete: true,
  deny_purge: true,
  max_msg_size: 8 * 1024 * 1024,
});

/** Full means fail closed (`discard: new`). `audit` purges what is in ClickHouse. */
export const framesStreamConfig = (partition: number, maxBytes: number, replicas = 1): Wanted => ({
  name: framesStream(partition),
  subjects: [framesAll(partition)],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  num_replicas: replicas,
  max_bytes: maxBytes,
  max_msg_size: 1024 * 1024,
  duplicate_window: 1e9,
});

/** The JetStream form of a KV bucket (ADR-8 of nats-architecture-and-design): the last value of each key. */
export const snapshotsStreamConfig = (replicas = 1): Wanted => ({
  name: `KV_${SNAPSHOT_BUCKET}`,
  subjects: [`$KV.${SNAPSHOT_BUCKET}.>`],
  max_msgs_per_subject: 1,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  num_replicas: replicas,
  allow_rollup_hdrs: true,
  deny_delete: true,
  allow_direct: true,
  max_msg_size: 8 * 1024 * 1024,
  max_age: 365 * dayNanos,
});

/** The last value of each subject, for as long as it counts. Lost, an hour's limits begin anew. */
const countsStreamConfig = (replicas = 1): Wanted => ({
  name: COUNTS_STREAM,
  subjects: [COUNTS_ALL],
  max_msgs_per_subject: 1,
  max_age: 62 * 60 * 1e9,
  storage: StorageType.File,
  discard: DiscardPolicy.Old,
  num_replicas: replicas,
  max_bytes: 256 * 1024 * 1024,
  max_msg_size: 1024 * 1024,
});

/** Creates what is missing and leaves alone what exists. */
export async function ensureStreams(
  nc: NatsConnection,
  {
    partitions = 1,
    maxFramesBytes = 4 * 1024 ** 3,
    replicas = 1,
  }: { partitions?: number; maxFramesBytes?: number; replicas?: number } = {},
): Promise<void> {
  const manager = await jetstreamManager(nc);
  const existing = new Set<string>();
  for await (const name of manager.streams.names()) existing.add(name);
  const frames = Array.from({ length: partitions }, (_, partition) =>
    framesStreamConfig(partition, maxFramesBytes, replicas),
  );
  const kept = [eventsStreamConfig(replicas), snapshotsStreamConfig(replicas), countsStreamConfig(replicas)];
  for (const wanted of [...kept, ...frames]) {
    if (!existing.has(wanted.name)) await manager.streams.add(wanted);
  }
}
