/**
 * Snapshots shorten loading, and nothing depends on them: a snapshot that is missing, of another schema, or of another
 * stream than the one at hand is ignored, and the state is folded from the first event.
 */
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { SNAPSHOT_BUCKET, subjectToken } from "@sallyport/proto/subjects";
import { z } from "zod";
import type { Versioned } from "./state-cache.ts";
import { eventAt, lastBytes } from "./subject-reader.ts";

/** How a state becomes JSON and comes back. Raise `schema` when `evolve` or the state's shape changes. */
export interface SnapshotFormat<State> {
  schema: number;
  toJson(state: State): unknown;
  fromJson(json: unknown): State;
}

const envelope = z.object({
  schema: z.number(),
  seq: z.number().int().positive(),
  version: z.number().int().positive(),
  /** of the last folded event: a stream that was created anew has another one at that sequence */
  eventId: z.string().min(1),
  state: z.unknown(),
});

const key = (service: string, kind: string, id: string) =>
  `$KV.${SNAPSHOT_BUCKET}.${service}.${kind}.${subjectToken(id)}`;

export async function readSnapshot<State>(
  nc: NatsConnection,
  at: { service: string; kind: string; id: string; subject: string },
  format: SnapshotFormat<State>,
): Promise<Versioned<State> | undefined> {
  try {
    const bytes = await lastBytes(nc, `KV_${SNAPSHOT_BUCKET}`, key(at.service, at.kind, at.id));
    if (!bytes || bytes.length === 0) return undefined;
    const found = envelope.parse(JSON.parse(bytes.toString("utf8")));
    if (found.schema !== format.schema) return undefined;
    const folded = await eventAt(nc, found.seq);
    if (folded?.event?.id !== found.eventId || folded.subject !== at.subject) return undefined;
    return { state: format.fromJson(found.state), seq: found.seq, version: found.version };
  } catch {
    return undefined;
  }
}

export async function writeSnapshot<State>(
  nc: NatsConnection,
  at: { service: string; kind: string; id: string },
  { state, seq, version }: Versioned<State>,
  eventId: string,
  format: SnapshotFormat<State>,
): Promise<void> {
  const body = { schema: format.schema, seq, version, eventId, state: format.toJson(state) };
  await jetstream(nc).publish(key(at.service, at.kind, at.id), JSON.stringify(body), { timeout: 2_000 });
}
