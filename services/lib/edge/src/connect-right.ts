/**
 * May a session stay? Decided at login, and again when what that depends on has moved (policies, groups, access for a time)
 * or its time is over. Until it is decided nothing is admitted; a session that may not stay ends, with what runs in it.
 */
import { AppError, type Logger } from "@sallyport/runtime";
import type { SessionContext } from "@sallyport/proto/policy";
import { DenyReason } from "@sallyport/proto/verdict";
import type { Leases, Scope } from "./leases.ts";
import type { PolicyLink } from "./links.ts";
import type { EndCause } from "./outcome.ts";
import { outcomeOf, VerdictEntry } from "./verdict-cache.ts";

const CHECK_MS = 2000;
const LEASE_WAIT_MS = 1000;
/** After the end of its time a session is given so long for an answer that lets it stay. */
const OVER_MS = 700;
const RETRY_MS = 200;
/** What follows the clock is not decided more often. */
const LEAST_MS = 1000;
/** Decisions that are asked for anew because the world moved meanwhile. */
const DECISIONS = 4;
/** setTimeout's longest */
const LONGEST_MS = 2 ** 31 - 1;

export interface ConnectRightParts {
  readonly session: {
    readonly id: string;
    readonly signal: AbortSignal;
    context(): SessionContext;
    end(cause: EndCause, message: string): void;
  };
  readonly policy: PolicyLink;
  readonly leases: Leases;
  readonly scope: Scope;
  readonly log: Logger;
  /** for the record: what the session stays by, or ends for */
  decided(verdict: VerdictEntry): void;
}

/** Of the decision that the session is open by. */
export interface ConnectedBy {
  readonly asOf: number;
  readonly approvalId: string;
  /** ms since 1970; Infinity: until something moves */
  readonly expiresAtMs: number;
}

export class ConnectRight {
  private readonly parts: ConnectRightParts;
  private by: ConnectedBy = { asOf: 0, approvalId: "", expiresAtMs: Infinity };
  private stale = false;
  /** rises when something moves */
  private moved = 0;
  private asking: Promise<void> | undefined;
  private expiry: NodeJS.Timeout | undefined;
  private retry: NodeJS.Timeout | undefined;
  /** performance.now() at which a session whose time is over ends, whatever is known by then */
  private endsAt = Infinity;
  private stopped = false;

  constructor(parts: ConnectRightParts) {
    this.parts = parts;
  }

  /** The session is open. What has moved since the decision counts at once. */
  start(by: ConnectedBy): void {
    this.by = by;
    this.armExpiry();
    if (by.asOf < this.parts.scope.newest) this.again();
  }

  /** Defined while it is not known; rejects with AppError when it cannot be found out now. */
  get pending(): Promise<void> | undefined {
    return this.stale ? this.ask() : undefined;
  }

  /** Something moved that it depends on. */
  again(): void {
    if (this.stopped) return;
    this.stale = true;
    this.moved++;
    void this.ask();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.expiry);
    clearTimeout(this.retry);
  }

  private armExpiry(): void {
    clearTimeout(this.expiry);
    const { expiresAtMs, approvalId } = this.by;
    if (this.stopped || expiresAtMs === Infinity) return;
    const leftMs = Math.max(expiresAtMs - Date.now(), approvalId === "" ? LEAST_MS : 0);
    this.expiry = setTimeout(
      () => (leftMs > LONGEST_MS ? this.armExpiry() : this.over()),
      Math.min(leftMs, LONGEST_MS),
    );
    this.expiry.unref();
  }

  private over(): void {
    // What people lent for a time is over when nobody says otherwise; what follows the clock is decided when it can be.
    if (this.by.approvalId !== "") this.endsAt = performance.now() + OVER_MS;
    this.again();
  }

  /** One question at a time: whoever decides next waits for it, and is told when it fails. */
  private ask(): Promise<void> {
    if (this.asking === undefined) {
      this.asking = this.find().finally(() => (this.asking = undefined));
      this.asking.catch(() => {});
    }
    return this.asking;
  }

  private async find(): Promise<void> {
    try {
      let moved: number;
      let verdict: VerdictEntry;
      do {
        moved = this.moved;
        verdict = await this.check();
        // Asked about somebody who is another by now, in groups or in what they may: asked again.
      } while (moved !== this.moved);
      if (this.stopped || this.parts.session.signal.aborted) return;
      this.stale = false;
      this.endsAt = Infinity;
      this.obey(verdict);
    } catch (error) {
      const known = AppError.from(error, "edge.connect");
      if (known.code === "internal")
        this.parts.log.error({ err: known, session: this.parts.session.id }, "cannot decide");
      if (performance.now() >= this.endsAt) this.parts.session.end("expired", "Your time on this connection is over.");
      else this.tryLater();
      throw new AppError("unavailable", "edge.connect", "it cannot be decided right now whether you may stay", {
        cause: error,
      });
    }
  }

  private tryLater(): void {
    clearTimeout(this.retry);
    if (this.stopped) return;
    this.retry = setTimeout(() => void this.pending, RETRY_MS);
    this.retry.unref();
  }

  /** A verdict that has seen everything that matters, under a lease. */
  private async check(): Promise<VerdictEntry> {
    const { session, policy, leases, scope } = this.parts;
    const most = (ms: number): number => Math.max(1, Math.ceil(Math.min(ms, this.endsAt - performance.now())));
    for (let round = 0; round < DECISIONS; round++) {
      if (!(await leases.whenValid(most(LEASE_WAIT_MS)))) break;
      const question = { session: session.context(), minAsOf: scope.newest, deadlineMs: most(CHECK_MS) };
      const verdict = new VerdictEntry(await policy.check(question));
      if (verdict.asOf >= scope.newest && leases.valid()) return verdict;
    }
    throw new AppError("unavailable", "edge.connect", "the gateway cannot be sure of its rules right now");
  }

  private obey(verdict: VerdictEntry): void {
    const { session, decided } = this.parts;
    if (outcomeOf(verdict) === "forward" && isOver(verdict)) {
      return session.end("expired", "Your time on this connection is over.");
    }
    if (outcomeOf(verdict) === "forward") {
      if (verdict.approvalId !== this.by.approvalId) decided(verdict);
      this.by = verdict;
      this.armExpiry();
      return;
    }
    decided(verdict);
    const ended = verdict.reason === DenyReason.DENY_REASON_NOT_APPROVED;
    if (ended) session.end("expired", `Your time on this connection is over. ${verdict.message}`);
    else session.end("policy", `You may not be connected here any more. ${verdict.message}`);
  }
}

/** Our clock and that of `policy` differ by a moment: the earlier end counts. */
const isOver = ({ approvalId, expiresAtMs }: ConnectedBy): boolean => approvalId !== "" && Date.now() >= expiresAtMs;
