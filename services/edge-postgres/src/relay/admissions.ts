import type { AdmissionUnit, Decision, Deny, Edge, EdgeSession, Forward, Hold } from "@sallyport/edge";
import { serialize } from "pg-protocol";
import { denialOf, heldNotice, sqlstateOf } from "../deny.ts";
import { encodeReport, READY } from "../wire/encode.ts";
import type { BackendState } from "./backend-state.ts";
import type { Certainty } from "./certainty.ts";
import { type Command, commandOf, type Question } from "./command.ts";
import type { FrontendState } from "./frontend-state.ts";
import type { OwnQueries } from "./own-queries.ts";
import { planCopy } from "./plan-copy.ts";
import type { Prepared } from "./prepared.ts";
import { HIDDEN_FUNCTION, type LocalError, notNow, refusedHere } from "./refusals.ts";
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

const sync = (cycle: number): Question => ({ reply: "sync", cycle, command: undefined });

/** Answered with ReadyForQuery, without a Sync. */
const isSimple = (kind: Command["unit"]): boolean => kind === "simple-query" || kind === "function-call";

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

  decide(pending: Pending): void {
    const { session } = this.#parts;
    session.gate.setContext(this.#certainty.contextFor(pending.unit.text));
    const decision = session.gate.decide(pending.unit);
    if (decision instanceof Promise) this.#turn.wait(decision, (decided) => this.#decided(decided, pending));
    else this.#decided(decision, pending);
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
    });
    this.#turn.wait(plan, (found) => {
      if (found.kind === "refused") return this.#refuse(refusedHere(decision, found.message), pending);
      const command = commandOf(decision, pending.kind);
      command.copy = found.kind === "pass" ? "pass" : found.mask;
      this.#admit(decision, pending, command);
    });
  }

  #admit(decision: Forward, pending: Pending, command: Command): void {
    const { outbox, frontend, session } = this.#parts;
    const { bytes, start, end } = pending.message;
    const item = outbox.place(bytes, start, end, frontend.cycle, pending.question(command, decision));
    if (pending.kind !== "simple-query" && pending.kind !== "function-call") this.#turn.unsynced = true;
    if (pending.kind !== "parse") this.#certainty.sent(command);
    session.gate.admit(decision, (outcome) => this.#admitted(outcome, item, command, pending));
  }

  #admitted(outcome: Decision, item: OutItem, command: Command, pending: Pending): void {
    const { outbox } = this.#parts;
    if (outcome.outcome === "forward") {
      command.verdict = outcome.verdict;
      command.guarded = outcome.verdict.hiddenClasses.length > 0;
      return outbox.admitted(item);
    }
    this.#changedMind(outcome, item, command, pending);
  }

  /** Decided again before it left, and otherwise: rare, for the rules or the lease must move within a millisecond. */
  #changedMind(outcome: Exclude<Decision, Forward>, item: OutItem, command: Command, pending: Pending): void {
    if (outcome.outcome === "deny") return this.#refuseInPlace(outcome, item, pending);
    const { outbox, backend, session } = this.#parts;
    // It can only wait in its place when nothing else is under way: what stands behind it would be sent much later.
    const alone =
      !this.#turn.busy && backend.waiting === 0 && !outbox.items.some((other) => other !== item && other.waiting);
    if (!alone) return this.#refuseInPlace(notNow(outcome), item, pending);
    this.#awaitAnswer(outcome, (answer) => {
      if (answer.outcome === "deny") return this.#refuseInPlace(answer, item, pending);
      session.gate.admit(answer, (again) => this.#admitted(again, item, command, pending));
    });
  }

  /** The client has sent more behind it already: the error takes its place. */
  #refuseInPlace(deny: Deny, item: OutItem, pending: Pending): void {
    const { outbox, session, own } = this.#parts;
    session.gate.deny(deny, sqlstateOf(deny));
    for (const question of item.questions) this.#forget(question);
    const simple = isSimple(pending.kind);
    const fails = this.#failing(denialOf(deny), deny.command, item.cycle, simple);
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
    this.#turn.wait(this.#awaitPeople(decision, cancel.signal), (answer) => {
      this.#held = undefined;
      then(answer);
    });
  }

  async #awaitPeople(decision: Hold, cancelled: AbortSignal): Promise<Forward | Deny> {
    const { gate } = this.#parts.session;
    const held = await gate.hold(decision);
    if (held.outcome === "deny") return held;
    gate.release(decision.command, heldNotice(held));
    return gate.awaitGrant(held, cancelled);
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
  #answer(error: Buffer, command: number, simple: boolean): void {
    const { frontend, outbox, session, state, own, backend } = this.#parts;
    const { cycle } = frontend;
    if (!simple) frontend.failed(cycle);
    const quiet = outbox.empty && backend.waiting === 0 && !this.#turn.unsynced && state.status === "I";
    if (quiet) {
      session.gate.release(command, simple ? Buffer.concat([error, READY.I]) : error);
      return;
    }
    const fails = this.#failing(error, command, cycle, simple);
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
    const { prepared } = this.#parts;
    if (question.statement !== undefined) prepared.statementFailed(question.statement);
    if (question.portal !== undefined && question.reply === "bind") prepared.portalFailed(question.portal);
  }
}
