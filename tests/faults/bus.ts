import { readFileSync } from "node:fs";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import type { Stack } from "@sallyport/local";
import { EVENTS_STREAM, framesStream } from "@sallyport/proto/subjects";

/** As the bus's administrator, whom no service is. */
export async function onTheBus<T>(stack: Stack, then: (connection: NatsConnection) => Promise<T>): Promise<T> {
  const identity = stack.nats.identity("admin");
  const connection = await connect({
    servers: stack.nats.url,
    inboxPrefix: identity.inboxPrefix,
    authenticator: nkeyAuthenticator(readFileSync(identity.seedFile).subarray(0, 58)),
  });
  try {
    return await then(connection);
  } finally {
    await connection.close();
  }
}

/** The last sequence of each stream, from the bus itself. */
export function streamEnds(stack: Stack): Promise<Record<string, number>> {
  return onTheBus(stack, async (connection) => {
    const manager = await jetstreamManager(connection);
    const ends: Record<string, number> = {};
    for (const name of [EVENTS_STREAM, framesStream(0)]) ends[name] = (await manager.streams.info(name)).state.last_seq;
    return ends;
  });
}
