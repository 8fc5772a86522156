import type { Edge, EdgeSession } from "@sallyport/edge";
import type { Parameter } from "@sallyport/proto/record";
import type { CommandFacts } from "@sallyport/proto/verdict";
import { serialize } from "pg-protocol";
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
import { CopyPieces } from "../wire/copy-pieces.ts";
import { WireFault } from "../wire/fault.ts";
import { Frontend, type MessageTable } from "../wire/message-table.ts";
import { Handing, MessageSplitter } from "../wire/splitter.ts";
import { Admissions, type Message } from "./admissions.ts";
import type { BackendState } from "./backend-state.ts";
import { Certainty } from "./certainty.ts";
import type { Command, Question } from "./command.ts";
import type { FrontendState } from "./frontend-state.ts";
import type { OwnQueries } from "./own-queries.ts";
import type { Portal, Prepared, Statement } from "./prepared.ts";
import { noSuchPortal, noSuchStatement, TOO_MANY_NAMES } from "./refusals.ts";
import type { SessionState } from "./session-state.ts";
import type { TargetOutbox } from "./target-outbox.ts";
import { Turn } from "./turn.ts";

/** What the client's side asks of the session around it. */
export interface ClientNeeds {
  /** The target's schema is observed, or it could not be (false). */
  observe(): Promise<boolean>;
  /** A cancel request to the target is under way. */
  cancelling(): boolean;
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

const FORGIVEN: ReadonlySet<string> = new Set(["22021", "42622"]);
const READ_AHEAD = 64 * 1024;
/** A message of COPY data that is longer is handed on in pieces, bytes. */
const WHOLE_UP_TO = 64 * 1024;
/** Messages that the target works on, so that a cancel request could meet them. */
const RUNS_SOMETHING: ReadonlySet<number> = new Set([
  Frontend.query,
  Frontend.parse,
  Frontend.bind,
  Frontend.describe,
  Frontend.execute,
  Frontend.close,
  Frontend.functionCall,
]);

/**
 * From the client to the target: every admission unit is decided, recorded and only then sent (`admissions.ts`); everything
 * else is passed in its place between them.
 */
export class ClientSide {
  /** The client has said goodbye. */
  terminating = false;
  readonly #parts: ClientSideParts;
  readonly #turn: Turn;
  readonly #certainty: Certainty;
  readonly #admissions: Admissions;
  readonly #splitter: MessageSplitter;
  readonly #chunks: Buffer[] = [];
  #waitingBytes = 0;
  /** What the last message described, when it was the last one. */
  #described: Portal | undefined;
  #arrivedAt = 0;
  readonly #pieces = new CopyPieces();
  /** of a COPY FROM STDIN */
  #copying: Command | undefined;

  constructor(parts: ClientSideParts) {
    this.#parts = parts;
    const { frontend, backend, outbox, state, prepared, own, needs } = parts;
    this.#turn = new Turn({
      frontend,
      backend,
      outbox,
      cancelling: () => needs.cancelling(),
      resume: () => this.resume(),
      broken: (e) => needs.broken(e),
    });
    const certainty = { frontend, outbox, state, prepared, own, observe: () => needs.observe() };
    this.#certainty = new Certainty(certainty, this.#turn);
    this.#admissions = new Admissions(parts, this.#turn, this.#certainty);
    this.#splitter = new MessageSplitter(parts.table, WHOLE_UP_TO);
    // Of any length, for they go on as whole messages (CopyPieces): what is dropped after a COPY has failed ends where a
    // message ends, or the target would take what follows for the rest of it.
    this.#splitter.handOut(Frontend.copyData, Handing.flow);
  }

  /**
   * More may be read from the client. A little is read ahead while something is under way: a client that goes away is
   * noticed only while it is read.
   */
  get thirsty(): boolean {
    return !this.#turn.ended && !this.#stuck && this.#waitingBytes < READ_AHEAD;
  }

  get #stuck(): boolean {
    const { outbox, session } = this.#parts;
    return outbox.full || outbox.crowded || session.gate.pressed;
  }

  /** Asks the target for the session's state before the client's first command. */
  start(): void {
    this.#certainty.ask();
  }

  take(chunk: Buffer): void {
    if (this.#turn.ended) return;
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    this.resume();
  }

  /** Goes on where it had to stop. */
  resume(): void {
    if (!this.#turn.busy) this.#run();
  }

  end(): void {
    this.#turn.ended = true;
    this.#admissions.cancelHeld();
  }

  /** The client has asked to cancel what is held. False: nothing is. */
  cancelHeld(): boolean {
    return this.#admissions.cancelHeld();
  }

  /** The client has asked to cancel, and nothing runs at the target: what is on its way there is not sent. */
  cancelWaiting(): void {
    this.#admissions.cancelWaiting();
  }

  /** Answers have come. */
  answered(): void {
    this.#turn.answered();
  }

  /** The questions of `cycle` behind the one that failed are not answered. */
  failed(cycle: number): void {
    this.#admissions.failed(cycle);
  }

  /** To the client, `cycle` has failed: so it must to the target, as far as it is not over there. */
  withheld(cycle: number): void {
    this.#admissions.withheld(cycle);
  }

  copyInBegan(): void {
    const { frontend, backend } = this.#parts;
    const { head } = backend;
    this.#copying = head?.command;
    // A Sync behind the Execute is ignored by the server: what follows belongs to the same cycle.
    if (head?.reply === "execute") this.#turn.unsynced = true;
    frontend.copyInBegan(head?.reply === "execute" ? head.cycle : frontend.cycle);
  }

  // ---- messages

  #run(): void {
    try {
      while (!this.#turn.busy && !this.#turn.ended) {
        if (!this.#turn.again) {
          if (this.#stuck) {
            if (this.#parts.outbox.crowded) this.#turn.urge();
            break;
          }
          this.#turn.relieved();
          if (this.#splitter.next() === "more") {
            const chunk = this.#chunks.shift();
            if (chunk === undefined) break;
            this.#waitingBytes -= chunk.length;
            this.#arrivedAt = performance.now();
            this.#splitter.push(chunk);
            continue;
          }
          const { type, bytes, start, end } = this.#splitter;
          if (type === Frontend.copyData) this.#pieces.take(bytes, start, end);
        }
        this.#turn.again = false;
        if (this.#turn.alone && RUNS_SOMETHING.has(this.#splitter.type)) {
          if (!this.#turn.settled) {
            this.#turn.settleThenAgain();
            continue;
          }
          this.#turn.alone = false;
        }
        this.#oneMessage();
      }
      this.#parts.outbox.flush();
    } catch (error) {
      return this.#turn.break(error);
    }
    if (this.thirsty) this.#parts.needs.more();
  }

  #oneMessage(): void {
    try {
      this.#message();
    } catch (error) {
      // A text in another encoding, a name that is too long: the command's fault, not the session's.
      if (!(error instanceof WireFault) || !FORGIVEN.has(error.sqlstate)) throw error;
      const report = { sqlstate: error.sqlstate, message: error.message };
      this.#admissions.refuseHere(report, this.#splitter.type === Frontend.query);
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
        this.#turn.unsynced = false;
        return outbox.pass(bytes, start, end, frontend.cycle - 1, this.#question("sync", frontend.cycle - 1), true);
      case "copy-data":
        return this.#copyData(this.#pieces);
      case "copy-done":
        return this.#copyData(message);
      case "copy-fail":
        decodeCopyFail(bytes, start + 5, end);
        return this.#copyData(message);
      case "await-answers":
        return this.#turn.settleThenAgain();
      case "terminate":
        this.terminating = true;
        // What was sent before it is finished first; a pipeline without its Sync is rolled back anyway.
        if (this.#turn.unsynced) return this.#parts.needs.terminated();
        return this.#turn.settle(() => this.#parts.needs.terminated());
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
    if (question !== undefined) this.#turn.unsynced = true;
  }

  #query(message: Message): void {
    const text = decodeQuery(message.bytes, message.start + 5, message.end);
    if (!this.#certainty.sure(text)) return;
    const { cycle } = this.#parts.frontend;
    this.#admissions.decide({
      kind: "simple-query",
      unit: { unit: "simple-query", text, arrivedAt: this.#arrivedAt },
      message,
      question: (command) => ({ reply: "query", cycle, command }),
    });
  }

  #parse(message: Message): void {
    const parsed = decodeParse(message.bytes, message.start + 5, message.end);
    const { statement: name, parameterTypes } = parsed;
    if (this.#parts.prepared.full) return this.#admissions.refuseHere(TOO_MANY_NAMES);
    if (!this.#certainty.sure(parsed.text)) return;
    const { frontend, prepared, state } = this.#parts;
    const { cycle } = frontend;
    // It is kept for as long as the statement: a view would keep the whole chunk that it came in.
    const text = Buffer.from(parsed.text);
    this.#admissions.decide({
      kind: "parse",
      unit: { unit: "parse", text, statementName: name, runsNothing: true, arrivedAt: this.#arrivedAt },
      message,
      question: (command, decision) => {
        const statement: Statement = { name, text, parameterTypes, cycle, answered: false, certain: true };
        prepared.addStatement(statement);
        state.renamed(name);
        return { reply: "parse", cycle, command, statement, decision };
      },
    });
  }

  #bind(message: Message): void {
    const bind = decodeBind(message.bytes, message.start + 5, message.end);
    const { prepared, frontend, state } = this.#parts;
    if (prepared.full) return this.#admissions.refuseHere(TOO_MANY_NAMES);
    const known = prepared.statement(bind.statement);
    // Made in an earlier cycle and not answered: it may have been skipped, and the name mean something older.
    if (known !== undefined && !known.answered && known.cycle < frontend.cycle) this.#certainty.mustSettle();
    if (known !== undefined && !known.certain) this.#certainty.mustVerifyNames();
    if (!this.#certainty.sure(known?.text)) return;
    const statement = prepared.statement(bind.statement);
    const inSql = statement === undefined ? state.preparedInSql(bind.statement) : undefined;
    const text = statement?.text ?? (inSql === undefined ? undefined : Buffer.from(inSql, "utf8"));
    if (text === undefined) return this.#admissions.refuseHere(noSuchStatement(bind.statement));
    const { cycle } = frontend;
    this.#admissions.decide({
      kind: "portal",
      unit: {
        unit: "portal",
        text,
        statementName: bind.statement,
        portalName: bind.portal,
        parameters: bind.parameters.map((value, i): Parameter => ({
          typeOid: statement?.parameterTypes[i] ?? 0,
          binary: isBinary(bind.parameterFormats, i),
          // Kept with a portal that has a name: a view would keep the whole chunk that it came in.
          value: value === undefined || bind.portal === "" ? value : Buffer.from(value),
        })),
        resultFormats: bind.resultFormats,
        arrivedAt: this.#arrivedAt,
      },
      message,
      question: (command) => {
        const portal: Portal = { name: bind.portal, text, command, cycle, changes: 0, certain: true };
        return { reply: "bind", cycle, command, portal, replaces: prepared.addPortal(portal) };
      },
    });
  }

  #functionCall(message: Message): void {
    if (!this.#certainty.sure()) return;
    const call = decodeFunctionCall(message.bytes, message.start + 5, message.end);
    const { cycle } = this.#parts.frontend;
    this.#admissions.decide({
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
    const { prepared } = this.#parts;
    if (prepared.portal(name)?.certain === false) {
      this.#certainty.mustVerifyNames();
      if (!this.#certainty.sure()) return;
    }
    const portal = prepared.portal(name);
    if (portal === undefined) return this.#admissions.refuseHere(noSuchPortal(name));
    if (this.#admissions.current(portal)) return this.#executeNow(message, portal, described);
    this.#admissions.executeAgain(portal, () => this.#executeNow(message, portal, undefined));
  }

  #executeNow(message: Message, portal: Portal, described: Portal | undefined): void {
    const { outbox, frontend } = this.#parts;
    const { command, name } = portal;
    const { cycle } = frontend;
    // What it returns is asked for right before it runs: an older description may be of something else. Where nothing is hidden
    // from the principal, it may be from those who read the log.
    if (described !== portal && (command.guarded || mayShow(command.verdict.facts))) {
      const describe = serialize.describe({ type: "P", name });
      const question = { reply: "describe-portal", cycle, command, portal, swallow: true } as const;
      outbox.pass(describe, 0, describe.length, cycle, question);
    }
    this.#pass(message, { reply: "execute", cycle, command, portal });
    this.#certainty.sent(command);
    this.#turn.sent(command.verdict);
  }

  #close(message: Message): void {
    const { of, name } = decodeNamed("Close", message.bytes, message.start + 5, message.end);
    const { prepared, frontend, state } = this.#parts;
    if (of === "statement") state.renamed(name);
    const closes = of === "portal" ? prepared.portal(name) : prepared.statement(name);
    this.#pass(message, { reply: "close", cycle: frontend.cycle, command: undefined, closes });
  }

  /** COPY data, and its end: recorded, then sent, in the place between what came before and after it. */
  #copyData(message: Message): void {
    const { outbox, frontend, session } = this.#parts;
    const bytes = message.bytes.subarray(message.start, message.end);
    const item = outbox.place(bytes, 0, bytes.length, frontend.cycle, undefined);
    session.gate.fromClient(this.#copying?.no ?? 0, bytes, () => {
      if (item.dropped) return;
      const crowded = outbox.crowded;
      outbox.admitted(item);
      // No answer will come that would wake whoever waits: of a COPY that has failed the server takes the rest in silence.
      this.#turn.answered();
      if (crowded) this.resume();
    });
  }
}

/** Its result may hold something that is stored. Lineage is not told of commands of those from whom nothing is hidden. */
const mayShow = ({ relations }: CommandFacts): boolean => relations.some(({ kind }) => kind !== "catalog");
