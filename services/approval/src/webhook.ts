/**
 * Notifies a webhook of requests and outcomes, at least once each. The durable consumer is the memory: what is not
 * acknowledged there is delivered again, by this process or the next one.
 */
import {
  AckPolicy,
  DeliverPolicy,
  jetstream,
  jetstreamManager,
  type ConsumerMessages,
  type JsMsg,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { aggregateId, type Store } from "@sallyport/decider";
import { Event } from "@sallyport/proto/event";
import { EVENTS_STREAM, eventsOfKind } from "@sallyport/proto/subjects";
import type { Logger, Secret, Tally } from "@sallyport/runtime";
import { createHmac } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { WebhookConfig } from "./approval-config.ts";
import type { RequestCommand, RequestState } from "./request.ts";
import { known, type Requests } from "./requests.ts";
import { signature, webhookBody } from "./webhook-body.ts";

const atOnce = 16;
/** A secret that is changed leaves the consumer of the old one behind: forgotten after a month. */
const forgottenAfterNanos = 30 * 86_400 * 1e9;

/**
 * Followers of EVENTS may make and delete consumers there, of any name: one that could be guessed could be taken away, and
 * notifications with it.
 */
function durableName(secret: Secret): string {
  return `approval_webhook_${createHmac("sha256", secret.exposeBytes()).update("consumer").digest("hex").slice(0, 32)}`;
}

export interface WebhookParts {
  nc: NatsConnection;
  config: WebhookConfig;
  secret: Secret;
  requests: Requests;
  store: Pick<Store<RequestState, RequestCommand>, "load">;
  log: Logger;
  deliveries: Tally;
  signal: AbortSignal;
  now?: () => number;
}

/** Runs until `signal` aborts. */
export async function runWebhook(parts: WebhookParts): Promise<void> {
  const { signal, log, nc } = parts;
  while (!signal.aborted && !nc.isClosed()) {
    try {
      await consume(parts);
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "webhook: cannot read EVENTS, trying again");
    }
    await delay(1_000, undefined, { signal }).catch(() => undefined);
  }
}

async function consume(parts: WebhookParts): Promise<void> {
  const { nc, config, signal } = parts;
  const durable = durableName(parts.secret);
  const manager = await jetstreamManager(nc);
  await manager.consumers.add(EVENTS_STREAM, {
    durable_name: durable,
    filter_subject: eventsOfKind("approval", "request"),
    ack_policy: AckPolicy.Explicit,
    // Notifications begin with the webhook: nobody wants last year's.
    deliver_policy: DeliverPolicy.New,
    ack_wait: (config.timeoutMs + 10_000) * 1e6,
    max_ack_pending: 256,
    max_deliver: -1,
    inactive_threshold: forgottenAfterNanos,
  });
  const consumer = await jetstream(nc).consumers.get(EVENTS_STREAM, durable);
  const messages: ConsumerMessages = await consumer.consume({ max_messages: atOnce });
  const stop = () => messages.stop();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const running = new Set<Promise<void>>();
  try {
    for await (const message of messages) {
      const one: Promise<void> = deliver(message, parts).finally(() => running.delete(one));
      running.add(one);
      if (running.size >= atOnce) await Promise.race(running);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    await Promise.allSettled(running);
  }
}

/** Never throws: a message without an answer is delivered again after `ack_wait`. */
async function deliver(message: JsMsg, parts: WebhookParts): Promise<void> {
  const { deliveries, requests, store } = parts;
  try {
    const event = Event.decode(message.data);
    const id = aggregateId(event);
    const request = requests.get(id) ?? known(id, await store.load(id));
    const body = request && webhookBody(event, message.seq, request);
    if (body !== undefined) await post(body, event.id, parts);
    message.ack();
    deliveries.add("delivered");
  } catch (error) {
    later(message, error, parts);
  }
}

function later(message: JsMsg, error: unknown, { config, log, deliveries, now = Date.now }: WebhookParts): void {
  const fields = { err: error, seq: message.seq, tries: message.info.deliveryCount };
  if (now() - message.time.getTime() >= config.giveUpAfterHours * 3_600_000) {
    message.term();
    deliveries.add("given-up");
    log.error(fields, "webhook: a notification is given up");
    return;
  }
  const againInMs = backoff(message.info.deliveryCount, config.retryMs);
  message.nak(againInMs);
  deliveries.add("failed");
  log.warn({ ...fields, againInMs }, "webhook: not delivered");
}

async function post(
  body: string,
  deliveryId: string,
  { config, secret, signal, now = Date.now }: WebhookParts,
): Promise<void> {
  const response = await fetch(config.url, {
    method: "POST",
    body,
    redirect: "error",
    headers: {
      "content-type": "application/json",
      "user-agent": "sallyport-approval",
      "sallyport-delivery": deliveryId,
      "sallyport-signature": signature(body, secret.exposeBytes(), now()),
    },
    signal: AbortSignal.any([signal, AbortSignal.timeout(config.timeoutMs)]),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
}

/** Doubling from the first to the longest pause, ± a quarter, so that many do not come back at once. */
export function backoff(tries: number, [first, longest]: readonly [number, number], random = Math.random): number {
  const pause = Math.min(longest, first * 2 ** Math.min(tries - 1, 20));
  return Math.round(pause * (0.75 + random() / 2));
}
