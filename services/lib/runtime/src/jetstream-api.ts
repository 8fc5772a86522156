/** The few JetStream API requests that followers and readers make themselves (nats-server's JetStream wire API, as of 2.9). */
import { createInbox, type NatsConnection } from "@nats-io/transport-node";
import { AppError } from "./app-error.ts";

export interface StreamInfoAnswer {
  created: string;
  state: { messages: number; first_seq: number; last_seq: number };
}

interface ApiError {
  error?: { code: number; err_code?: number; description?: string };
}

/** A fresh inbox under the connection's own prefix, where it has the permission to listen. */
export function createInboxOf(nc: NatsConnection): string {
  const { inboxPrefix } = (nc as unknown as { options: { inboxPrefix?: string } }).options;
  return inboxPrefix ? createInbox(inboxPrefix) : createInbox();
}

/** One request to `$JS.API.<subject>`. Throws `unavailable` without an answer, `failed-precondition` for an error in it. */
export async function jetStreamRequest<T = unknown>(
  nc: NatsConnection,
  subject: string,
  body: unknown,
  timeout: number,
  { errors = "throw" }: { errors?: "throw" | "return" } = {},
): Promise<T> {
  const op = `jetstream ${subject}`;
  const answer = await nc.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout }).catch((cause: unknown) => {
    throw new AppError("unavailable", op, "JetStream does not answer", { cause });
  });
  const json = answer.json<T & ApiError>();
  if (json.error && errors === "throw")
    throw new AppError("failed-precondition", op, `JetStream: ${json.error.description ?? json.error.code}`);
  return json;
}

/** What the server says of a delivered message beside its bytes. */
export interface Delivered {
  /** sequence in the stream */
  readonly stream: number;
  /** sequence in the consumer, from 1, without gaps */
  readonly delivered: number;
  /** when the stream stored it, nanoseconds since 1970 (beyond 2^53: 128 ns lost) */
  readonly timeNanos: number;
  /** messages behind it */
  readonly pending: number;
}

/**
 * From the reply subject of a delivered message:
 * `$JS.ACK.<stream>.<consumer>.<redelivered>.<stream seq>.<consumer seq>.<time>.<pending>`, with domain and account
 * hash after ACK in the longer form.
 */
export function deliveredOf(reply: string | undefined): Delivered | undefined {
  if (!reply?.startsWith("$JS.ACK.")) return undefined;
  const tokens = reply.split(".");
  const at = tokens.length === 9 ? 5 : 7;
  const [stream, delivered, timeNanos, pending] = [0, 1, 2, 3].map((n) => Number(tokens[at + n])) as [
    number,
    number,
    number,
    number,
  ];
  return Number.isSafeInteger(stream) && Number.isSafeInteger(delivered)
    ? { stream, delivered, timeNanos, pending }
    : undefined;
}
