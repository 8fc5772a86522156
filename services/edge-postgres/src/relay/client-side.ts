import type { AdmissionUnit, CommandContext, Decision, Deny, Edge, EdgeSession, Forward, Hold } from "@sallyport/edge";
import { CommandCompleted_Status as Status, type Parameter } from "@sallyport/proto/record";
import { DenyReason } from "@sallyport/proto/verdict";
import { serialize } from "pg-protocol";
import { denialOf, heldNotice, sqlstateOf } from "../deny.ts";
import { encodeReport, READY, type Report } from "../wire/encode.ts";
import {
  decodeBind,
  decodeCopyFail,
  decodeExecute,
  decodeFunctionCall,
  decodeNamed,
  decodeParse,
  decodeQuery,
  isBinary,
} from "../wire/frontend.ts";
import { WireFault } from "../wire/fault.ts";
import { Frontend, type MessageTable } from "../wire/message-table.ts";
import { Handing, MessageSplitter } from "../wire/splitter.ts";
import type { BackendState } from "./backend-state.ts";
import { type Command, commandOf, type Question } from "./command.ts";
import type { FrontendState } from "./frontend-state.ts";
import type { OwnQueries, Rows } from "./own-queries.ts";
import { planCopy } from "./plan-copy.ts";
import type { Portal, Prepared, Statement } from "./prepared.ts";
import { type SessionState, STATE_QUERY } from "./session-state.ts";
import type { OutItem, TargetOutbox } from "./target-outbox.ts";

/** What the client's side asks of the session around it. */
export interface ClientNeeds {
  /** The target's schema is observed, or it could not be (false). */
  observe(): Promise<boolean>;
  /** Everything is used up: read on. */
  more(): void;
  /** Terminate: the client is done. */
  terminated(): void;
  /** The client broke the protocol, or a command could not be handled: the session ends. */
  broken(error: unknown): void;
}

export interface ClientSideParts {
  readonly edge: Pick<Edge, "maskFor">;
  readonly session: EdgeSession;
  readonly table: MessageTable;
  readonly frontend: FrontendState;
  readonly backend: BackendState<Question>;
  readonly outbox: TargetOutbox;
  readonly state: SessionState;
  readonly prepared: Prepared;
  readonly own: OwnQueries;
  readonly needs: ClientNeeds;
}

/** The message at hand. */
interface Message {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** A unit on its way to a decision, and what to do once it may run. */
interface Pending {
  readonly kind: Command["unit"];
  readonly unit: AdmissionUnit;
  readonly message: Message;
  /** the question that the message is, once there is a command for it */
  question(command: Command, decision: Forward): Question;
}

const FORGIVEN: ReadonlySet<string> = new Set(["22021", "42622"]);
const READ_AHEAD = 64 * 1024;
const FLUSH = serialize.flush();
const SYNC = serialize.sync();

/**
 * From the client to the target: every admission unit is decided, recorded and only then sent; everything else is passed
 * in its place between them. Decisions are taken one after the other; what is admitted need not have been acknowledged
 * before the next is decided, so a pipeline shares its acknowledgements.
 */
export class ClientSide {
  readonly #parts: ClientSideParts;
  readonly #splitter: MessageSplitter;
  readonly #chunks: Buffer[] = [];
  #waitingBytes = 0;
  /** Something is under way that the next message has to wait for. */
  #busy = false;
  /** The message at hand is to be looked at again. */
  #again = false;
  #ended = false;
  /** The next decision has to wait for the answers to what was sent. */
  #settleFirst = false;
  /** The target was asked, and could not say: go on without. */
  #askedInVain = false;
  /** The next decision has to be sure again what statements and portals stand for. */
  #verifyNames = false;
  /** Extended-protocol messages were sent since the last Sync. */
  #unsynced = false;
  /** What the last message described, when it was the last one. */
  #described: Portal | undefined;
  #arrivedAt = 0;
  #onSettled: (() => void) | undefined;
  #held: AbortController | undefined;
  /** of a COPY FROM STDIN */
  #copying: Command | undefined;

  constructor(parts: ClientSideParts) {
    this.#parts = parts;
    this.#splitter = new MessageSplitter(parts.table);
    // Whole messages only: what is dropped after a COPY has failed must end where a message ends, or the target would take
    // what follows for the rest of it.
    this.#splitter.handOut(Frontend.copyData, Handing.run);
  }

  /** The client has said goodbye. */
  terminating = false;

  /**
   * More may be read from the client. A little is read ahead while something is under way: a client that goes away is
   * noticed only while it is read.
   */
  get thirsty(): boolean {
    return !this.#ended && !this.#stuck && this.#waitingBytes < READ_AHEAD;
  }

  get #stuck(): boolean {
    return this.#parts.outbox.full || this.#parts.session.gate.pressed;
  }

  /** Asks the target for the session's state before the client's first command. */
  start(): void {
    this.#askState();
  }

  take(chunk: Buffer): void {
    if (this.#ended) return;
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    this.resume();
  }

  /** Goes on where it had to stop. */
  resume(): void {
    if (!this.#busy) this.#run();
  }

  end(): void {
    this.#ended = true;
    this.#held?.abort();
  }

  /** The client has asked to cancel what is held. False: nothing is. */
  cancelHeld(): boolean {
    if (this.#held === undefined) return false;
    this.#held.abort();
    return true;
  }

  /** Answers have come. */
  answered(): void {
    if (this.#onSettled === undefined || !this.#isSettled()) return;
    const settled = this.#onSettled;
    this.#onSettled = undefined;
    settled();
  }

  /** The questions of `cycle` behind the one that failed are not answered. */
  failed(cycle: number): void {
    const { frontend, outbox, session } = this.#parts;
    frontend.failed(cycle);
    const waiting = outbox.items.filter((item) => item.waiting && item.cycle === cycle);
    const later = outbox.items.some((item) => item.waiting && item.cycle !== cycle);
    for (const item of outbox.drop(cycle)) {
      for (const question of item.questions) this.#forget(question);
    }
    if (waiting.length > 0 && !later) {
      session.gate.abandon();
      for (const item of waiting) outbox.remove(item);
    }
    outbox.advance();
  }

  copyInBegan(): void {
    const { frontend, backend } = this.#parts;
    const { head } = backend;
    this.#copying = head?.command;
    // A Sync behind the Execute is ignored by the server: what follows belongs to the same cycle.
    if (head?.reply === "execute") this.#unsynced = true;
    frontend.copyInBegan(head?.reply === "execute" ? head.cycle : frontend.cycle);
  }

  #forget(question: Question): void {
    const { prepared } = this.#parts;
    if (question.statement !== undefined) prepared.statementFailed(question.statement);
    if (question.portal !== undefined && question.reply === "bind") prepared.portalFailed(question.portal);
  }

  #isSettled(): boolean {
    const { outbox, backend, frontend } = this.#parts;
    return (outbox.empty && backend.waiting === 0) || frontend.phase === "copy-in";
  }

  // ---- messages

  #run(): void {
    try {
      while (!this.#busy && !this.#ended) {
        if (!this.#again) {
          if (this.#stuck) break;
          if (this.#splitter.next() === "more") {
            const chunk = this.#chunks.shift();
            if (chunk === undefined) break;
            this.#waitingBytes -= chunk.length;
            this.#arrivedAt = performance.now();
            this.#splitter.push(chunk);
            continue;
          }
        }
        this.#again = false;
        this.#oneMessage();
      }
      this.#parts.outbox.flush();
    } catch (error) {
      return this.#break(error);
    }
    if (this.thirsty) this.#parts.needs.more();
  }

  #break(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.needs.broken(error);
  }

  #oneMessage(): void {
    try {
      this.#message();
    } catch (error) {
      // A text in another encoding, a name that is too long: the command's fault, not the session's.
      if (!(error instanceof WireFault) || !FORGIVEN.has(error.sqlstate)) throw error;
      const report = { severity: "ERROR", sqlstate: error.sqlstate, message: error.message } as const;
      this.#answer(encodeReport(report), 0, this.#splitter.type === Frontend.query);
    }
  }

  #message(): void {
    const { type, bytes, start, end } = this.#splitter;
    const { frontend, backend, outbox } = this.#parts;
    const message: Message = { bytes, start, end };
    const effect = frontend.next(type, backend.waiting > 0 || !outbox.empty);
    const described = this.#described;
    this.#described = undefined;
    switch (effect) {
      case "admit-query":
        return this.#query(message);
      case "admit-parse":
        return this.#parse(message);
      case "admit-portal":
        return this.#bind(message);
      case "admit-function-call":
        return this.#functionCall(message);
      case "pass-describe":
        return this.#describe(message);
      case "pass-execute":
        return this.#execute(message, described);
      case "pass-close":
        return this.#close(message);
      case "pass-flush":
        this.#described = described;
        return this.#pass(message);
      case "pass-sync":
        this.#unsynced = false;
        return outbox.pass(bytes, start, end, frontend.cycle - 1, this.#question("sync", frontend.cycle - 1), true);
      case "copy-data":
      case "copy-done":
        return this.#copyData(message);
      case "copy-fail":
        decodeCopyFail(bytes, start + 5, end);
        return this.#copyData(message);
      case "await-answers":
        this.#again = true;
        return this.#settle(() => {});
      case "terminate":
        this.terminating = true;
        // What was sent before it is finished first; a pipeline without its Sync is rolled back anyway.
        if (this.#unsynced) return this.#parts.needs.terminated();
        return this.#settle(() => this.#parts.needs.terminated());
      case "drop":
        return;
      case "violation":
        throw frontend.violation(type);
      default:
        return effect satisfies never;
    }
  }

  #question(reply: Question["reply"], cycle = this.#parts.frontend.cycle): Question {
    return { reply, cycle, command: undefined };
  }

  #pass(message: Message, question?: Question): void {
    const { outbox, frontend } = this.#parts;
    outbox.pass(message.bytes, message.start, message.end, frontend.cycle, question);
    if (question !== undefined) this.#unsynced = true;
  }

  #query(message: Message): void {
    if (!this.#mayDecide()) return;
    const text = decodeQuery(message.bytes, message.start + 5, message.end);
    const { cycle } = this.#parts.frontend;
    this.#decide({
      kind: "simple-query",
      unit: { unit: "simple-query", text, arrivedAt: this.#arrivedAt },
      message,
      question: (command) => ({ reply: "query", cycle, command }),
    });
  }

  #parse(message: Message): void {
    const parsed = decodeParse(message.bytes, message.start + 5, message.end);
    const { statement: name, parameterTypes } = parsed;
    if (this.#parts.prepared.full) return this.#refuseHere(TOO_MANY_NAMES);
    if (!this.#mayDecide()) return;
    const { frontend, prepared } = this.#parts;
    const { cycle } = frontend;
    // It is kept for as long as the statement: a view would keep the whole chunk that it came in.
    const text = Buffer.from(parsed.text);
    this.#decide({
      kind: "parse",
      unit: { unit: "parse", text, statementName: name, arrivedAt: this.#arrivedAt },
      message,
      question: (command, decision) => {
        const statement: Statement = { name, text, parameterTypes, cycle, answered: false, certain: true };
        prepared.addStatement(statement);
        return { reply: "parse", cycle, command, statement, decision };
      },
    });
  }

  #bind(message: Message): void {
    const bind = decodeBind(message.bytes, message.start + 5, message.end);
    const { prepared, frontend, state } = this.#parts;
    if (prepared.full) return this.#refuseHere(TOO_MANY_NAMES);
    const known = prepared.statement(bind.statement);
    // Made in an earlier cycle and not answered: it may have been skipped, and the name mean something older.
    if (known !== undefined && !known.answered && known.cycle < frontend.cycle) this.#settleFirst = true;
    if (known !== undefined && !known.certain) this.#verifyNames = true;
    if (!this.#mayDecide()) return;
    const statement = prepared.statement(bind.statement);
    const inSql = statement === undefined ? state.preparedInSql(bind.statement) : undefined;
    const text = statement?.text ?? (inSql === undefined ? undefined : Buffer.from(inSql, "utf8"));
    if (text === undefined) return this.#refuseHere(noSuchStatement(bind.statement));
    const { cycle } = frontend;
    this.#decide({
      kind: "portal",
      unit: {
        unit: "portal",
        text,
        statementName: bind.statement,
        portalName: bind.portal,
        parameters: bind.parameters.map((value, i): Parameter => ({
          typeOid: statement?.parameterTypes[i] ?? 0,
          binary: isBinary(bind.parameterFormats, i),
          value,
        })),
        resultFormats: bind.resultFormats,
        arrivedAt: this.#arrivedAt,
      },
      message,
      question: (command) => {
        const portal: Portal = { name: bind.portal, text, command, cycle, certain: true };
        prepared.addPortal(portal);
        return { reply: "bind", cycle, command, portal };
      },
    });
  }

  #functionCall(message: Message): void {
    if (!this.#mayDecide()) return;
    const call = decodeFunctionCall(message.bytes, message.start + 5, message.end);
    const { cycle } = this.#parts.frontend;
    this.#decide({
      kind: "function-call",
      unit: {
        unit: "function-call",
        // Not SQL, and not to be taken for it: nothing but a policy for this unit lets it through.
        text: Buffer.from(`function-call ${call.functionOid}`),
        parameters: call.arguments.map((value, i): Parameter => ({
          typeOid: 0,
          binary: isBinary(call.argumentFormats, i),
          value,
        })),
        resultFormats: [call.resultFormat],
        arrivedAt: this.#arrivedAt,
      },
      message,
      question: (command) => ({ reply: "function-call", cycle, command }),
    });
  }

  #describe(message: Message): void {
    const named = decodeNamed("Describe", message.bytes, message.start + 5, message.end);
    if (named.of === "statement") return this.#pass(message, this.#question("describe-statement"));
    const portal = this.#parts.prepared.portal(named.name);
    this.#described = portal;
    this.#pass(message, {
      reply: "describe-portal",
      cycle: this.#parts.frontend.cycle,
      command: portal?.command,
      ...(portal === undefined ? {} : { portal }),
    });
  }

  #execute(message: Message, described: Portal | undefined): void {
    const { portal: name } = decodeExecute(message.bytes, message.start + 5, message.end);
    const { prepared, frontend, outbox } = this.#parts;
    if (prepared.portal(name)?.certain === false) {
      this.#verifyNames = true;
      if (!this.#mayDecide()) return;
    }
    const portal = prepared.portal(name);
    if (portal === undefined) return this.#refuseHere(noSuchPortal(name));
    const { command } = portal;
    const { cycle } = frontend;
    // What it returns is asked for right before it runs: an older description may be of something else.
    if (command.guarded && described !== portal) {
      const describe = serialize.describe({ type: "P", name });
      outbox.pass(describe, 0, describe.length, cycle, {
        reply: "describe-portal",
        cycle,
        command,
        portal,
        swallow: true,
      });
    }
    this.#pass(message, { reply: "execute", cycle, command, portal });
    this.#sent(command);
  }

  #close(message: Message): void {
    const closes = decodeNamed("Close", message.bytes, message.start + 5, message.end);
    this.#pass(message, { reply: "close", cycle: this.#parts.frontend.cycle, command: undefined, closes });
  }

  /** COPY data, and its end: recorded, then sent, in the place between what came before and after it. */
  #copyData(message: Message): void {
    const { outbox, frontend, session } = this.#parts;
    const bytes = message.bytes.subarray(message.start, message.end);
    const item = outbox.place(bytes, 0, bytes.length, frontend.cycle, undefined);
    session.gate.fromClient(this.#copying?.no ?? 0, bytes, () => {
      if (item.dropped) outbox.remove(item);
      else outbox.admitted(item);
    });
  }

  // ---- before a decision

  /** False: something has to happen first; then the message is looked at again. */
  #mayDecide(): boolean {
    const { state } = this.#parts;
    const sure = !this.#settleFirst && !this.#verifyNames && !state.stale && !state.unobserved;
    if (!sure) {
      if (!this.#isSettled()) {
        this.#again = true;
        this.#settle(() => {});
        return false;
      }
      this.#settleFirst = false;
      // In a failed transaction nothing can be asked, and nothing runs but its end.
      const canAsk = state.status !== "E";
      if ((state.stale || this.#verifyNames) && canAsk && !this.#askedInVain) {
        this.#again = true;
        this.#askState();
        return false;
      }
      if (state.stale) state.learned(undefined);
      this.#askedInVain = false;
      this.#verifyNames = false;
      if (state.unobserved && state.mayObserve()) {
        this.#again = true;
        this.#wait(this.#parts.needs.observe(), (observed) => {
          if (observed) state.observed();
        });
        return false;
      }
    }
    return true;
  }

  /**
   * The state that this text is decided in. A text that may EXECUTE something is told of the protocol's statements too; others
   * are not, since their verdicts would be worth nothing whenever a driver prepares a statement.
   */
  #contextFor(text: Buffer): CommandContext {
    const { state, prepared } = this.#parts;
    const { context } = state;
    if (!prepared.hasNamed || !/execute/i.test(text.toString("latin1"))) return context;
    return { ...context, named: [...context.named, ...prepared.executableIn(text.toString("utf8"))] };
  }

  /** Waits until the target has answered everything. */
  #settle(then: () => void): void {
    const { outbox, frontend } = this.#parts;
    if (this.#isSettled()) return then();
    // Without a Sync the server keeps its answers until they fill a buffer.
    if (this.#unsynced) outbox.pass(FLUSH, 0, FLUSH.length, frontend.cycle);
    outbox.flush();
    this.#busy = true;
    this.#onSettled = () => {
      this.#busy = false;
      then();
      this.resume();
    };
  }

  #wait<T>(promise: Promise<T>, then: (value: T) => void): void {
    this.#busy = true;
    promise.then(
      (value) => {
        this.#busy = false;
        if (this.#ended) return;
        try {
          then(value);
        } catch (error) {
          return this.#break(error);
        }
        this.resume();
      },
      (error: unknown) => {
        this.#busy = false;
        this.#break(error);
      },
    );
  }

  /** The target's own account of the session: settings, and what the names stand for. */
  #askState(): void {
    const { state, prepared } = this.#parts;
    const verify = this.#verifyNames;
    this.#wait(this.#ownQuery(verify ? `${STATE_QUERY}, ${NAMES_QUERY}` : STATE_QUERY), (rows) => {
      const row = rows?.[0];
      this.#askedInVain = row === undefined;
      state.learned(row);
      if (!verify) return;
      this.#verifyNames = false;
      prepared.verified(row?.[4], row?.[5]);
    });
  }

  #ownQuery(sql: string): Promise<Rows | undefined> {
    const { own, frontend, outbox } = this.#parts;
    return new Promise((resolve) => {
      const { bytes, questions } = own.ask(sql, frontend.cycle, !this.#unsynced, resolve);
      outbox.passAll(bytes, frontend.cycle, questions);
      outbox.flush();
    });
  }

  // ---- the decision

  #decide(pending: Pending): void {
    const { session } = this.#parts;
    session.gate.setContext(this.#contextFor(pending.unit.text));
    const decision = session.gate.decide(pending.unit);
    if (decision instanceof Promise) this.#wait(decision, (decided) => this.#decided(decided, pending));
    else this.#decided(decision, pending);
  }

  #decided(decision: Decision, pending: Pending): void {
    switch (decision.outcome) {
      case "forward":
        return this.#forward(decision, pending);
      case "deny":
        return this.#refuse(decision, pending);
      case "hold":
        // Nothing runs when a statement is only parsed: the portal will be held.
        if (pending.kind === "parse") return this.#forwardHeldParse(decision, pending);
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
      query: (sql) => this.#ownQuery(sql),
    });
    this.#wait(plan, (found) => {
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
    if (pending.kind !== "simple-query" && pending.kind !== "function-call") this.#unsynced = true;
    if (pending.kind !== "parse") this.#sent(command);
    session.gate.admit(decision, (outcome) => this.#admitted(outcome, item, command, pending));
  }

  /** From now on the target may have done it. */
  #sent(command: Command): void {
    const { state, prepared } = this.#parts;
    const { facts } = command.verdict;
    state.sent(facts);
    if (state.mustSettle(facts)) this.#settleFirst = true;
    if (state.mayRebind(facts)) prepared.nothingCertain();
  }

  #admitted(outcome: Decision, item: OutItem, command: Command, pending: Pending): void {
    const { outbox, session } = this.#parts;
    if (outcome.outcome === "forward") {
      if (item.dropped) {
        outbox.remove(item);
        session.gate.completed(command.no, { status: Status.STATUS_CANCELLED });
        return outbox.advance();
      }
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
      !this.#busy && backend.waiting === 0 && !outbox.items.some((other) => other !== item && other.waiting);
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
    if (simple) outbox.replace(item, Buffer.concat([own.failing, SYNC]), [fails, this.#question("sync", item.cycle)]);
    else {
      // What was passed behind it in its cycle goes with it, as the server would skip it.
      this.failed(item.cycle);
      outbox.replace(item, own.failing, [fails]);
    }
    outbox.advance();
  }

  /** Recorded and sent like COPY data: its text, then the fact that the statement exists. */
  #forwardHeldParse(hold: Hold, pending: Pending): void {
    const { outbox, frontend, session } = this.#parts;
    const decision: Forward = { ...hold, outcome: "forward", approvalId: "" };
    const command = commandOf(decision, "parse");
    const { bytes, start, end } = pending.message;
    const item = outbox.place(bytes, start, end, frontend.cycle, pending.question(command, decision));
    this.#unsynced = true;
    session.gate.fromClient(command.no, bytes.subarray(start, end), () => {
      if (item.dropped) outbox.remove(item);
      else outbox.admitted(item);
    });
  }

  #hold(decision: Hold, pending: Pending): void {
    // The notice comes behind the answers to what was sent before.
    if (!this.#isSettled()) return this.#settle(() => this.#hold(decision, pending));
    this.#awaitAnswer(decision, (answer) => this.#decided(answer, pending));
  }

  #awaitAnswer(decision: Hold, then: (answer: Forward | Deny) => void): void {
    const cancel = new AbortController();
    this.#held = cancel;
    this.#wait(this.#awaitPeople(decision, cancel.signal), (answer) => {
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
  #refuseHere(report: Omit<Report, "severity">): void {
    this.#answer(encodeReport({ severity: "ERROR", ...report }), 0, false);
  }

  /**
   * The client gets `error` in its place. As an error at the server would, it fails the open transaction: when there is one
   * (an implicit one of a pipeline too), the target is sent something that fails.
   */
  #answer(error: Buffer, command: number, simple: boolean): void {
    const { frontend, outbox, session, state, own, backend } = this.#parts;
    const { cycle } = frontend;
    if (!simple) frontend.failed(cycle);
    const quiet = outbox.empty && backend.waiting === 0 && !this.#unsynced && state.status === "I";
    if (quiet) {
      session.gate.release(command, simple ? Buffer.concat([error, READY.I]) : error);
      return;
    }
    const fails = this.#failing(error, command, cycle, simple);
    outbox.pass(own.failing, 0, own.failing.length, cycle, fails);
    if (!simple) return;
    outbox.pass(SYNC, 0, SYNC.length, cycle, this.#question("sync"), true);
    this.#unsynced = false;
  }

  #failing(denial: Buffer, deniedCommand: number, cycle: number, simple: boolean): Question {
    // a simple query's error skips nothing
    return { reply: "bind", cycle: simple ? -1 : cycle, command: undefined, denial, deniedCommand };
  }
}

/** Answered with ReadyForQuery, without a Sync. */
const isSimple = (kind: Command["unit"]): boolean => kind === "simple-query" || kind === "function-call";

const TOO_MANY_NAMES: Omit<Report, "severity"> = {
  sqlstate: "54000",
  message: "too many prepared statements or portals in this session",
  hint: "Close those that are no longer needed.",
};

const HIDDEN_FUNCTION = "A call of a function by its number cannot be masked, and something is hidden from you here.";

const noSuchStatement = (name: string): Omit<Report, "severity"> => ({
  sqlstate: "26000",
  message: `prepared statement "${name}" does not exist`,
  detail: "The gateway does not know it, or cannot be sure any more what it stands for.",
  hint: "Prepare it again.",
});

const noSuchPortal = (name: string): Omit<Report, "severity"> => ({
  sqlstate: "34000",
  message: `portal "${name}" does not exist`,
  detail: "The gateway does not know it, or cannot be sure any more what it stands for.",
  hint: "Bind it again; read a cursor that was made in SQL with FETCH.",
});

function notNow(hold: Hold): Deny {
  const { command, unit, verdict } = hold;
  return {
    outcome: "deny",
    kind: "policy",
    command,
    unit,
    verdict,
    approvalId: "",
    reason: DenyReason.DENY_REASON_NOT_APPROVED,
    message:
      `${verdict.message} (The rules changed while this command was on its way: send it again, on its own.)`.trim(),
  };
}

function refusedHere(decision: Forward, message: string): Deny {
  const { command, unit, verdict, approvalId } = decision;
  return {
    outcome: "deny",
    kind: "policy",
    command,
    unit,
    verdict,
    approvalId,
    reason: DenyReason.DENY_REASON_NOT_PERMITTED,
    message,
  };
}

/** Protocol statements and portals by name, each with its text, as JSON. */
const NAMES_QUERY =
  "(SELECT pg_catalog.json_object_agg(name, statement) FROM pg_catalog.pg_prepared_statements), " +
  "(SELECT pg_catalog.json_object_agg(name, statement) FROM pg_catalog.pg_cursors)";
