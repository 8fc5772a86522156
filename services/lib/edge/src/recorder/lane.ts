/**
 * A lane: group commit for all sessions of one edge worker. Records are written into the open batch; a bounded number of
 * batches is in flight; what arrives meanwhile forms the next. On any failed or late acknowledgement the lane stops and
 * sends again from the first batch without one: the same bytes, in order.
 */
import { Batch, BATCH_BYTES, RECORD_BYTES, SlabPool, type LaneName } from "./batch.ts";
import type { SessionRecorder } from "./session-recorder.ts";

export type Answer =
  | { readonly outcome: "stored" }
  /** `reason` is for logs; public */
  | { readonly outcome: "failed"; readonly reason: string };

/** Where batches go. Answers come in any order, at most once per publication, or never. */
export interface BatchPublisher {
  publish(no: number, bytes: Buffer, traceparent: string): void;
  onAnswer: (no: number, answer: Answer) => void;
  /** the connection is lost (false) or there again (true) */
  onConnection: (connected: boolean) => void;
  close(): void;
}

export interface LaneSettings {
  /** batches published and not acknowledged */
  inFlight: number;
  /** a batch smaller than `eagerBytes` is published at once only while fewer than this are in flight */
  eagerInFlight: number;
  eagerBytes: number;
  /** an acknowledgement later than this counts as failed, ms */
  ackTimeoutMs: number;
  /** without progress for so long, every session ends with cause `bus`, ms */
  giveUpMs: number;
  /** how long a record that nobody waits for may stay, ms */
  lazyMs: number;
  /** unacknowledged bytes of one session, and of the lane, past which sessions are pressed */
  sessionBytes: number;
  laneBytes: number;
}

export const LANE_DEFAULTS: LaneSettings = {
  inFlight: 2,
  eagerInFlight: 1,
  eagerBytes: 64 * 1024,
  ackTimeoutMs: 1000,
  giveUpMs: 5000,
  lazyMs: 5,
  sessionBytes: 1024 * 1024,
  laneBytes: 32 * 1024 * 1024,
};

/** What one session may put into a batch before others have had their turn. */
const TURN_BYTES = 64 * 1024;
const SHARE_BYTES = 128 * 1024;
/** What a session may always have unacknowledged, however full the lane is: small commands are not held up by big results. */
const FLOOR_BYTES = 16 * 1024;
const RETRY_MS = 100;

export interface LaneStats {
  records: number;
  batches: number;
  bytes: number;
  resent: number;
  failures: number;
  /** sum over acknowledged batches, ms: divide by `acked` */
  ackMs: number;
  acked: number;
}

type LaneState = "flowing" | "stopped" | "failed";

export class Lane {
  readonly name: LaneName;
  readonly settings: LaneSettings;
  readonly stats: LaneStats = { records: 0, batches: 0, bytes: 0, resent: 0, failures: 0, ackMs: 0, acked: 0 };
  /** encoded and not acknowledged */
  unackedBytes = 0;
  /** told the time that each batch took, ms */
  observeAck: ((ms: number) => void) | undefined;
  /** position in the buffer that the last `reserve` returned */
  reservedAt = 0;

  private readonly publisher: BatchPublisher;
  private readonly onState: (state: "failed" | "flowing", reason: string) => void;
  private readonly slabs = new SlabPool();
  private open: Batch;
  /** sealed, in order, from the first without an acknowledgement */
  private inFlight: Batch[] = [];
  /** sessions with queued records, in the order of their turns */
  private waiting: SessionRecorder[] = [];
  private readonly sessions = new Set<SessionRecorder>();
  private readonly pressedSessions = new Set<SessionRecorder>();
  private state: LaneState = "flowing";
  private scheduled = false;
  private lazyTimer: NodeJS.Timeout | undefined;
  private lazyDue = false;
  private lastProgress = 0;
  private lastFailure = "";
  private readonly watch: NodeJS.Timeout;
  private idle: (() => void)[] = [];

  constructor(
    name: LaneName,
    publisher: BatchPublisher,
    settings: Partial<LaneSettings> = {},
    onState: (state: "failed" | "flowing", reason: string) => void = () => {},
  ) {
    this.name = name;
    this.publisher = publisher;
    this.settings = { ...LANE_DEFAULTS, ...settings };
    this.onState = onState;
    this.open = new Batch(name, 1, new Uint8Array(0), this.slabs.take());
    publisher.onAnswer = (no, answer) => this.answered(no, answer);
    publisher.onConnection = (connected) => this.connection(connected);
    this.watch = setInterval(() => this.look(), Math.min(100, this.settings.ackTimeoutMs / 4));
    this.watch.unref();
  }

  /** Sessions may be opened: the bus takes what it is given. */
  get healthy(): boolean {
    return this.state !== "failed";
  }

  /** sessions that are paused */
  get pressed(): number {
    return this.pressedSessions.size;
  }

  join(session: SessionRecorder): void {
    this.sessions.add(session);
  }

  /** The session's records still go out; it is told nothing more. */
  leave(session: SessionRecorder): void {
    this.sessions.delete(session);
    this.pressedSessions.delete(session);
  }

  /**
   * Where the next record of `size` bytes is to be written, from `reservedAt` on: in the open batch, or in a buffer that
   * waits for the session's turn. To be filled before anything else happens.
   */
  reserve(session: SessionRecorder, seq: number, size: number): Buffer {
    if (size > RECORD_BYTES) throw new RangeError(`a record of ${size} bytes`);
    session.unackedBytes += size;
    this.unackedBytes += size;
    this.stats.records++;
    this.press(session);
    const open = this.open;
    if (session.queue.length === 0 && size <= BATCH_BYTES - open.at && this.mayJoin(open, session, size)) {
      this.reservedAt = this.enter(open, session, seq, size);
      return open.bytes;
    }
    const buffer = Buffer.allocUnsafe(size);
    if (session.queue.length === 0) this.waiting.push(session);
    session.queue.push(buffer);
    session.queueSeq.push(seq);
    this.reservedAt = 0;
    return buffer;
  }

  /** A reserved record is filled. */
  appended(urgent: boolean): void {
    if (urgent) {
      this.open.urgent = true;
      this.schedule();
    } else if (this.lazyTimer === undefined && !this.scheduled) {
      this.lazyTimer = setTimeout(() => {
        this.lazyTimer = undefined;
        this.lazyDue = true;
        this.pump();
      }, this.settings.lazyMs);
    }
  }

  trace(traceparent: string): void {
    if (this.open.traceparent === "") this.open.traceparent = traceparent;
  }

  /** Looks whether a session is past its bound, and tells it when it no longer is. */
  press(session: SessionRecorder): void {
    const bytes = session.unackedBytes + session.heldBytes;
    if (!session.pressed) {
      if (bytes > this.bound()) {
        session.pressed = true;
        this.pressedSessions.add(session);
      }
    } else if (bytes <= this.bound() / 2) {
      session.pressed = false;
      this.pressedSessions.delete(session);
      if (!session.failed) session.owner.relieved();
    }
  }

  /** Resolves when everything is acknowledged; `false` after `deadlineMs`. */
  drained(deadlineMs: number): Promise<boolean> {
    this.lazyDue = true;
    this.pump();
    if (this.unackedBytes === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.idle = this.idle.filter((then) => then !== done);
        resolve(false);
      }, deadlineMs);
      const done = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      this.idle.push(done);
    });
  }

  close(): void {
    clearInterval(this.watch);
    clearTimeout(this.lazyTimer);
    this.publisher.close();
  }

  /** Past the lane's bound, those who hold most of it wait first. */
  private bound(): number {
    const { sessionBytes, laneBytes } = this.settings;
    if (this.unackedBytes <= laneBytes) return sessionBytes;
    return Math.max(FLOOR_BYTES, Math.min(sessionBytes, Math.floor(laneBytes / 2 / Math.max(1, this.sessions.size))));
  }

  private mayJoin(batch: Batch, session: SessionRecorder, size: number): boolean {
    if (session.batch !== batch) return true;
    if ((batch.bytesOf[session.batchIndex] as number) + size <= SHARE_BYTES) return true;
    // nobody else waits: more than its share, as long as there is room for whoever comes
    return this.waiting.length === 0 && batch.room() - size >= TURN_BYTES;
  }

  /** Where the record is to be written. */
  private enter(batch: Batch, session: SessionRecorder, seq: number, size: number): number {
    if (session.batch === batch) {
      batch.lastSeq[session.batchIndex] = seq;
      batch.bytesOf[session.batchIndex] = (batch.bytesOf[session.batchIndex] as number) + size;
      return batch.add(size);
    }
    session.batch = batch;
    session.batchIndex = batch.sessions.length;
    batch.sessions.push(session);
    batch.lastSeq.push(seq);
    batch.bytesOf.push(size);
    return batch.add(size);
  }

  /** At the end of the turn, so that everything that arrived in it shares a batch. */
  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    const { inFlight, eagerInFlight, eagerBytes } = this.settings;
    while (this.state === "flowing") {
      const unsent = this.inFlight.find((batch) => !batch.sent && !batch.acked);
      if (unsent !== undefined) {
        this.publish(unsent);
        continue;
      }
      if (this.inFlight.length >= inFlight) return;
      if (this.waiting.length > 0) this.topUp();
      const open = this.open;
      if (open.records === 0) break;
      const full = open.filled() >= eagerBytes;
      if (!full && (this.inFlight.length >= eagerInFlight || !(open.urgent || this.lazyDue))) return;
      this.seal();
    }
    this.lazyDue = false;
  }

  /** Takes waiting records in turns until the batch is full. */
  private topUp(): void {
    const open = this.open;
    let turns = this.waiting.length;
    while (turns-- > 0) {
      const session = this.waiting.shift() as SessionRecorder;
      let taken = 0;
      let full = false;
      while (session.queueHead < session.queue.length && taken < TURN_BYTES) {
        const record = session.queue[session.queueHead] as Buffer;
        if (record.length > BATCH_BYTES - open.at) {
          full = true;
          break;
        }
        record.copy(
          open.bytes,
          this.enter(open, session, session.queueSeq[session.queueHead] as number, record.length),
        );
        taken += record.length;
        session.queueHead++;
      }
      open.urgent = true;
      if (session.queueHead === session.queue.length) {
        session.queue.length = 0;
        session.queueSeq.length = 0;
        session.queueHead = 0;
      } else if (full) {
        // its turn was cut short: it is the first in the next batch
        this.waiting.unshift(session);
        return;
      } else {
        if (session.queueHead > 256) {
          session.queue.splice(0, session.queueHead);
          session.queueSeq.splice(0, session.queueHead);
          session.queueHead = 0;
        }
        this.waiting.push(session);
        turns++;
      }
    }
  }

  private seal(): void {
    const batch = this.open;
    this.inFlight.push(batch);
    if (this.inFlight.length === 1) this.lastProgress = performance.now();
    this.stats.batches++;
    this.stats.bytes += batch.at;
    this.publish(batch);
    this.open = new Batch(this.name, batch.no + 1, batch.digest(), this.slabs.take());
  }

  private publish(batch: Batch): void {
    batch.sent = true;
    batch.attempts++;
    batch.sentAt = performance.now();
    if (batch.attempts > 1) this.stats.resent++;
    try {
      this.publisher.publish(batch.no, batch.encoded(), batch.traceparent);
    } catch (error) {
      this.stop(error instanceof Error ? error.name : "publish");
    }
  }

  private answered(no: number, answer: Answer): void {
    const first = this.inFlight[0];
    if (first === undefined || no < first.no) return;
    const batch = this.inFlight[no - first.no];
    if (batch === undefined || batch.acked) return;
    if (answer.outcome === "failed") {
      this.stats.failures++;
      this.stop(answer.reason);
      return;
    }
    batch.acked = true;
    const now = performance.now();
    this.stats.acked++;
    this.stats.ackMs += now - batch.sentAt;
    this.observeAck?.(now - batch.sentAt);
    if (batch !== first) return;
    this.lastProgress = now;
    this.settle();
    if (this.state !== "flowing") this.resume();
    if (this.inFlight.length < this.settings.inFlight && (this.open.records > 0 || this.waiting.length > 0)) {
      this.schedule();
    }
  }

  /** Gives out the acknowledgements that are complete from the front. */
  private settle(): void {
    while (this.inFlight.length > 0 && (this.inFlight[0] as Batch).acked) {
      const batch = this.inFlight.shift() as Batch;
      for (let i = 0; i < batch.sessions.length; i++) {
        const session = batch.sessions[i] as SessionRecorder;
        const bytes = batch.bytesOf[i] as number;
        this.unackedBytes -= bytes;
        session.acknowledge(batch.lastSeq[i] as number, bytes);
        if (session.pressed) this.press(session);
      }
      // a batch that was sent twice may still stand in the connection's buffer
      if (batch.attempts === 1) this.slabs.give(batch.bytes);
    }
    if (this.unackedBytes <= this.settings.laneBytes && this.pressedSessions.size > 0) {
      for (const session of this.pressedSessions) this.press(session);
    }
    if (this.unackedBytes === 0 && this.idle.length > 0) for (const then of this.idle.splice(0)) then();
  }

  private stop(reason: string): void {
    this.lastFailure = reason;
    if (this.state === "flowing") this.state = "stopped";
    for (const batch of this.inFlight) if (!batch.acked) batch.sent = false;
  }

  /** The first batch went through: the rest follows in order. */
  private resume(): void {
    const failed = this.state === "failed";
    this.state = "flowing";
    if (failed) this.onState("flowing", "");
    this.pump();
  }

  private connection(connected: boolean): void {
    if (!connected) {
      if (this.inFlight.length > 0) this.stop("disconnected");
    } else if (this.state !== "flowing") this.probe();
  }

  /** One batch alone until the bus answers again. */
  private probe(): void {
    const first = this.inFlight[0];
    if (first !== undefined) this.publish(first);
    else this.resume();
  }

  private look(): void {
    const first = this.inFlight[0];
    if (first === undefined) return;
    const now = performance.now();
    if (this.state === "flowing") {
      if (now - first.sentAt > this.settings.ackTimeoutMs) this.stop("no acknowledgement");
    }
    if (this.state !== "flowing" && (!first.sent || now - first.sentAt > this.settings.ackTimeoutMs)) {
      if (now - first.sentAt >= RETRY_MS) this.probe();
    }
    if (this.state === "stopped" && now - this.lastProgress > this.settings.giveUpMs) this.giveUp();
  }

  private giveUp(): void {
    this.state = "failed";
    this.onState("failed", this.lastFailure);
    for (const session of this.sessions) {
      session.drop();
      this.pressedSessions.delete(session);
      session.owner.busFailed();
    }
  }
}
