/** Reads one subject of EVENTS. Few events: message by message; many: one short-lived consumer. */
import { type Msg, type NatsConnection, nuid } from "@nats-io/transport-node";
import type { Event } from "@sallyport/proto/event";
import { EVENTS_STREAM } from "@sallyport/proto/subjects";
import { AppError, belongsOn, createInboxOf, jetStreamRequest, readEvent, deliveredOf } from "@sallyport/runtime";

export interface StoredEvent {
  /** undefined: what is stored there is no event of this subject, and changes nothing */
  event: Event | undefined;
  seq: number;
}

interface MessageAnswer {
  message?: { subject: string; seq: number; data?: string };
  error?: { code: number; description?: string };
}

const op = "decider.read";
const timeoutMs = 2_000;
/** Up to here single reads (0.15 ms each) are cheaper than a consumer. */
const fewEvents = 8;

async function get(
  nc: NatsConnection,
  stream: string,
  query: object,
): Promise<NonNullable<MessageAnswer["message"]> | undefined> {
  const answer = await jetStreamRequest<MessageAnswer>(nc, `STREAM.MSG.GET.${stream}`, query, timeoutMs, {
    errors: "return",
  });
  if (answer.message) return answer.message;
  if (answer.error?.code === 404 && answer.error.description !== "stream not found") return undefined;
  throw new AppError("unavailable", op, `JetStream: ${answer.error?.description ?? "no message in the answer"}`);
}

/** The last message's bytes on a subject of any stream. */
export async function lastBytes(nc: NatsConnection, stream: string, subject: string): Promise<Buffer | undefined> {
  const message = await get(nc, stream, { last_by_subj: subject });
  return message && Buffer.from(message.data ?? "", "base64");
}

export async function lastEvent(nc: NatsConnection, subject: string): Promise<StoredEvent | undefined> {
  return stored(await get(nc, EVENTS_STREAM, { last_by_subj: subject }));
}

export async function eventAt(
  nc: NatsConnection,
  seq: number,
): Promise<(StoredEvent & { subject: string }) | undefined> {
  const message = await get(nc, EVENTS_STREAM, { seq });
  return message && { ...stored(message)!, subject: message.subject };
}

/** All events on `subject` after `after`, up to and including `last` (which is the last one that is there). */
export async function readSubject(
  nc: NatsConnection,
  subject: string,
  { after, last }: { after: number; last: StoredEvent },
): Promise<StoredEvent[]> {
  if (last.seq <= after) return [];
  if ((last.event?.version ?? Number.POSITIVE_INFINITY) > fewEvents)
    return readThroughConsumer(nc, subject, after, last.seq);
  const found: StoredEvent[] = [];
  for (let next = after + 1; next < last.seq;) {
    const one = stored(await get(nc, EVENTS_STREAM, { seq: next, next_by_subj: subject }));
    if (!one || one.seq >= last.seq) break;
    found.push(one);
    next = one.seq + 1;
  }
  return [...found, last];
}

async function readThroughConsumer(
  nc: NatsConnection,
  subject: string,
  after: number,
  lastSeq: number,
): Promise<StoredEvent[]> {
  const name = `read_${nuid.next()}`;
  const inbox = createInboxOf(nc);
  const found: StoredEvent[] = [];
  const done = Promise.withResolvers<void>();
  // Reset by each message: it bounds silence, not length.
  const silence = setTimeout(() => done.reject(new AppError("unavailable", op, "JetStream fell silent")), timeoutMs);
  const onMessage = (_: Error | null, message: Msg) => {
    const at = deliveredOf(message.reply);
    if (!at) return;
    silence.refresh();
    if (at.delivered !== found.length + 1)
      return done.reject(new AppError("unavailable", op, "a message was lost on the way"));
    found.push({ event: eventOn(message.subject, message.data), seq: at.stream });
    if (at.stream >= lastSeq) done.resolve();
  };
  const subscription = nc.subscribe(inbox, { callback: onMessage });
  const config = {
    name,
    deliver_subject: inbox,
    filter_subject: subject,
    deliver_policy: "by_start_sequence",
    opt_start_seq: after + 1,
    ack_policy: "none",
    inactive_threshold: 5_000_000_000,
    num_replicas: 1,
    mem_storage: true,
  };
  try {
    await jetStreamRequest(
      nc,
      `CONSUMER.CREATE.${EVENTS_STREAM}.${name}.${subject}`,
      { stream_name: EVENTS_STREAM, config },
      timeoutMs,
    );
    await done.promise;
  } finally {
    clearTimeout(silence);
    done.promise.catch(() => undefined);
    subscription.unsubscribe();
    jetStreamRequest(nc, `CONSUMER.DELETE.${EVENTS_STREAM}.${name}`, {}, timeoutMs).catch(() => undefined);
  }
  return found.filter(({ seq }) => seq <= lastSeq);
}

function stored(message: MessageAnswer["message"]): StoredEvent | undefined {
  if (message === undefined) return undefined;
  return { event: eventOn(message.subject, Buffer.from(message.data ?? "", "base64")), seq: message.seq };
}

/** Only services publish on EVENTS; if ever somebody else did, the aggregate must still be one that can be decided on. */
function eventOn(subject: string, bytes: Uint8Array): Event | undefined {
  const event = readEvent(bytes);
  return event !== undefined && belongsOn(event, subject) ? event : undefined;
}
