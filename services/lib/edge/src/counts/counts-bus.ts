/** COUNTS: what each edge has counted, so that all know it, and an edge that is started anew too. */
import { createHash } from "node:crypto";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { nuid } from "@nats-io/transport-node";
import { HourCounts } from "@sallyport/proto/counts";
import { COUNTS_STREAM, counts as countsSubject } from "@sallyport/proto/subjects";
import { AppError, createInboxOf, deliveredOf, jetStreamRequest, type Logger } from "@sallyport/runtime";

export interface FollowedCounts {
  stop(): Promise<void>;
}

/** `natsCounts` is the real one. */
export interface CountsBus {
  /** Resolves when everything that is there was handed out. Rejects with AppError. */
  follow(onCounts: (counts: HourCounts) => void): Promise<FollowedCounts>;
  /** Resolves when it is stored. */
  tell(counts: HourCounts): Promise<void>;
}

const op = "edge.counts";
const STORE_MS = 1_000;
const CATCH_UP_MS = 5_000;
const HEARTBEAT_MS = 1_000;
const SILENT_MS = 3_500;
const RETRY_MS = 500;

export function natsCounts(nats: NatsConnection, log: Logger): CountsBus {
  return {
    follow: (onCounts) => CountsFollower.open(nats, onCounts, log),
    async tell(counts) {
      const { edge, principalId, connection } = counts;
      const key = createHash("sha256").update(`${connection}\0${principalId}`).digest("base64url").slice(0, 32);
      const bytes = HourCounts.encode(counts).finish();
      const answer = await nats.request(countsSubject(edge, key), bytes, { timeout: STORE_MS });
      const stored = answer.json<{ stream?: string; error?: { description?: string } }>();
      if (stored.stream === COUNTS_STREAM && stored.error === undefined) return;
      throw new AppError("unavailable", op, `not stored: ${stored.error?.description ?? "another stream answered"}`);
    },
  };
}

/** A consumer of one's own from the beginning, made anew whenever it may have missed something: values replace each other. */
class CountsFollower implements FollowedCounts {
  private readonly nats: NatsConnection;
  private readonly onCounts: (counts: HourCounts) => void;
  private readonly log: Logger;
  private subscription: Subscription | undefined;
  private name = "";
  private delivered = 0;
  private heardAt = 0;
  private stopped = false;
  private watching: NodeJS.Timeout | undefined;

  private constructor(nats: NatsConnection, onCounts: (counts: HourCounts) => void, log: Logger) {
    this.nats = nats;
    this.onCounts = onCounts;
    this.log = log;
  }

  static async open(
    nats: NatsConnection,
    onCounts: (counts: HourCounts) => void,
    log: Logger,
  ): Promise<CountsFollower> {
    const follower = new CountsFollower(nats, onCounts, log);
    await follower.consume();
    follower.watching = setInterval(() => follower.watch(), HEARTBEAT_MS);
    follower.watching.unref();
    return follower;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.watching);
    const { name, nats } = this;
    this.drop();
    if (name === "" || nats.isClosed()) return;
    await jetStreamRequest(nats, `CONSUMER.DELETE.${COUNTS_STREAM}.${name}`, {}, 250).catch(() => undefined);
  }

  private drop(): void {
    this.subscription?.unsubscribe();
    this.subscription = undefined;
  }

  private watch(): void {
    if (this.stopped || this.nats.isClosed() || performance.now() - this.heardAt < SILENT_MS) return;
    this.consume().catch((err: unknown) => this.log.warn({ err }, "cannot follow the other edges' counts"));
  }

  private async consume(): Promise<void> {
    this.drop();
    this.heardAt = performance.now() + RETRY_MS;
    const name = `counts_${nuid.next()}`;
    this.name = name;
    this.delivered = 0;
    const inbox = createInboxOf(this.nats);
    const caughtUp = Promise.withResolvers<void>();
    let pending: number | undefined;
    let came = 0;
    const look = (): void => {
      if (pending !== undefined && came >= pending) caughtUp.resolve();
    };
    this.subscription = this.nats.subscribe(inbox, {
      callback: (error, message) => {
        if (error !== null || this.name !== name || this.stopped) return;
        this.heardAt = performance.now();
        if (message.data.length === 0) return;
        came++;
        this.message(message);
        look();
      },
    });
    const config = {
      name,
      deliver_subject: inbox,
      deliver_policy: "all",
      ack_policy: "none",
      max_deliver: 1,
      idle_heartbeat: HEARTBEAT_MS * 1e6,
      inactive_threshold: 10e9,
      num_replicas: 1,
      mem_storage: true,
    };
    const made = await jetStreamRequest<{ num_pending?: number; delivered?: { consumer_seq?: number } }>(
      this.nats,
      `CONSUMER.CREATE.${COUNTS_STREAM}.${name}`,
      { stream_name: COUNTS_STREAM, config },
      CATCH_UP_MS,
    );
    pending = (made.num_pending ?? 0) + (made.delivered?.consumer_seq ?? 0);
    look();
    const late = setTimeout(() => {
      caughtUp.reject(new AppError("deadline", op, "what was counted within the last hour could not be read"));
    }, CATCH_UP_MS);
    try {
      await caughtUp.promise;
    } finally {
      clearTimeout(late);
    }
  }

  private message(message: Msg): void {
    const at = deliveredOf(message.reply);
    if (at !== undefined && at.delivered !== ++this.delivered) {
      // Something was lost on the way: everything anew, soon.
      this.heardAt = Number.NEGATIVE_INFINITY;
    }
    try {
      const told = HourCounts.decode(message.data);
      // The bus lets an edge say only what is its own.
      if (message.subject.startsWith(countsSubject(told.edge, "x").slice(0, -1))) this.onCounts(told);
    } catch (err) {
      this.log.warn({ err }, "counts that cannot be read");
    }
  }
}
