/**
 * A stream's messages from a sequence on, in order and without gaps, as many at a time as are there. By hand, because
 * `@nats-io/jetstream` asks ahead, so that each message comes by itself, or waits until a request is full.
 */
import { type Msg, type NatsConnection, nuid } from "@nats-io/transport-node";
import { AppError, createInboxOf, type Delivered, deliveredOf, jetStreamRequest } from "@sallyport/runtime";

/** What one request may bring: more bytes than the largest message that a stream takes (8 MiB, with its headers). */
const PULL_MESSAGES = 4_096;
const PULL_BYTES = 16 * 1024 * 1024;
/** Nothing came for so long, not even that there is nothing: the consumer is gone, or the bus. */
const SILENCE_MS = 5_000;
/** The server forgets the consumer when nobody has asked for so long. */
const INACTIVE_MS = 30_000;
const CREATE_MS = 2_000;
const OP = "audit.pull";

export interface Pulled {
  readonly messages: readonly { readonly message: Msg; readonly at: Delivered }[];
  /** the stream went on behind the last one */
  readonly more: boolean;
}

interface Request {
  readonly batch: number;
  readonly messages: { message: Msg; at: Delivered }[];
  readonly done: PromiseWithResolvers<Pulled>;
  readonly silence: NodeJS.Timeout;
}

export class Puller {
  readonly #nc: NatsConnection;
  readonly #stream: string;
  readonly #consumer = `read_${nuid.next()}`;
  #delivered = 0;
  /** as the last message said */
  #pending = 0;
  #request: Request | undefined;
  #closed = false;

  constructor(nc: NatsConnection, stream: string) {
    this.#nc = nc;
    this.#stream = stream;
  }

  /** @throws AppError `unavailable`, `failed-precondition` */
  async open(from: number): Promise<void> {
    const config = {
      name: this.#consumer,
      deliver_policy: "by_start_sequence",
      opt_start_seq: from,
      ack_policy: "none",
      max_deliver: 1,
      inactive_threshold: INACTIVE_MS * 1e6,
      num_replicas: 1,
      mem_storage: true,
    };
    const body = { stream_name: this.#stream, config };
    await jetStreamRequest(this.#nc, `CONSUMER.CREATE.${this.#stream}.${this.#consumer}`, body, CREATE_MS);
  }

  /**
   * What is there now; one request at a time. It asks for no more than is known to be there, or for one: a request that finds
   * less than it wants may end without a word.
   *
   * @throws AppError `unavailable` when it cannot be gone on with: a message was lost on the way, the consumer is gone, or
   *   nothing answers
   */
  pull(): Promise<Pulled> {
    const inbox = createInboxOf(this.#nc);
    const done = Promise.withResolvers<Pulled>();
    const silence = setTimeout(() => this.#fail("JetStream fell silent"), SILENCE_MS);
    const batch = Math.max(1, Math.min(PULL_MESSAGES, this.#pending));
    const request: Request = { batch, messages: [], done, silence };
    this.#request = request;
    const subscription = this.#nc.subscribe(inbox, { callback: (_, message) => this.#take(request, message) });
    void done.promise
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(silence);
        if (!this.#nc.isClosed()) subscription.unsubscribe();
      });
    const body = { batch, max_bytes: PULL_BYTES, no_wait: true };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${this.#consumer}`;
    this.#nc.publish(subject, JSON.stringify(body), { reply: inbox });
    return done.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#fail("nobody reads any more");
    if (this.#nc.isClosed()) return;
    jetStreamRequest(this.#nc, `CONSUMER.DELETE.${this.#stream}.${this.#consumer}`, {}, 250).catch(() => undefined);
  }

  #take(request: Request, message: Msg): void {
    if (request !== this.#request) return;
    const at = deliveredOf(message.reply);
    if (at === undefined) return this.#status(message.headers?.code ?? 0);
    if (at.delivered !== this.#delivered + 1) return this.#fail("a message was lost on the way");
    this.#delivered = at.delivered;
    this.#pending = at.pending;
    request.silence.refresh();
    request.messages.push({ message, at });
    if (request.messages.length === request.batch) this.#end(at.pending > 0);
  }

  /** 404: nothing is there. 408 and 409: no more for this request, or the consumer is gone. 503: nobody answers. */
  #status(code: number): void {
    if (code === 404 || code === 408) {
      this.#pending = 0;
      return this.#end(false);
    }
    if (code === 409 && (this.#request?.messages.length ?? 0) > 0) return this.#end(true);
    this.#fail(`JetStream answers ${code}`);
  }

  #end(more: boolean): void {
    const request = this.#request;
    this.#request = undefined;
    request?.done.resolve({ messages: request.messages, more });
  }

  #fail(why: string): void {
    const request = this.#request;
    this.#request = undefined;
    request?.done.reject(new AppError("unavailable", OP, `${this.#stream}: ${why}`));
  }
}
