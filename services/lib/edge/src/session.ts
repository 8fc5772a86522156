/** A live session: its identity, its end, and the timers that bring the end about. */
import { AppError } from "@sallyport/runtime";
import type { RecheckResponse } from "@sallyport/proto/identity";
import type { Principal } from "@sallyport/proto/principal";
import type { SessionContext } from "@sallyport/proto/policy";
import { RecordKind, SessionClosed, SessionClosed_Cause } from "@sallyport/proto/record";
import { pause } from "./approval-wait.ts";
import { type ConnectedBy, ConnectRight } from "./connect-right.ts";
import { RowCounts, type RowMeter } from "./counts/row-counts.ts";
import { SessionGate, type GatedSession } from "./gate.ts";
import type { Sink } from "./gate-interface.ts";
import type { AccessChange, Scope } from "./leases.ts";
import type { EndCause, KnownVerdict, SessionEnd } from "./outcome.ts";
import type { EdgePlace } from "./place.ts";
import { SessionRecorder, type RecorderOwner } from "./recorder/session-recorder.ts";
import type { Present } from "./registry.ts";
import type { EdgeSession } from "./session-interface.ts";

export interface SessionFacts {
  id: string;
  principal: Principal;
  connection: string;
  database: string;
  hiddenClasses: readonly string[];
  /** logged in to the target with a role that whoever may not write is not given */
  forWriters?: boolean;
  clientAddress: string;
  openedAtMs: number;
  /** ms from now */
  recheckAfterMs: number;
}

const CLOSE_MS = 2000;
/** setTimeout's longest */
const LONGEST_MS = 2 ** 31 - 1;
const RECHECK_RETRY_MS = 5000;
const RECHECKS = 20;
const RECHECK_PAUSE_MS = 50;
/** For so long a session goes on whose identity cannot be read anew because nobody answers; events still end it. */
const RECHECK_GRACE_MS = 5 * 60_000;

const CAUSES: Record<EndCause, SessionClosed_Cause> = {
  client: SessionClosed_Cause.CAUSE_CLIENT,
  target: SessionClosed_Cause.CAUSE_TARGET,
  revoked: SessionClosed_Cause.CAUSE_REVOKED,
  expired: SessionClosed_Cause.CAUSE_EXPIRED,
  bus: SessionClosed_Cause.CAUSE_BUS,
  protocol: SessionClosed_Cause.CAUSE_PROTOCOL,
  shutdown: SessionClosed_Cause.CAUSE_SHUTDOWN,
  policy: SessionClosed_Cause.CAUSE_POLICY,
  internal: SessionClosed_Cause.CAUSE_INTERNAL,
};

export class LiveSession implements EdgeSession, GatedSession, RecorderOwner, Present {
  readonly id: string;
  readonly connection: string;
  readonly database: string;
  readonly hiddenClasses: readonly string[];
  readonly forWriters: boolean;
  readonly edge: string;
  readonly protocol: string;
  readonly signal: AbortSignal;
  readonly gate: SessionGate;
  readonly scope: Scope;
  readonly counts: RowCounts;
  principal: Principal;

  private readonly place: EdgePlace;
  private readonly facts: SessionFacts;
  private readonly sink: Sink;
  private readonly recorder: SessionRecorder;
  private readonly controller = new AbortController();
  private readonly connect: ConnectRight;
  private by: ConnectedBy | undefined;
  private closing: Promise<void> | undefined;
  private expiry: NodeJS.Timeout | undefined;
  private recheck: NodeJS.Timeout | undefined;
  private recheckFailingSince = 0;
  private recheckAfterMs: number;
  /** the principal that we have is known to be old */
  private stale = false;
  private reading: Promise<void> | undefined;
  private onBusFailed: () => void = () => {};

  constructor(place: EdgePlace, facts: SessionFacts, sink: Sink) {
    this.place = place;
    this.facts = facts;
    this.sink = sink;
    this.recheckAfterMs = facts.recheckAfterMs;
    this.id = facts.id;
    this.principal = facts.principal;
    this.connection = facts.connection;
    this.database = facts.database;
    this.hiddenClasses = facts.hiddenClasses;
    this.forWriters = facts.forWriters === true;
    this.edge = place.options.edge;
    this.protocol = place.options.protocol;
    this.signal = this.controller.signal;
    this.scope = place.leases.scope(facts.connection, facts.database, facts.principal.id);
    this.counts = new RowCounts(place.counts, facts.principal.id, facts.connection);
    this.recorder = new SessionRecorder(
      place.lane,
      {
        sessionId: facts.id,
        principalId: facts.principal.id,
        actors: facts.principal.actors.map((actor) => actor.id),
        connection: facts.connection,
        protocol: this.protocol,
      },
      this,
    );
    place.lane.join(this.recorder);
    this.gate = new SessionGate({
      session: this,
      recorder: this.recorder,
      sink,
      leases: place.leases,
      scope: this.scope,
      links: place.links,
      literals: place.options.literals,
      limits: place.limits,
      telemetry: place.telemetry,
      log: place.log,
    });
    const { gate, scope } = this;
    const { leases, log } = place;
    const decided = gate.decidedBeside.bind(gate);
    this.connect = new ConnectRight({ session: this, policy: place.links.policy, leases, scope, log, decided });
  }

  /** The decision that it is opened by. */
  connectedBy(by: ConnectedBy): void {
    this.by = by;
  }

  /**
   * Records SessionOpened and the connect decision that it names; rejects with AppError `unavailable` when the bus fails
   * before they are acknowledged.
   */
  async open(opened: Uint8Array, verdict: Uint8Array | undefined): Promise<void> {
    const acked = new Promise<void>((resolve, reject) => {
      this.onBusFailed = () => reject(new AppError("unavailable", "edge.open", "the log cannot be written right now"));
      this.recorder.append(RecordKind.RECORD_KIND_SESSION_OPENED, opened, true);
      if (verdict !== undefined) this.recorder.append(RecordKind.RECORD_KIND_VERDICT_REACHED, verdict, true);
      this.recorder.whenAcked(resolve);
    });
    try {
      await acked;
    } catch (error) {
      await this.close();
      throw error;
    }
    this.onBusFailed = () => {};
    this.place.telemetry.sessionOpened();
    this.startTimers();
    if (this.by !== undefined) this.connect.start(this.by);
  }

  meter(verdict: KnownVerdict): RowMeter {
    return this.counts.meter(verdict.facts, verdict.limits);
  }

  context(ownProbes = 0): SessionContext {
    const { connection, database, clientAddress, openedAtMs } = this.facts;
    return {
      counts: this.counts.counts(ownProbes),
      sessionId: this.id,
      principal: this.principal,
      connection,
      database,
      clientAddress,
      openedAtMs,
      edge: this.edge,
    };
  }

  end(cause: EndCause, message: string): void {
    if (this.signal.aborted) return;
    const reason: SessionEnd = { cause, message };
    if (cause === "bus") this.gate.shut();
    else this.gate.stop();
    this.controller.abort(reason);
  }

  fault(error: unknown): void {
    this.place.log.error({ err: error, session: this.id }, "a fault in a session");
    this.end("internal", "Internal error.");
  }

  lastWords(bytes: Buffer): void {
    if (this.signal.aborted && (this.signal.reason as SessionEnd).cause === "bus" && !this.sink.destroyed) {
      this.sink.write(bytes);
    }
  }

  close(): Promise<void> {
    this.closing ??= this.finish();
    return this.closing;
  }

  // ---- the recorder's owner

  relieved(): void {
    try {
      this.gate.onDrain?.();
    } catch (error) {
      this.fault(error);
    }
  }

  busFailed(): void {
    this.end("bus", "The log cannot be written, so nothing more can be let through.");
    this.onBusFailed();
  }

  // ---- identity

  get rereading(): Promise<void> | undefined {
    return this.stale ? this.startReading() : this.connect.pending;
  }

  reconnect(): void {
    if (this.by !== undefined) this.connect.again();
  }

  accessChanged({ connection, database, approvalId, ended }: AccessChange): void {
    if (connection !== this.connection || database !== this.database) return;
    if (ended && this.gate.runsBy(approvalId)) {
      return this.end("expired", "The access that a running command was let through by has ended.");
    }
    this.reconnect();
  }

  reread(): void {
    this.stale = true;
    void this.startReading();
  }

  /** One reading at a time; whoever decides next waits for it, and is told when it fails. */
  private startReading(): Promise<void> {
    if (this.reading === undefined) {
      this.reading = this.read();
      this.reading.catch(() => {});
    }
    return this.reading;
  }

  /** Identity's answer counts; its silence does not: then the session waits, and is ended by the grace's end. */
  private async read(): Promise<void> {
    try {
      const { principal, recheckAfterMs } = await this.ask();
      if (principal === undefined || principal.id !== this.principal.id) {
        throw new AppError("unauthenticated", "edge.recheck", "the token is somebody else's now");
      }
      this.principal = principal;
      this.stale = false;
      this.recheckFailingSince = 0;
      this.recheckAfterMs = recheckAfterMs;
      this.gate.forget();
      this.startTimers();
      this.reconnect();
    } catch (error) {
      const known = AppError.from(error, "edge.recheck");
      if (known.code === "unavailable" || known.code === "deadline" || known.code === "exhausted") {
        this.retryRecheck();
        throw new AppError("unavailable", "edge.recheck", "your identity cannot be checked right now", {
          cause: error,
        });
      }
      this.end("revoked", "Your access has been withdrawn.");
      throw known;
    } finally {
      this.reading = undefined;
    }
  }

  /** Identity may not have seen yet what we have: then it is asked again. */
  private async ask(): Promise<RecheckResponse> {
    const { links, leases } = this.place;
    for (let round = 0; round < RECHECKS; round++) {
      const answer = await links.identity.recheck(this.principal.tokenId);
      if (answer.asOf >= leases.groupsChangedAt(this.principal.id)) return answer;
      await pause(RECHECK_PAUSE_MS, this.signal);
    }
    throw new AppError("unavailable", "edge.recheck", "identity has not seen the newest events yet");
  }

  private retryRecheck(): void {
    const now = Date.now();
    if (this.recheckFailingSince === 0) this.recheckFailingSince = now;
    if (now - this.recheckFailingSince > RECHECK_GRACE_MS) {
      this.end("revoked", "Your identity could not be checked any more.");
    } else this.armRecheck(RECHECK_RETRY_MS);
  }

  private armRecheck(afterMs: number): void {
    clearTimeout(this.recheck);
    if (this.signal.aborted) return;
    this.recheck = setTimeout(
      () => {
        void this.startReading();
      },
      Math.min(Math.max(afterMs, 1000), LONGEST_MS),
    );
    this.recheck.unref();
  }

  private startTimers(): void {
    if (this.recheckAfterMs > 0) this.armRecheck(this.recheckAfterMs);
    clearTimeout(this.expiry);
    const { expiresAtMs } = this.principal;
    if (expiresAtMs === 0 || this.signal.aborted) return;
    const leftMs = expiresAtMs - Date.now();
    if (leftMs <= 0) return this.end("expired", "Your access token has expired: log in again.");
    this.expiry = setTimeout(() => this.startTimers(), Math.min(leftMs, LONGEST_MS));
    this.expiry.unref();
  }

  private async finish(): Promise<void> {
    this.end("client", "");
    clearTimeout(this.expiry);
    clearTimeout(this.recheck);
    this.connect.stop();
    const { gate, recorder, place } = this;
    const { cause, message } = this.signal.reason as SessionEnd;
    gate.finish();
    const closed: SessionClosed = {
      cause: CAUSES[cause],
      error: message,
      commands: gate.commands,
      bytesToClient: gate.bytesReleased,
      bytesFromClient: gate.bytesFromClient,
      recordedBytesToClient: gate.bytesToClient,
    };
    recorder.append(RecordKind.RECORD_KIND_SESSION_CLOSED, SessionClosed.encode(closed).finish(), true);
    if (!recorder.failed && place.lane.healthy) await acknowledged(recorder, CLOSE_MS);
    gate.shut();
    place.lane.leave(recorder);
    place.leases.release(this.scope);
    this.counts.release();
    place.registry.delete(this);
  }
}

/** Resolves with the acknowledgement of everything appended so far, or after `deadlineMs`. */
export function acknowledged(recorder: SessionRecorder, deadlineMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), deadlineMs);
    recorder.whenAcked(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
