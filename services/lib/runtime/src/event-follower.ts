/**
 * Follows EVENTS in order, and can prove how fresh it is.
 *
 * A push consumer delivers every message; a barrier every 150 ms asks the stream, at time t, for its last sequence L.
 * Once everything up to L is folded, the follower was complete as of t. That proof is worth 500 ms (the lease of I7).
 * Only what nats-server 2.9 can do is used: no filters on the consumer (2.9 takes one at most), subjects are matched here,
 * and so the folded sequence counts all of EVENTS.
 */
import { type Msg, type NatsConnection, nuid, type Subscription } from "@nats-io/transport-node";
import type { Event } from "@sallyport/proto/event";
import { EVENTS_ALL, EVENTS_STREAM } from "@sallyport/proto/subjects";
import { AppError } from "./app-error.ts";
import { EventGuard } from "./event-follower-guard.ts";
import { Barriers } from "./follower-barriers.ts";
import type { Logger } from "./log.ts";
import { createInboxOf, jetStreamRequest, deliveredOf, type StreamInfoAnswer } from "./jetstream-api.ts";
import { SequenceWaiters } from "./sequence-waiters.ts";
import { subjectMatcher } from "./subject-match.ts";

export interface FollowOptions {
  /** NATS patterns; default all of EVENTS */
  subjects?: readonly string[];
  /** first sequence to fold; 1 = all */
  from: number;
  /** Folds synchronously; told only what a service says there (event-follower-guard.ts). What it throws ends the follower: a half-folded state must not decide. */
  onEvent(event: Event, seq: number, subject: string): void;
  log: Logger;
  /**
   * The stream was created anew, lost acknowledged messages, or an event cannot be folded. The follower has stopped and
   * is never fresh again. Default: throw, which ends the process; it folds everything again when it is restarted.
   */
  onFatal?: (error: AppError) => void;
}

export interface EventFollower {
  /** everything in EVENTS up to this sequence is folded */
  seq(): number;
  /** true once `seq` is folded, false when that took longer than `deadlineMs` */
  waitFor(seq: number, deadlineMs: number): Promise<boolean>;
  /** `performance.now()` up to which the state counts as fresh; compare with `performance.now()` */
  freshUntil(): number;
  /**
   * True once it is proven that everything acknowledged before `at` (`performance.now()`) is folded; false when that took
   * longer than `deadlineMs`. A caller that needs a fresh state asks for `performance.now() - leaseMs`.
   */
  provenSince(at: number, deadlineMs: number): Promise<boolean>;
  /** resolves with the first proof that everything is folded */
  caughtUp: Promise<void>;
  stop(): Promise<void>;
}

export async function followEvents(nc: NatsConnection, options: FollowOptions): Promise<EventFollower> {
  const follower = new Follower(nc, options);
  follower.start();
  return follower;
}

const op = "runtime.followEvents";
const barrierEveryMs = 150;
const requestTimeoutMs = 450;
const stuckAfterMs = 300;
const nanos = 1_000_000;

interface Consumer {
  name: string;
  subscription: Subscription;
  /** its own sequence of the last message that came */
  delivered: number;
}

class Follower implements EventFollower {
  readonly #nc: NatsConnection;
  readonly #options: FollowOptions;
  readonly #matches: (subject: string) => boolean;
  readonly #barriers = new Barriers();
  readonly #waiters = new SequenceWaiters();
  readonly #proofs = new SequenceWaiters();
  readonly #caughtUp = Promise.withResolvers<void>();
  readonly caughtUp = this.#caughtUp.promise;
  readonly #guard = new EventGuard();
  #refused = 0;
  #folded: number;
  #incarnation: string | undefined;
  #consumer: Consumer | undefined;
  #progressAt = performance.now();
  #attempt = 0;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(nc: NatsConnection, options: FollowOptions) {
    this.#nc = nc;
    this.#options = options;
    this.#matches = subjectMatcher(options.subjects ?? [EVENTS_ALL]);
    this.#folded = Math.max(0, options.from - 1);
  }

  seq(): number {
    return this.#folded;
  }

  freshUntil(): number {
    return this.#stopped ? 0 : this.#barriers.freshUntil();
  }

  waitFor(seq: number, deadlineMs: number): Promise<boolean> {
    return seq <= this.#folded ? Promise.resolve(true) : this.#waiters.wait(seq, deadlineMs);
  }

  provenSince(at: number, deadlineMs: number): Promise<boolean> {
    if (this.#stopped) return Promise.resolve(false);
    return at <= this.#barriers.provenAt() ? Promise.resolve(true) : this.#proofs.wait(at, deadlineMs);
  }

  start(): void {
    void this.#followReconnects();
    void this.#consume();
    void this.#barrier();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#waiters.cancel();
    this.#proofs.cancel();
    const consumer = this.#dropConsumer();
    if (consumer && !this.#nc.isClosed())
      await jetStreamRequest(this.#nc, `CONSUMER.DELETE.${EVENTS_STREAM}.${consumer}`, {}, 250).catch(() => undefined);
  }

  async #followReconnects(): Promise<void> {
    for await (const status of this.#nc.status()) {
      if (this.#stopped) return;
      // A restarted server has forgotten its ephemeral consumers.
      if (status.type === "reconnect") void this.#consume();
    }
  }

  /** A new consumer from the first sequence that is not folded. */
  async #consume(): Promise<void> {
    if (this.#stopped || this.#nc.isClosed()) return;
    this.#dropConsumer();
    const attempt = ++this.#attempt;
    this.#progressAt = performance.now();
    const name = `follow_${nuid.next()}`;
    const inbox = createInboxOf(this.#nc);
    const consumer: Consumer = {
      name,
      delivered: 0,
      subscription: this.#nc.subscribe(inbox, { callback: (_, message) => this.#onMessage(consumer, message) }),
    };
    this.#consumer = consumer;
    const config = {
      name,
      deliver_subject: inbox,
      deliver_policy: "by_start_sequence",
      opt_start_seq: this.#folded + 1,
      ack_policy: "none",
      max_deliver: 1,
      flow_control: true,
      idle_heartbeat: 1_000 * nanos,
      inactive_threshold: 10_000 * nanos,
      num_replicas: 1,
      mem_storage: true,
    };
    try {
      await jetStreamRequest(
        this.#nc,
        `CONSUMER.CREATE.${EVENTS_STREAM}.${name}`,
        { stream_name: EVENTS_STREAM, config },
        1_000,
      );
    } catch (error) {
      if (this.#stopped || attempt !== this.#attempt) return;
      this.#options.log.warn({ err: error }, "cannot follow EVENTS yet");
      setTimeout(() => attempt === this.#attempt && void this.#consume(), 200);
    }
  }

  #dropConsumer(): string | undefined {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    consumer?.subscription.unsubscribe();
    return consumer?.name;
  }

  #onMessage(consumer: Consumer, message: Msg): void {
    if (this.#stopped || consumer !== this.#consumer) return;
    if (message.data.length === 0 && message.headers?.code === 100) {
      const stalled = message.headers.get("Nats-Consumer-Stalled");
      if (message.reply) message.respond();
      else if (stalled) this.#nc.publish(stalled);
      return;
    }
    const at = deliveredOf(message.reply);
    if (!at) return;
    if (at.delivered !== consumer.delivered + 1) return void this.#consume(); // something was lost on the way
    consumer.delivered = at.delivered;
    if (at.stream <= this.#folded) return;
    try {
      if (this.#matches(message.subject)) this.#fold(message, at.stream);
    } catch (cause) {
      return this.#die(`cannot fold the event at ${at.stream} on ${message.subject}`, cause);
    }
    this.#advance(at.stream);
  }

  #fold({ data, subject }: Msg, seq: number): void {
    const read = this.#guard.read(data, subject);
    if (read.kind === "said") return this.#options.onEvent(read.event, seq, subject);
    this.#refused += 1;
    // Never its content. The subject is one that an attacker may have chosen.
    const what = { seq, subject: subject.slice(0, 200), why: read.why, refused: this.#refused };
    this.#options.log.error(what, "a message on EVENTS is not what a service says there: skipped");
  }

  #advance(seq: number): void {
    this.#folded = seq;
    this.#progressAt = performance.now();
    this.#waiters.reached(seq);
    this.#prove(seq);
  }

  #prove(seq: number): void {
    if (!this.#barriers.reached(seq)) return;
    this.#caughtUp.resolve();
    this.#proofs.reached(this.#barriers.provenAt());
  }

  async #barrier(): Promise<void> {
    if (this.#stopped || this.#nc.isClosed()) return;
    const asked = performance.now();
    const foldedThen = this.#folded;
    try {
      const info = await jetStreamRequest<StreamInfoAnswer>(
        this.#nc,
        `STREAM.INFO.${EVENTS_STREAM}`,
        {},
        requestTimeoutMs,
      );
      if (!this.#stopped) await this.#compare(asked, foldedThen, info);
    } catch {
      // No answer, no proof: the lease runs out by itself.
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#barrier(), Math.max(0, asked + barrierEveryMs - performance.now()));
  }

  async #compare(asked: number, foldedThen: number, info: StreamInfoAnswer): Promise<void> {
    const { first_seq: first, last_seq: last } = info.state;
    if (this.#incarnation !== undefined && this.#incarnation !== info.created)
      return this.#die(`EVENTS was created anew at ${info.created}: what was folded belongs to another stream`);
    // Compared with what was folded when the question was asked: newer events may overtake the answer.
    if (last < foldedThen)
      return this.#die(`EVENTS ends at ${last}, but ${foldedThen} was folded: acknowledged events were lost`);
    if (this.#incarnation !== undefined && first > this.#folded + 1 && info.state.messages > 0)
      return this.#die(`EVENTS begins at ${first}, but only ${this.#folded} was folded: events were removed unseen`);
    this.#incarnation = info.created;
    this.#barriers.add(asked, last);
    this.#prove(this.#folded);
    if (this.#folded >= last || performance.now() - this.#progressAt < stuckAfterMs) return;
    // Behind, and nothing comes: the consumer is gone, or the sequences up to `last` hold no message.
    const gone = await this.#nothingAfter(this.#folded);
    if (this.#stopped || this.#folded >= last) return;
    if (gone) this.#advance(last);
    else void this.#consume();
  }

  /** Read from the stream itself: is there no message after `seq`? */
  async #nothingAfter(seq: number): Promise<boolean> {
    const answer = await jetStreamRequest<{ error?: { code: number } }>(
      this.#nc,
      `STREAM.MSG.GET.${EVENTS_STREAM}`,
      { seq: seq + 1, next_by_subj: EVENTS_ALL },
      requestTimeoutMs,
      { errors: "return" },
    );
    return answer.error?.code === 404;
  }

  #die(message: string, cause?: unknown): void {
    const error = new AppError("internal", op, message, { cause });
    this.#options.log.fatal({ err: error }, message);
    void this.stop();
    const report =
      this.#options.onFatal ??
      ((fatal: AppError) =>
        queueMicrotask(() => {
          throw fatal;
        }));
    report(error);
  }
}
