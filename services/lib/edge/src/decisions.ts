/**
 * What a command's decision is: from the session's cache, else from `policy`, under a lease and with everything seen that
 * matters. What cannot be decided is denied (I4).
 */
import { AppError } from "@sallyport/runtime";
import { DenyReason } from "@sallyport/proto/verdict";
import { pause } from "./approval-wait.ts";
import { copiesOf } from "./copies.ts";
import { digestOf } from "./digest.ts";
import type { GateParts } from "./gate.ts";
import type { Decision, Deny, DenyKind } from "./outcome.ts";
import { RECORD_BYTES } from "./recorder/batch.ts";
import type { GateForward, GateHold, Grant, Ticket } from "./ticket.ts";
import type { AdmissionUnit, CommandContext } from "./unit.ts";
import { outcomeOf, VerdictCache, VerdictEntry } from "./verdict-cache.ts";

const LEASE_WAIT_MS = 1000;
const CHECK_MS = 2000;
const RETRY_MS = 50;
/** Times that one command is decided anew because the world moved meanwhile. */
export const DECISIONS = 4;
/** Of a statement's or portal's name. */
const NAME_LENGTH = 1024;
const NO_CONTEXT: CommandContext = { searchPath: [], role: "", settings: {}, named: [], schemaTouched: false };

export type DecisionParts = Pick<
  GateParts,
  "session" | "leases" | "scope" | "links" | "literals" | "limits" | "telemetry" | "log"
>;

export class Decisions {
  /** of what the session's verdicts depend on; rises when it changes */
  contextVersion = 0;
  private readonly parts: DecisionParts;
  private readonly cache: VerdictCache;
  private current: CommandContext = NO_CONTEXT;
  private ended = false;
  /** the command whose probes were counted last */
  private probing = 0;
  private probesVersion = 0;

  constructor(parts: DecisionParts) {
    this.parts = parts;
    this.cache = new VerdictCache(parts.literals);
  }

  get context(): CommandContext {
    return this.current;
  }

  setContext(context: CommandContext): void {
    if (context === this.current) return;
    const same = JSON.stringify(context) === JSON.stringify(this.current);
    this.current = context;
    if (!same) this.forget();
  }

  /** The session's verdicts are worth nothing any more. */
  forget(): void {
    this.contextVersion++;
    this.cache.clear();
  }

  end(): void {
    this.ended = true;
    this.cache.clear();
  }

  /** Synchronously when the cache knows: the hot path. */
  decide(ticket: Ticket): Decision | Promise<Decision> {
    const { leases, scope, session } = this.parts;
    const { unit } = ticket;
    if (this.ended) return this.unavailable(ticket, "The session is ending.");
    const tooLong = this.tooLong(unit);
    if (tooLong !== undefined) {
      return this.refuse(ticket, "policy", DenyReason.DENY_REASON_NOT_UNDERSTOOD, tooLong);
    }
    if (session.rereading === undefined && leases.valid()) {
      this.dropOldCounts();
      const entry = this.cache.find(unit, scope.newest);
      // Of what is used up, people may be asked for more: `policy` says so.
      const held = entry !== undefined && entry.limits.length > 0 && session.counts.heldBy(entry.limits);
      if (entry !== undefined && !held) return this.decision(ticket, entry, undefined);
    }
    return this.ask(ticket, undefined);
  }

  /** Verdicts may depend on how many commands have probed: what is kept is of before. What is under way goes on. */
  private dropOldCounts(): void {
    const { probesVersion } = this.parts.session.counts;
    if (probesVersion === this.probesVersion) return;
    this.probesVersion = probesVersion;
    this.cache.probed();
  }

  /** A command that may go and probes: counted when it is decided, so that the next in its pipeline is told of it. */
  private countProbes({ command, unit }: Ticket, verdict: VerdictEntry): void {
    if (verdict.facts.probedClasses.length === 0 || unit.runsNothing === true || command === this.probing) return;
    this.probing = command;
    this.parts.session.counts.probed();
  }

  private tooLong(unit: AdmissionUnit): string | undefined {
    const { textBytes, unitBytes } = this.parts.limits;
    if (unit.text.length > textBytes) {
      return `The command is too long: ${unit.text.length} bytes, at most ${textBytes} can be decided and recorded.`;
    }
    if ((unit.statementName?.length ?? 0) > NAME_LENGTH || (unit.portalName?.length ?? 0) > NAME_LENGTH) {
      return `The command's name is too long: at most ${NAME_LENGTH} characters can be recorded.`;
    }
    let bytes = unit.text.length;
    for (const parameter of unit.parameters ?? []) bytes += 16 + (parameter.value?.length ?? 0);
    return bytes > unitBytes
      ? `The command's parameters are too long: ${bytes} bytes, at most ${unitBytes} can be recorded.`
      : undefined;
  }

  /** Asks `policy` until it has seen everything that matters. Never rejects: what cannot be decided is denied (I4). */
  async ask(ticket: Ticket, grant: Grant | undefined): Promise<Decision> {
    const { leases, scope, session } = this.parts;
    try {
      const deadline = performance.now() + LEASE_WAIT_MS + CHECK_MS;
      for (let round = 0; round < DECISIONS; round++) {
        if (!(await leases.whenValid(LEASE_WAIT_MS))) break;
        if (session.rereading !== undefined) await session.rereading;
        const version = this.contextVersion;
        const entry = await this.check(ticket, grant, deadline);
        if (this.ended) return this.unavailable(ticket, "The session is ending.");
        // the world moved while policy was asked
        if (!entry.usable(scope.newest) || version !== this.contextVersion) continue;
        if (entry.facts.flows.length > 0 && outcomeOf(entry) === "forward") {
          // The session's own next result is to know the copy, whenever its event arrives here.
          scope.newest = Math.max(scope.newest, await this.noteCopies(entry));
          if (!entry.usable(scope.newest)) continue;
        }
        if (grant === undefined) this.cache.add(ticket.unit, entry);
        return this.decision(ticket, entry, grant);
      }
      return this.unavailable(
        ticket,
        "The gateway cannot be sure of its rules right now, so nothing is let through. Try again.",
      );
    } catch (error) {
      const known = AppError.from(error, "edge.decide");
      if (known.code === "internal") this.parts.log.error({ err: known, session: session.id }, "cannot decide");
      return this.unavailable(ticket, `The gateway could not decide this command: ${known.message}.`);
    }
  }

  /** Before the command goes on, what it may write elsewhere counts as written (ADR 0011). Returns as of when it does. */
  private async noteCopies(verdict: VerdictEntry): Promise<number> {
    const { links, session } = this.parts;
    const copies = copiesOf(verdict);
    if (copies.length === 0) return 0;
    const { connection, database } = session;
    const { asOf } = await links.catalog.recordCopies({ connection, database, copies });
    return asOf;
  }

  /** One verdict. A stream that broke is asked again within the deadline: a check has no effect. */
  private async check(ticket: Ticket, grant: Grant | undefined, deadline: number): Promise<VerdictEntry> {
    const { links, scope, session } = this.parts;
    const { searchPath, role, settings, named, schemaTouched, temporary } = this.current;
    const { unit } = ticket;
    for (;;) {
      const deadlineMs = Math.min(CHECK_MS, Math.ceil(deadline - performance.now()));
      if (deadlineMs <= 0) throw new AppError("deadline", "edge.check", "no verdict in time");
      try {
        const signed = await links.policy.check({
          session: session.context(ticket.command === this.probing ? 1 : 0),
          command: {
            protocol: session.protocol,
            unit: unit.unit,
            text: unit.text.toString("utf8"),
            searchPath: [...searchPath],
            role,
            settings: { ...settings },
            named: [...named],
            schemaTouched,
            approvalId: grant?.approvalId ?? "",
            digest: grant?.digest ?? Buffer.alloc(0),
            temporary: [...(temporary ?? [])],
          },
          minAsOf: Math.max(scope.newest, grant?.asOf ?? 0),
          deadlineMs,
          ...(ticket.trace === undefined ? {} : { traceparent: ticket.trace.traceparent }),
        });
        return new VerdictEntry(signed);
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "unavailable") throw error;
        await pause(RETRY_MS, session.signal);
        if (session.signal.aborted) throw error;
      }
    }
  }

  private decision(ticket: Ticket, verdict: VerdictEntry, grant: Grant | undefined): Decision {
    const { session } = this.parts;
    const { command, unit } = ticket;
    const outcome = outcomeOf(verdict);
    this.parts.telemetry.decided(outcome);
    if (verdict.signed !== undefined && verdict.signed.verdict.length > RECORD_BYTES - 1024) {
      return this.refuse(
        ticket,
        "policy",
        DenyReason.DENY_REASON_NOT_UNDERSTOOD,
        "The command is too complex for its decision to be recorded.",
      );
    }
    if (outcome === "forward" && session.forWriters && !verdict.mayWrite) {
      session.end("policy", "You may not write here any more, and this session could: log in again.");
      return this.unavailable(ticket, "The session is ending.");
    }
    if (outcome === "forward" && grant !== undefined && !this.isFor(ticket, verdict, grant)) {
      const message = "What this command would do has changed since it was approved. Run it again to ask anew.";
      const reason = DenyReason.DENY_REASON_NOT_APPROVED;
      return { ...this.refuse(ticket, "not-approved", reason, message, grant.approvalId), verdict };
    }
    if (outcome === "forward" || (outcome === "hold" && unit.runsNothing === true)) {
      this.countProbes(ticket, verdict);
      const approvalId = grant?.approvalId ?? verdict.approvalId;
      const { contextVersion } = this;
      ticket.trace?.decided("forward");
      const forward: GateForward = {
        outcome: "forward",
        command,
        unit,
        verdict,
        approvalId,
        ticket,
        grant,
        contextVersion,
      };
      return forward;
    }
    if (outcome === "hold" && grant === undefined) {
      ticket.trace?.decided(outcome);
      const hold: GateHold = { outcome, command, unit, verdict, holds: verdict.holds, ticket };
      return hold;
    }
    ticket.trace?.denied();
    const message = verdict.message !== "" ? verdict.message : sentenceOf(verdict.reason);
    const approvalId = grant?.approvalId ?? "";
    return { outcome: "deny", kind: "policy", command, unit, verdict, reason: verdict.reason, message, approvalId };
  }

  /** The grant was for what this decision is about: the names that the text runs, role and path mean the same still. */
  private isFor(ticket: Ticket, verdict: VerdictEntry, grant: Grant): boolean {
    const { connection, database } = this.parts.session;
    const place = { connection, database, context: this.current, executes: verdict.facts.executes };
    return digestOf(ticket.unit, place).equals(grant.digest);
  }

  unavailable(ticket: Ticket, message: string): Deny {
    return this.refuse(ticket, "unavailable", DenyReason.DENY_REASON_UNSPECIFIED, message);
  }

  refuse(ticket: Ticket, kind: DenyKind, reason: DenyReason, message: string, approvalId = ""): Deny {
    ticket.trace?.denied();
    this.parts.telemetry.decided(kind === "unavailable" ? "unavailable" : "deny");
    return { outcome: "deny", kind, command: ticket.command, unit: ticket.unit, reason, message, approvalId };
  }
}

function sentenceOf(reason: DenyReason): string {
  switch (reason) {
    case DenyReason.DENY_REASON_POLICY:
      return "A rule forbids this.";
    case DenyReason.DENY_REASON_NOT_PERMITTED:
      return "No rule allows this.";
    case DenyReason.DENY_REASON_NOT_UNDERSTOOD:
      return "This command cannot be understood, so it is not let through.";
    case DenyReason.DENY_REASON_UNSAFE_SETTING:
      return "A setting of this session makes its commands ambiguous, so they are not let through.";
    case DenyReason.DENY_REASON_EVALUATION_ERROR:
      return "A rule could not be evaluated, so the command is not let through.";
    case DenyReason.DENY_REASON_NOT_APPROVED:
      return "This command was not approved.";
    default:
      return "This is not allowed.";
  }
}
