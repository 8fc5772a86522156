import { jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { readFileSync } from "node:fs";
import { EVENTS_STREAM, framesStream } from "@sallyport/proto/subjects";
import type { Stack } from "@sallyport/local";

/** The last sequence of each stream, from the bus itself. */
export async function streamEnds(stack: Stack): Promise<Record<string, number>> {
  const identity = stack.nats.identity("admin");
  const connection = await connect({
    servers: stack.nats.url,
    inboxPrefix: identity.inboxPrefix,
    authenticator: nkeyAuthenticator(readFileSync(identity.seedFile).subarray(0, 58)),
  });
  try {
    const manager = await jetstreamManager(connection);
    const ends: Record<string, number> = {};
    for (const name of [EVENTS_STREAM, framesStream(0)]) ends[name] = (await manager.streams.info(name)).state.last_seq;
    return ends;
  } finally {
    await connection.close();
  }
}
