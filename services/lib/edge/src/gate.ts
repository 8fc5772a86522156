/**
 * The gate of one session: the one place that has the order decide → record → forward, and mask → record → release (I1).
 */
import { AppError, type Logger } from "@sallyport/runtime";
import type { Principal } from "@sallyport/proto/principal";
import {
  CancelRequested,
  CommandCompleted_Status,
  CommandDenied,
  CommandHeld,
  RecordKind,
  ResultMasked,
  ResultRefused,
  StatementPrepared,
  VerdictReached,
  type ColumnClass,
} from "@sallyport/proto/record";
import type { RequestApprovalResponse, UseResponse } from "@sallyport/proto/approval";
import type { SessionContext } from "@sallyport/proto/policy";
import { DenyReason, type Hold as HeldForbid } from "@sallyport/proto/verdict";
import { awaitAnswer } from "./approval-wait.ts";
import type { RowCounts } from "./counts/row-counts.ts";
import { Decisions, DECISIONS } from "./decisions.ts";
import { digestOf } from "./digest.ts";
import { showUnit } from "./held-command.ts";
import type { EdgeLimits } from "./edge.ts";
import type { Completion, Gate, MaskedResult, Sink } from "./gate-interface.ts";
import type { Leases, Scope } from "./leases.ts";
import type { Links } from "./links.ts";
import { recordUnit, textOf } from "./unit-record.ts";
import type { Decision, Deny, DenyKind, EndCause, Forward, Held, Hold } from "./outcome.ts";
import { Outbox } from "./outbox.ts";
import { utf8 } from "./recorder/facts.ts";
import { FRAME_BYTES, type SessionRecorder } from "./recorder/session-recorder.ts";
import type { CommandTrace, EdgeTelemetry } from "./telemetry.ts";
import type { GateForward, GateHold } from "./ticket.ts";
import type { AdmissionUnit, CommandContext, LiteralLexer } from "./unit.ts";
import type { VerdictEntry } from "./verdict-cache.ts";

/** What the gate needs of the session that it belongs to. */
export interface GatedSession {
  readonly id: string;
  readonly connection: string;
  readonly database: string;
  readonly edge: string;
  readonly protocol: string;
  readonly signal: AbortSignal;
  readonly principal: Principal;
  /** `ownProbes`: probes that were counted for the command that is asked about. */
  context(ownProbes?: number): SessionContext;
  readonly counts: Pick<RowCounts, "probed" | "probesVersion" | "heldBy">;
  /** Defined while the principal is being read anew: no decision before that. Rejects with AppError. */
  readonly rereading: Promise<void> | undefined;
  /** logged in to the target with a role that whoever may not write is not given */
  readonly forWriters: boolean;
  end(cause: EndCause, message: string): void;
  /** A fault in the protocol's code: the session ends. */
  fault(error: unknown): void;
}

export interface GateParts {
  session: GatedSession;
  recorder: SessionRecorder;
  sink: Sink;
  leases: Leases;
  scope: Scope;
  links: Pick<Links, "policy" | "approval" | "catalog">;
  literals: LiteralLexer | undefined;
  limits: EdgeLimits;
  telemetry: EdgeTelemetry;
  log: Logger;
}

const always = (): boolean => true;

const CHANGED = "The rules changed while this command was on its way: run it again.";
const CANCELLED = "The command was cancelled while it waited for approval.";

/** The sentence of a wait that the session's own settings have ended; undefined: the client did. */
const lateness = (signal: AbortSignal | undefined): string | undefined =>
  signal?.reason instanceof AppError && signal.reason.code === "deadline" ? signal.reason.message : undefined;

interface Admission {
  decision: GateForward;
  readonly answer: (outcome: Decision) => void;
  /** may it go under this verdict instead? */
  readonly fits: (again: Forward) => boolean;
  acked: boolean;
  dropped: boolean;
  decisions: number;
}

interface Running {
  /** that it was let through by; empty: no grant was needed */
  readonly approvalId: string;
  readonly forwardedAt: number;
  readonly waitUs: number;
  bytes: number;
  readonly trace: CommandTrace | undefined;
}

export class SessionGate implements Gate {
  onDrain: (() => void) | undefined;
  commands = 0;
  bytesFromClient = 0;
  bytesToClient = 0;
  private readonly parts: GateParts;
  private readonly recorder: SessionRecorder;
  private readonly outbox: Outbox;
  private readonly decisions: Decisions;
  private readonly running = new Map<number, Running>();
  private readonly admissions: Admission[] = [];
  private deciding = false;
  /** nothing is admitted any more */
  private ended = false;
  /** nothing is released any more */
  private shutDown = false;
  /** nothing is recorded any more: SessionClosed is the last record */
  private finished = false;

  constructor(parts: GateParts) {
    this.parts = parts;
    this.recorder = parts.recorder;
    this.outbox = new Outbox(parts.recorder, parts.sink);
    this.decisions = new Decisions(parts);
  }

  get pressed(): boolean {
    return this.recorder.pressed;
  }

  get bytesReleased(): number {
    return this.outbox.bytesReleased;
  }

  setContext(context: CommandContext): void {
    this.decisions.setContext(context);
  }

  /** The session's verdicts are worth nothing any more (its principal was read anew). */
  forget(): void {
    this.decisions.forget();
  }

  // ---- decide

  decide(unit: AdmissionUnit): Decision | Promise<Decision> {
    this.bytesFromClient += unit.text.length;
    return this.decisions.decide({
      command: ++this.commands,
      unit,
      arrivedAt: unit.arrivedAt ?? performance.now(),
      trace: this.parts.telemetry.beginCommand(),
    });
  }

  // ---- record → forward

  admit(decision: Forward, then: (outcome: Decision) => void, fits: (again: Forward) => boolean = always): void {
    if (this.ended) return;
    const admission: Admission = {
      decision: decision as GateForward,
      answer: then,
      fits,
      acked: false,
      dropped: false,
      decisions: 1,
    };
    this.admissions.push(admission);
    this.record(admission);
  }

  private record(admission: Admission): void {
    const { decision } = admission;
    const { trace } = decision.ticket;
    this.recordVerdict(decision.verdict);
    recordUnit(this.recorder, decision, trace?.traceId);
    if (trace !== undefined) this.recorder.traced(trace.traceparent);
    this.recorder.whenAcked(() => {
      admission.acked = true;
      trace?.recorded();
      this.advance();
    });
  }

  /** Once per session: the command's own record names it. */
  private recordVerdict(verdict: VerdictEntry): void {
    if (verdict.signed === undefined) return;
    const fact = VerdictReached.encode({ verdict: verdict.signed }).finish();
    verdict.signed = undefined;
    this.append(RecordKind.RECORD_KIND_VERDICT_REACHED, fact, false);
  }

  /** A verdict about the session as a whole. */
  decidedBeside(verdict: VerdictEntry): void {
    this.recordVerdict(verdict);
  }

  /** Is a command under way that was let through by this? */
  runsBy(approvalId: string): boolean {
    for (const running of this.running.values()) if (running.approvalId === approvalId) return true;
    return false;
  }

  holds(decision: Forward): boolean {
    const { leases, scope, session } = this.parts;
    const { contextVersion, verdict } = decision as GateForward;
    return (
      contextVersion === this.decisions.contextVersion &&
      verdict.usable(scope.newest) &&
      session.rereading === undefined &&
      leases.valid()
    );
  }

  again(decision: Forward): Promise<Decision> {
    const { ticket, grant } = decision as GateForward;
    return this.decisions.ask({ ...ticket, arrivedAt: performance.now(), trace: undefined }, grant);
  }

  /** Forwards what is acknowledged, in order, under a lease that holds now and a verdict that has seen everything. */
  private advance(): void {
    while (!this.deciding && !this.ended) {
      const admission = this.admissions[0];
      if (admission === undefined || !admission.acked) return;
      if (admission.dropped) {
        this.admissions.shift();
        continue;
      }
      if (!this.holds(admission.decision)) {
        void this.decideAgain(admission);
        return;
      }
      this.admissions.shift();
      this.forward(admission);
    }
  }

  private forward(admission: Admission): void {
    const { decision } = admission;
    const { ticket, command } = decision;
    const now = performance.now();
    const waitUs = Math.max(0, Math.round((now - ticket.arrivedAt) * 1000));
    this.recorder.forwarded(command);
    if (!this.running.has(command)) {
      const { approvalId } = decision;
      this.running.set(command, { approvalId, forwardedAt: now, waitUs, bytes: 0, trace: ticket.trace });
    }
    this.parts.telemetry.forwarded(waitUs);
    ticket.trace?.forwarded();
    admission.answer(decision);
  }

  /** The lease or the epoch moved between decision and acknowledgement. Those behind wait. */
  private async decideAgain(admission: Admission): Promise<void> {
    this.deciding = true;
    const { ticket, grant } = admission.decision;
    let again: Decision =
      ++admission.decisions > DECISIONS
        ? this.decisions.unavailable(ticket, "The rules change too quickly to decide this command. Try again.")
        : await this.decisions.ask(ticket, grant);
    this.deciding = false;
    if (this.ended) return;
    if (again.outcome === "forward" && !admission.fits(again)) {
      again = { ...this.decisions.unavailable(ticket, CHANGED), verdict: again.verdict };
    }
    this.guard(() => {
      if (admission.dropped) return this.advance();
      if (again.outcome === "forward") {
        admission.decision = again as GateForward;
        admission.acked = false;
        return this.record(admission);
      }
      this.admissions.shift();
      admission.answer(again);
      this.advance();
    });
  }

  abandon(commands: readonly number[]): void {
    if (commands.length === 0) return;
    const named = new Set(commands);
    for (const admission of this.admissions) if (named.has(admission.decision.command)) this.drop(admission);
  }

  private drop(admission: Admission): void {
    if (admission.dropped) return;
    admission.dropped = true;
    const { command, ticket } = admission.decision;
    ticket.trace?.completed(CommandCompleted_Status.STATUS_CANCELLED);
    this.completed(command, { status: CommandCompleted_Status.STATUS_CANCELLED });
  }

  // ---- deny, hold

  deny(decision: Deny, code: string): void {
    const { command, verdict, unit, message, approvalId } = decision;
    if (verdict !== undefined) this.recordVerdict(verdict as VerdictEntry);
    const { text, parameters } = textOf(unit);
    const fact = CommandDenied.encode({
      command,
      verdictId: verdict?.id ?? "",
      unit: unit.unit,
      text,
      code,
      message,
      parameters,
      approvalId,
      traceId: "",
    }).finish();
    this.append(RecordKind.RECORD_KIND_COMMAND_DENIED, fact, false);
  }

  async hold(decision: Hold): Promise<Held | Deny> {
    const { session, links } = this.parts;
    const { ticket, verdict } = decision as GateHold;
    const { command, unit, holds } = decision;
    const { executes } = verdict.facts;
    const shown = showUnit(unit, executes);
    if (shown.outcome === "unreadable") {
      const reason = DenyReason.DENY_REASON_NOT_APPROVED;
      return { ...this.decisions.refuse(ticket, "not-approved", reason, shown.message), verdict };
    }
    const digest = digestOf(unit, {
      connection: session.connection,
      database: session.database,
      context: this.decisions.context,
      executes,
    });
    try {
      const ask = (): Promise<RequestApprovalResponse> =>
        links.approval.request({
          sessionId: session.id,
          principal: session.principal,
          connection: session.connection,
          database: session.database,
          command,
          text: shown.text,
          shown: shown.command,
          normalized: verdict.facts.normalized,
          digest,
          holds: [...holds] as HeldForbid[],
          verdictId: verdict.id,
          edge: session.edge,
        });
      const asked = await (ticket.trace === undefined ? ask() : ticket.trace.during(ask));
      this.recordVerdict(verdict);
      const fact = CommandHeld.encode({
        command,
        verdictId: verdict.id,
        approvalId: asked.approvalId,
        digest,
      }).finish();
      this.append(RecordKind.RECORD_KIND_COMMAND_HELD, fact, true);
      const { approvalId, expiresAtMs } = asked;
      return { outcome: "held", command, unit, hold: decision, approvalId, expiresAtMs, digest };
    } catch (error) {
      const known = AppError.from(error, "edge.hold");
      this.parts.log.warn({ err: known, session: session.id }, "cannot ask for approval");
      const message = `This needs approval, and approval cannot be asked for right now: ${known.message}.`;
      return { ...this.decisions.refuse(ticket, "unavailable", DenyReason.DENY_REASON_UNSPECIFIED, message), verdict };
    }
  }

  async awaitGrant(held: Held, signal?: AbortSignal): Promise<Forward | Deny> {
    const { session, links, log } = this.parts;
    const { ticket, verdict } = held.hold as GateHold;
    const { approvalId, digest } = held;
    const cancelled = signal === undefined ? session.signal : AbortSignal.any([session.signal, signal]);
    let answered = await awaitAnswer(links.approval, approvalId, held.expiresAtMs, cancelled);
    // a cancel that came with the grant: the grant is not used
    if (answered.answer === "granted" && cancelled.aborted) answered = { answer: "cancelled" };
    const refused = (kind: DenyKind, message: string): Deny => ({
      ...this.decisions.refuse(ticket, kind, DenyReason.DENY_REASON_NOT_APPROVED, message, approvalId),
      verdict,
    });
    const late = lateness(signal);
    const gaveUp = (): Deny => refused("cancelled", lateness(signal) ?? CANCELLED);
    switch (answered.answer) {
      case "denied": {
        const why = answered.reason === "" ? "" : `: ${answered.reason}`;
        return refused("not-approved", `${answered.by} did not approve this command${why}`);
      }
      case "expired":
        return refused("not-approved", "Nobody approved this command in time.");
      case "cancelled": {
        const cause = session.signal.aborted ? "session ended" : late === undefined ? "cancelled by the client" : late;
        links.approval.withdraw(approvalId, cause).catch((err: unknown) => {
          log.warn({ err, approval: approvalId }, "cannot withdraw a request");
        });
        return gaveUp();
      }
      case "granted":
        break;
    }
    try {
      const use = (): Promise<UseResponse> =>
        links.approval.use({ approvalId, sessionId: session.id, command: ticket.command, digest });
      const used = await (ticket.trace === undefined ? use() : ticket.trace.during(use));
      if (cancelled.aborted) return gaveUp();
      const decision = await this.decisions.ask(ticket, { approvalId, digest, asOf: used.asOf });
      if (cancelled.aborted) return gaveUp();
      // a hold cannot come back: with a grant it is a denial
      return decision.outcome === "hold" ? refused("not-approved", decision.verdict.message) : decision;
    } catch (error) {
      const known = AppError.from(error, "edge.use");
      if (known.code === "failed-precondition") return refused("not-approved", known.message);
      return refused("unavailable", `The grant could not be used: ${known.message}.`);
    }
  }

  // ---- record → release

  release(command: number, bytes: Buffer, columns?: readonly ColumnClass[]): boolean {
    const { recorder, outbox } = this;
    if (this.shutDown || this.finished) return false;
    const running = command === 0 ? undefined : this.running.get(command);
    if (running !== undefined) running.bytes += bytes.length;
    this.bytesToClient += bytes.length;
    if (bytes.length <= FRAME_BYTES) {
      if (bytes.length === 0) return !recorder.pressed;
      recorder.frameToClient(command, bytes, columns);
      outbox.push(bytes);
      return !recorder.pressed;
    }
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
      const part = bytes.subarray(at, at + FRAME_BYTES);
      recorder.frameToClient(command, part, at === 0 ? columns : undefined);
      outbox.push(part);
    }
    return !recorder.pressed;
  }

  afterRelease(then: () => void): void {
    this.outbox.push(() => this.guard(then));
  }

  fromClient(command: number, bytes: Buffer, forward: () => void): boolean {
    const { recorder } = this;
    if (this.ended) return false;
    this.bytesFromClient += bytes.length;
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
      recorder.frameFromClient(command, bytes.subarray(at, at + FRAME_BYTES));
    }
    recorder.whenAcked(() => {
      if (!this.ended) forward();
    });
    return !recorder.pressed;
  }

  masked(command: number, result: MaskedResult): void {
    if (result.columns.length === 0 && !result.scrubbedText) return;
    const fact = ResultMasked.encode({ command, ...result, columns: [...result.columns] }).finish();
    this.append(RecordKind.RECORD_KIND_RESULT_MASKED, fact, false);
    if (result.maskedCells > 0) this.parts.telemetry.masked(result.maskedCells);
    this.running.get(command)?.trace?.masked();
  }

  resultRefused(refused: ResultRefused): void {
    this.append(RecordKind.RECORD_KIND_RESULT_REFUSED, ResultRefused.encode(refused).finish(), true);
  }

  prepared(decision: Forward, parameterTypes: readonly number[]): void {
    const { command, unit, verdict } = decision;
    const fact = StatementPrepared.encode({
      command,
      verdictId: verdict.id,
      statementName: unit.statementName ?? "",
      text: textOf(unit).text,
      parameterTypes: [...parameterTypes],
    }).finish();
    this.append(RecordKind.RECORD_KIND_STATEMENT_PREPARED, fact, false);
  }

  completed(command: number, completion: Completion): void {
    const running = this.running.get(command);
    this.running.delete(command);
    this.recordCompleted(command, running, completion);
    running?.trace?.completed(completion.status);
  }

  private recordCompleted(command: number, running: Running | undefined, completion: Completion): void {
    if (this.finished) return;
    this.recorder.completed({
      command,
      status: completion.status,
      code: utf8(completion.code ?? ""),
      tag: utf8(completion.tag ?? ""),
      rows: completion.rows ?? 0,
      bytesToClient: running?.bytes ?? 0,
      durationUs: running === undefined ? 0 : Math.max(0, Math.round((performance.now() - running.forwardedAt) * 1000)),
      waitUs: running?.waitUs ?? 0,
    });
  }

  cancelRequested(clientAddress: string, command: number): void {
    const fact = CancelRequested.encode({ clientAddress, command }).finish();
    this.append(RecordKind.RECORD_KIND_CANCEL_REQUESTED, fact, true);
  }

  private append(kind: RecordKind, fact: Uint8Array, urgent: boolean): void {
    if (!this.finished) this.recorder.append(kind, fact, urgent);
  }

  // ---- the end

  /** Nothing is admitted any more; answers may still be released. */
  stop(): void {
    if (this.ended) return;
    for (const admission of this.admissions) this.drop(admission);
    this.ended = true;
    this.decisions.end();
  }

  /** Records what is open as unknown: it was forwarded, and nobody saw the end of it. */
  finish(): void {
    this.stop();
    if (this.finished) return;
    for (const [command, running] of this.running) {
      this.recordCompleted(command, running, { status: CommandCompleted_Status.STATUS_UNKNOWN });
      running.trace?.completed(CommandCompleted_Status.STATUS_UNKNOWN);
    }
    this.running.clear();
    this.finished = true;
  }

  /** Nothing leaves any more: the bus has failed, or the session is closed. */
  shut(): void {
    this.stop();
    this.shutDown = true;
    this.outbox.close();
  }

  private guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.parts.session.fault(error);
    }
  }
}
