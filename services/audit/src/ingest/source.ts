import { jetstream, jetstreamManager, DeliverPolicy } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { EVENTS_STREAM, frames, framesStream } from "@sallyport/proto/subjects";
import type { StreamNow } from "./position.ts";

/** One message of the bus, as ingestion takes it. */
export interface BusMessage {
  stream: string;
  sequence: number;
  /** the bus's clock, microseconds since 1970 */
  timeUs: number;
  isEvent: boolean;
  data: Buffer;
  /** W3C traceparent of a command in it; empty: none is traced */
  traceparent: string;
  /** Is that lane this message's subject? An edge may publish on its own lanes only, and this is what the bus checked. */
  mayCarry(edge: string, lane: number): boolean;
}

export interface MessageSource {
  /** All streams that are ingested, as they are now. */
  streams(): Promise<StreamNow[]>;
  /** In order, without repeats, from that sequence on, until `signal` is aborted. */
  read(stream: string, from: number, signal: AbortSignal): AsyncIterable<BusMessage>;
}

/** Bytes that may wait in memory between the bus and ingestion, for each stream. */
const PREFETCH_BYTES = 16 * 1024 * 1024;
/** A server that was restarted has forgotten its ephemeral consumers and says nothing: two missing heartbeats tell. */
const HEARTBEAT_MS = 1_000;
const PULL_MS = 10_000;

/** All streams that are ingested. `partitions`: how many FRAMES streams there are. */
export function streamNames(partitions: number): string[] {
  return [EVENTS_STREAM, ...Array.from({ length: partitions }, (_, n) => framesStream(n))];
}

export function natsSource(nc: NatsConnection, partitions: number): MessageSource {
  const names = streamNames(partitions);
  return {
    streams: async () => {
      const manager = await jetstreamManager(nc, { checkAPI: false });
      return Promise.all(
        names.map(async (name) => {
          const info = await manager.streams.info(name);
          return { name, created: info.created, lastSequence: info.state.last_seq };
        }),
      );
    },
    read: (stream, from, signal) => readStream(nc, stream, from, signal),
  };
}

async function* readStream(
  nc: NatsConnection,
  stream: string,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<BusMessage> {
  const consumer = await jetstream(nc, { checkAPI: false }).consumers.get(stream, {
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: from,
  });
  const messages = await consumer.consume({
    max_bytes: PREFETCH_BYTES,
    expires: PULL_MS,
    idle_heartbeat: HEARTBEAT_MS,
  });
  const stop = (): void => messages.stop();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const isEvent = stream === EVENTS_STREAM;
  const partition = isEvent ? 0 : Number(stream.slice(stream.lastIndexOf("_") + 1));
  try {
    for await (const message of messages) {
      const { data, subject } = message;
      yield {
        stream,
        sequence: message.seq,
        timeUs: Math.floor(message.info.timestampNanos / 1000),
        isEvent,
        data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
        traceparent: message.headers?.get("traceparent") ?? "",
        mayCarry: (edge, lane) => subject === frames(partition, edge, lane),
      };
    }
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
  }
}
