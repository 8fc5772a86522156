import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { EVENTS_STREAM, frames, framesStream } from "@sallyport/proto/subjects";
import { rested } from "../pace.ts";
import type { StreamNow } from "./position.ts";
import { Puller } from "./puller.ts";

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

/**
 * Between two requests that found the stream's end. Messages that are delivered one by one as they come cost the bus a write
 * and this process a turn each: with one busy client, more than all the rest of ingestion.
 */
const REST_MS = 100;

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
  const isEvent = stream === EVENTS_STREAM;
  const partition = isEvent ? 0 : Number(stream.slice(stream.lastIndexOf("_") + 1));
  const puller = new Puller(nc, stream);
  try {
    await puller.open(from);
    let coming = puller.pull();
    while (!signal.aborted) {
      const { messages, more } = await coming;
      // the next part is on its way while this one is taken
      if (more) coming = puller.pull();
      coming.catch(() => undefined);
      for (const { message, at } of messages) {
        const { data, subject } = message;
        yield {
          stream,
          sequence: at.stream,
          timeUs: Math.floor(at.timeNanos / 1000),
          isEvent,
          data: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
          traceparent: message.headers?.get("traceparent") ?? "",
          mayCarry: (edge, lane) => subject === frames(partition, edge, lane),
        };
      }
      if (more) continue;
      await rested(REST_MS, signal);
      coming = puller.pull();
    }
    coming.catch(() => undefined);
  } finally {
    puller.close();
  }
}
