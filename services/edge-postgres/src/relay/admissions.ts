import type { AdmissionUnit, Decision, Deny, Edge, EdgeSession, Forward, Hold, KnownVerdict } from "@sallyport/edge";
import { CommandCompleted_Status as Status } from "@sallyport/proto/record";
import { AppError } from "@sallyport/runtime";
import { serialize } from "pg-protocol";
import { denialOf, heldNotice, sqlstateOf } from "../deny.ts";
import { encodeReport, READY } from "../wire/encode.ts";
import type { BackendState } from "./backend-state.ts";
import type { Certainty } from "./certainty.ts";
import { type Command, commandOf, type Question, unanswered } from "./command.ts";
import type { FrontendState } from "./frontend-state.ts";
import type { OwnQueries } from "./own-queries.ts";
import { planCopy } from "./plan-copy.ts";
import type { Portal, Prepared } from "./prepared.ts";
import {
  boundBefore,
  CANCELLED,
  cancelledHere,
  HIDDEN_FUNCTION,
  type LocalError,
  notNow,
  refusedHere,
} from "./refusals.ts";
import type { SessionState } from "./session-state.ts";
import type { OutItem, TargetOutbox } from "./target-outbox.ts";
import type { Turn } from "./turn.ts";

export interface AdmissionParts {
  readonly edge: Pick<Edge, "maskFor">;
  readonly session: EdgeSession;
  readonly frontend: FrontendState;
  readonly backend: BackendState<Question>;
  readonly outbox: TargetOutbox;
  readonly state: SessionState;
  readonly prepared: Prepared;
  readonly own: OwnQueries;
}

/** A message's place in the bytes that came. */
export interface Message {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A unit on its way to a decision, and what to do once it may run. */
export interface Pending {
  readonly kind: Command["unit"];
  readonly unit: AdmissionUnit;
  readonly message: Message;
  /** the question that the message is, once there is a command for it */
  question(command: Command, decision: Forward): Question;
}

const SYNC = serialize.sync();
/** setTimeout's longest */
const LONGEST_MS = 2 ** 31 - 1;
/** In the server's words, which clients know. */
const TIMED_OUT = new AppError(
  "deadline",
  "edge-postgres.held",
  "canceling statement due to statement timeout (it waited for approval)",
);
const NOTHING = Buffer.alloc(0);

const sync = (cycle: number): Question => ({ reply: "sync", cycle, command: undefined });

/** Answered with ReadyForQuery, without a Sync. */
const isSimple = (kind: Command["unit"]): boolean => kind === "simple-query" || kind === "function-call";

function fits(command: Command, verdict: KnownVerdict): boolean {
  if (command.copy !== undefined) return false;
  if (verdict.hiddenClasses.length === 0 || command.unit === "parse") return true;
  return command.unit !== "function-call" && !verdict.facts.verbs.includes("copy-to");
}

/**
 * From a unit to its place on the way to the target, or to the error that the client gets instead. Decisions are taken one
 * after the other; what is admitted need not have been acknowledged before the next is decided, so a pipeline shares its
 * acknowledgements.
 */
export class Admissions {
  readonly #parts: AdmissionParts;
  readonly #turn: Turn;
  readonly #certainty: Certainty;
  #held: AbortController | undefined;
  /** `policy` is asked */
  #deciding: { cancelled: boolean } | undefined;

  constructor(parts: AdmissionParts, turn: Turn, certainty: Certainty) {
    this.#parts = parts;
    this.#turn = turn;
    this.#certainty = certainty;
  }

  /** The client has asked to cancel what is held. False: nothing is. */
  cancelHeld(): boolean {
    if (this.#held === undefined) return false;
    this.#held.abort();
    return true;
  }

  /**
   * Nothing runs at the target: what comes next, if it is on its way there, is taken back. Once the gate has let it go it is
   * not here any more.
   */
  cancelWaiting(): void {
    const { outbox, session } = this.#parts;
    const [item] = outbox.items;
    if (item === undefined) {
      if (this.#deciding !== undefined) this.#deciding.cancelled = true;
      return;
    }
    const command = item.questions[0]?.command;
    if (!item.waiting || command === undefined) return;
    session.gate.abandon([command.no]);
    command.done = true;
    this.#failInPlace(encodeReport(CANCELLED), command.no, item, isSimple(command.unit));
  }

  decide(pending: Pending): void {
    const { session } = this.#parts;
    session.gate.setContext(this.#certainty.contextFor(pending.unit.text));
    const decision = session.gate.decide(pending.unit);
    if (decision instanceof Promise) {
      this.#deciding = { cancelled: false };
      this.#turn.wait(decision, (decided) => {
        const cancelled = this.#deciding?.cancelled === true;
        this.#deciding = undefined;
        // Meanwhile its pipeline has failed: the server skips it, and so is it here.
        if (this.#parts.frontend.phase === "skipping") return;
        this.#decided(cancelled && decided.outcome !== "deny" ? cancelledHere(decided) : decided, pending);
      });
    } else this.#decided(decision, pending);
  }

  #decided(decision: Decision, pending: Pending): void {
    switch (decision.outcome) {
      case "forward":
        return this.#forward(decision, pending);
      case "deny":
        return this.#refuse(decision, pending);
      case "hold":
        return this.#hold(decision, pending);
      default:
        return decision satisfies never;
    }
  }

  #forward(decision: Forward, pending: Pending): void {
    const { verdict } = decision;
    const guarded = verdict.hiddenClasses.length > 0;
    if (guarded) this.#parts.state.guarded = true;
    if (guarded && pending.kind !== "parse") {
      if (pending.kind === "function-call") return this.#refuse(refusedHere(decision, HIDDEN_FUNCTION), pending);
      if (verdict.facts.verbs.includes("copy-to")) return this.#forwardCopy(decision, pending);
    }
    this.#admit(decision, pending, commandOf(decision, pending.kind));
  }

  /** A COPY TO STDOUT for a principal from whom something is hidden: how it is shown is known before it runs. */
  #forwardCopy(decision: Forward, pending: Pending): void {
    const { edge, session, state } = this.#parts;
    const plan = planCopy({
      edge,
      session,
      state,
      verdict: decision.verdict,
      text: decision.unit.text.toString("utf8"),
      query: (sql) => this.#certainty.query(sql),
      describe: (sql) => this.#certainty.describe(sql),
    });
    this.#turn.wait(plan, (found) => {
      if (this.#parts.frontend.phase === "skipping") return;
      if (found.kind === "refused") return this.#refuse(refusedHere(decision, found.message), pending);
      const command = commandOf(decision, pending.kind);
      command.copy = found.kind === "pass" ? "pass" : found.mask;
      this.#admit(decision, pending, command);
    });
  }

  #admit(decision: Forward, pending: Pending, command: Command): void {
    const { outbox, frontend } = this.#parts;
    const { bytes, start, end } = pending.message;
    const item = outbox.place(bytes, start, end, frontend.cycle, pending.question(command, decision));
    if (pending.kind !== "simple-query" && pending.kind !== "function-call") this.#turn.unsynced = true;
    if (pending.kind !== "parse") this.#certainty.sent(command);
    if (pending.kind === "simple-query") this.#turn.sent(decision.verdict);
    // Its own effect is in its decision.
    const portal = item.questions[0]?.portal;
    if (portal !== undefined) portal.changes = this.#parts.state.changes;
    this.#record(decision, item, command, pending);
  }

  /** What was arranged for one verdict need not do for another: how a COPY is shown, and that nothing in a result is hidden. */
  #record(decision: Forward, item: OutItem, command: Command, pending: Pending): void {
    this.#parts.session.gate.admit(
      decision,
      (outcome) => this.#admitted(outcome, item, command, pending),
      ({ verdict }) => fits(command, verdict),
    );
  }

  #admitted(outcome: Decision, item: OutItem, command: Command, pending: Pending): void {
    const { outbox } = this.#parts;
    if (outcome.outcome === "forward") {
      this.#goesUnder(outcome, command);
      return outbox.admitted(item);
    }
    this.#changedMind(outcome, item, command, pending);
  }

  #goesUnder(decision: Forward, command: Command): void {
    command.decision = decision;
    command.verdict = decision.verdict;
    command.guarded = decision.verdict.hiddenClasses.length > 0;
    if (command.guarded) this.#parts.state.guarded = true;
    if (command.meter !== undefined) command.meter.obey(decision.verdict.limits);
    else if (command.unit !== "parse") command.meter = this.#parts.session.meter(decision.verdict);
    command.forwarded = true;
  }

  /**
   * May this portal run (on) under the decision of its Bind? What is still waiting is looked at again before it leaves,
   * with what stands behind it.
   */
  current(portal: Portal): boolean {
    const { outbox, session, state } = this.#parts;
    const { command, changes } = portal;
    if (changes !== state.changes) return false;
    return !command.forwarded || (outbox.empty && session.gate.holds(command.decision));
  }

  /**
   * An Execute of a portal whose decision may not hold any more (I7): decided again, when everything before it is answered.
   * `go` sends it; false from here: it waits.
   */
  executeAgain(portal: Portal, go: () => void): void {
    const { session, state } = this.#parts;
    const { command } = portal;
    if (!this.#turn.settled) return this.#turn.settleThenAgain();
    if (!this.#certainty.sure()) return;
    session.gate.setContext(this.#certainty.contextFor(portal.text));
    portal.changes = state.changes;
    if (session.gate.holds(command.decision)) return go();
    this.#turn.wait(session.gate.again(command.decision), (again) => {
      if (again.outcome === "forward" && fits(command, again.verdict)) return this.#admitAgain(again, portal, go);
      this.#refusePortal(again.outcome === "deny" ? again : boundBefore(again), portal);
    });
  }

  #admitAgain(decision: Forward, portal: Portal, go: () => void): void {
    const { session } = this.#parts;
    const { command } = portal;
    const admitted = new Promise<Decision>((resolve) => {
      session.gate.admit(decision, resolve, ({ verdict }) => fits(command, verdict));
    });
    this.#turn.wait(admitted, (outcome) => {
      if (outcome.outcome !== "forward") {
        return this.#refusePortal(outcome.outcome === "deny" ? outcome : boundBefore(outcome), portal);
      }
      command.done = false;
      this.#goesUnder(outcome, command);
      go();
    });
  }

  /** The error fails its transaction, and the portal with it. */
  #refusePortal(deny: Deny, portal: Portal): void {
    this.#parts.session.gate.deny(deny, sqlstateOf(deny));
    portal.command.error = sqlstateOf(deny);
    this.#answer(denialOf(deny), deny.command, false, portal);
  }

  /** Decided again before it left, and otherwise: rare, for the rules or the lease must move within a millisecond. */
  #changedMind(outcome: Exclude<Decision, Forward>, item: OutItem, command: Command, pending: Pending): void {
    if (outcome.outcome === "deny") return this.#refuseInPlace(outcome, item, pending);
    const { outbox, backend } = this.#parts;
    // It can only wait in its place when nothing else is under way: what stands behind it would be sent much later.
    const alone =
      !this.#turn.busy && backend.waiting === 0 && !outbox.items.some((other) => other !== item && other.waiting);
    if (!alone) return this.#refuseInPlace(notNow(outcome), item, pending);
    this.#awaitAnswer(outcome, (answer) => {
      if (answer.outcome === "deny") return this.#refuseInPlace(answer, item, pending);
      this.#record(answer, item, command, pending);
    });
  }

  /** The client has sent more behind it already: the error takes its place. */
  #refuseInPlace(deny: Deny, item: OutItem, pending: Pending): void {
    this.#parts.session.gate.deny(deny, sqlstateOf(deny));
    this.#failInPlace(denialOf(deny), deny.command, item, isSimple(pending.kind));
  }

  #failInPlace(error: Buffer, command: number, item: OutItem, simple: boolean): void {
    const { outbox, own } = this.#parts;
    for (const question of item.questions) this.#forget(question);
    const fails = this.#failing(error, command, item.cycle, simple);
    if (simple) outbox.replace(item, Buffer.concat([own.failing, SYNC]), [fails, sync(item.cycle)]);
    else {
      // What was passed behind it in its cycle goes with it, as the server would skip it.
      this.#drop(item.cycle);
      outbox.replace(item, own.failing, [fails]);
    }
    outbox.advance();
  }

  #hold(decision: Hold, pending: Pending): void {
    // The notice comes behind the answers to what was sent before.
    if (!this.#turn.settled) return this.#turn.settle(() => this.#hold(decision, pending));
    this.#awaitAnswer(decision, (answer) => this.#decided(answer, pending));
  }

  #awaitAnswer(decision: Hold, then: (answer: Forward | Deny) => void): void {
    const cancel = new AbortController();
    this.#held = cancel;
    this.#turn.wait(this.#awaitPeople(decision, cancel), (answer) => {
      this.#held = undefined;
      then(answer);
    });
  }

  async #awaitPeople(decision: Hold, cancel: AbortController): Promise<Forward | Deny> {
    const { gate } = this.#parts.session;
    const held = await gate.hold(decision);
    if (held.outcome === "deny") return held;
    // The target never sees what waits, so its statement_timeout is kept here: who set it does not want to wait longer.
    const { statementTimeoutMs } = this.#parts.state;
    gate.release(decision.command, heldNotice(held, statementTimeoutMs));
    if (statementTimeoutMs === 0) return gate.awaitGrant(held, cancel.signal);
    const timer = setTimeout(() => cancel.abort(TIMED_OUT), Math.min(statementTimeoutMs, LONGEST_MS));
    try {
      return await gate.awaitGrant(held, cancel.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  // ---- refusals

  #refuse(deny: Deny, pending: Pending): void {
    this.#parts.session.gate.deny(deny, sqlstateOf(deny));
    this.#answer(denialOf(deny), deny.command, isSimple(pending.kind));
  }

  /** An error of the extended protocol that the gateway finds itself, before there is anything to decide. */
  refuseHere(report: LocalError, simple = false): void {
    this.#answer(encodeReport({ severity: "ERROR", ...report }), 0, simple);
  }

  /**
   * The client gets `error` in its place. As an error at the server would, it fails the open transaction: when there is one
   * (an implicit one of a pipeline too), the target is sent something that fails.
   */
  #answer(error: Buffer, command: number, simple: boolean, portal?: Portal): void {
    const { frontend, outbox, session, state, own, backend } = this.#parts;
    const { cycle } = frontend;
    if (!simple) frontend.failed(cycle);
    const quiet = outbox.empty && backend.waiting === 0 && !this.#turn.unsynced && state.status === "I";
    if (quiet) {
      session.gate.release(command, simple ? Buffer.concat([error, READY.I]) : error);
      return;
    }
    const failing = this.#failing(error, command, cycle, simple);
    const fails = portal === undefined ? failing : { ...failing, portal, command: portal.command };
    outbox.pass(own.failing, 0, own.failing.length, cycle, fails);
    if (!simple) return;
    outbox.pass(SYNC, 0, SYNC.length, cycle, sync(cycle), true);
    this.#turn.unsynced = false;
  }

  #failing(denial: Buffer, deniedCommand: number, cycle: number, simple: boolean): Question {
    // a simple query's error skips nothing
    return { reply: "bind", cycle: simple ? -1 : cycle, command: undefined, denial, deniedCommand };
  }

  /** The questions of `cycle` behind the one that failed are not answered. */
  failed(cycle: number): void {
    this.#drop(cycle);
    this.#parts.outbox.advance();
  }

  /**
   * `cycle` has failed to the client, for a result of it is withheld; the target does not know. What has not been sent is not;
   * while the cycle is open, the target is sent something that fails, so that its transaction does.
   */
  withheld(cycle: number): void {
    const { frontend, outbox, own } = this.#parts;
    const open = frontend.cycle === cycle && frontend.phase === "ready";
    this.failed(cycle);
    if (!open) return;
    outbox.pass(own.failing, 0, own.failing.length, cycle, this.#failing(NOTHING, 0, cycle, false));
    outbox.flush();
  }

  #drop(cycle: number): void {
    const { frontend, outbox, session } = this.#parts;
    frontend.failed(cycle);
    const abandoned: number[] = [];
    for (const item of outbox.drop(cycle)) {
      for (const question of item.questions) {
        this.#forget(question);
        if (!item.waiting || question.command === undefined) continue;
        question.command.done = true;
        abandoned.push(question.command.no);
      }
    }
    session.gate.abandon(abandoned);
  }

  #forget(question: Question): void {
    const { prepared, session } = this.#parts;
    if (question.statement !== undefined) prepared.statementFailed(question.statement);
    if (question.last === true) unanswered(question);
    if (question.portal !== undefined && question.reply === "bind") prepared.portalFailed(question.portal);
    const replaced = question.replaces?.command;
    if (replaced === undefined || replaced.done) return;
    replaced.done = true;
    session.gate.completed(replaced.no, { status: Status.STATUS_OK, rows: replaced.totalRows + replaced.rows });
  }
}
