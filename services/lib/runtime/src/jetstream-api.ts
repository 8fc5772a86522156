/** The few JetStream API requests that the follower makes itself (nats-server's JetStream wire API, as of 2.9). */
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

/**
 * Sequences of a delivered message from its reply subject:
 * `$JS.ACK.<stream>.<consumer>.<redelivered>.<stream seq>.<consumer seq>.<time>.<pending>`, with domain and account
 * hash after ACK in the longer form.
 */
export function sequencesOf(reply: string | undefined): { stream: number; delivered: number } | undefined {
  if (!reply?.startsWith("$JS.ACK.")) return undefined;
  const tokens = reply.split(".");
  const at = tokens.length === 9 ? 5 : 7;
  const stream = Number(tokens[at]);
  const delivered = Number(tokens[at + 1]);
  return Number.isSafeInteger(stream) && Number.isSafeInteger(delivered) ? { stream, delivered } : undefined;
}
