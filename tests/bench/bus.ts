/** A look at FRAMES from outside: what was recorded, counted by nobody who took part in recording or ingesting it. */
import { readFileSync } from "node:fs";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import type { Stack } from "@sallyport/local";
import { FrameBatch } from "@sallyport/proto/record";
import { framesStream } from "@sallyport/proto/subjects";

const STREAM = framesStream(0);

export interface Recorded {
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
}

export interface Bus {
  /** of the last message in FRAMES */
  lastSequence(): Promise<number>;
  /** Everything from `after` (not included) to `last`. */
  recorded(after: number, last: number): Promise<Recorded>;
  close(): Promise<void>;
}

export async function openBus({ nats }: Stack): Promise<Bus> {
  const { name, seedFile, inboxPrefix } = nats.identity("admin");
  const connection: NatsConnection = await connect({
    servers: nats.url,
    name,
    inboxPrefix,
    authenticator: nkeyAuthenticator(readFileSync(seedFile).subarray(0, 58)),
  });
  const manager = await jetstreamManager(connection);
  return {
    async lastSequence() {
      return (await manager.streams.info(STREAM)).state.last_seq;
    },
    async recorded(after, last) {
      const counted = { batches: 0, records: 0, bytes: 0 };
      if (last <= after) return counted;
      const consumer = await jetstream(connection).consumers.get(STREAM, { opt_start_seq: after + 1 });
      const messages = await consumer.consume({ max_messages: 64 });
      for await (const message of messages) {
        if (message.seq > last) break;
        counted.batches++;
        counted.records += FrameBatch.decode(message.data).records.length;
        counted.bytes += message.data.length;
        if (message.seq === last) break;
      }
      return counted;
    },
    close: () => connection.close(),
  };
}
