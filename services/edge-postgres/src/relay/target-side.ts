import type { Edge, EdgeSession, ResultMask } from "@sallyport/edge";
import { CommandCompleted_Status as Status, ResultRefused_Cause } from "@sallyport/proto/record";
import type { Logger } from "@sallyport/runtime";
import {
  cellPlaces,
  decodeCommandComplete,
  decodeCopyResponse,
  decodeDataRow,
  decodeFields,
  decodeNotification,
  decodeParameterStatus,
  decodeReadyForQuery,
  decodeRowDescription,
  type FieldDescription,
  type MessageFields,
  rowsOfTag,
} from "../wire/backend.ts";
import { WireFault } from "../wire/fault.ts";
import { encodeReport } from "../wire/encode.ts";
import { Backend, backendTable } from "../wire/message-table.ts";
import { Handing, MessageSplitter } from "../wire/splitter.ts";
import type { BackendEffect, BackendState } from "./backend-state.ts";
import { type Command, type Question, unanswered } from "./command.ts";
import { maskRows, type MaskedRows } from "./masked-rows.ts";
import { Outgoing } from "./outgoing.ts";
import { endOf, headersOf, isTrailer, limitReached, passing } from "./row-limit.ts";
import type { Portal, Prepared } from "./prepared.ts";
import { mayReport, scrubNotification, scrubReport } from "./scrub.ts";
import type { SessionState } from "./session-state.ts";
import { wholeNotice } from "./whole-notice.ts";
import { type Refusal, Withheld } from "./withheld.ts";

/** What the target's side tells the client's side. */
export interface TargetNews {
  /** The questions of `cycle` after the one that failed will not be answered. */
  failed(cycle: number): void;
  copyInBegan(): void;
  copyInEnded(): void;
  /** Answers have come: whoever waits for the last of them may look again. */
  answered(): void;
  /** To the client, `cycle` has failed; the target does not know. */
  withheld(cycle: number): void;
  /** So much of the running command's result is not shown that the target had better stop. */
  enough(): void;
  /** The target broke the protocol, or a result cannot be shown: the session ends. */
  broken(error: unknown): void;
}

export interface TargetSideParts {
  readonly edge: Pick<Edge, "maskFor">;
  readonly session: EdgeSession;
  readonly backend: BackendState<Question>;
  readonly state: SessionState;
  readonly prepared: Prepared;
  readonly news: TargetNews;
  readonly log: Logger;
}

/** Rows of ordinary length reach the client whole, so that a target that dies among them can be told of. Bytes. */
const WHOLE_UP_TO = 16 * 1024;
/** A row or line that has to be masked is held whole: at most this long. */
const LONGEST_MASKED = 64 * 1024 * 1024;

/** Where a result's bytes go on: at once, or when a promise is done. */
type Step = void | Promise<void>;

/**
 * From the target to the client: matches, masks, releases.
 */
export class TargetSide {
  /** A promise is under way: the chunk is not used up. */
  busy = false;
  /** The target has told the client why it ends. */
  saidFatal = false;
  readonly #parts: TargetSideParts;
  readonly #outgoing: Outgoing;
  readonly #splitter = new MessageSplitter(backendTable, WHOLE_UP_TO);
  readonly #chunks: Buffer[] = [];
  readonly #descriptions = new WeakMap<object, { bytes: Buffer; fields: FieldDescription[] }>();
  readonly #withheld = new Withheld();
  /** what is at hand is not for the client */
  #silent = false;
  #ended = false;

  constructor(parts: TargetSideParts) {
    this.#parts = parts;
    this.#outgoing = new Outgoing(parts.session.gate);
  }

  /** Between two messages to the client: something may be said in between. */
  get atBoundary(): boolean {
    return this.#splitter.atBoundary;
  }

  end(): void {
    this.#ended = true;
  }

  /** Takes a chunk; while `busy` it waits. */
  take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    if (!this.busy) this.#run();
  }

  #run(): void {
    try {
      while (!this.#ended) {
        this.#setHanding();
        if (this.#splitter.next() === "more") {
          this.#flush();
          const chunk = this.#chunks.shift();
          if (chunk === undefined) {
            if (this.#withheld.any && this.#withheld.runsOn(this.#parts.backend.head)) this.#parts.news.enough();
            break;
          }
          this.#splitter.push(chunk);
          continue;
        }
        const step = this.#message();
        if (step === undefined) continue;
        this.busy = true;
        step.then(
          () => {
            this.busy = false;
            this.#run();
          },
          (error: unknown) => this.#break(error),
        );
        return;
      }
      if (this.#splitter.held > LONGEST_MASKED) throw new WireFault("a row is too long to be masked", "54000");
    } catch (error) {
      this.#break(error);
      return;
    }
    this.#parts.news.answered();
  }

  #break(error: unknown): void {
    this.#ended = true;
    this.busy = false;
    this.#parts.news.broken(error);
  }

  /** Rows and COPY data flow through when nobody looks at them; else they come in whole messages. */
  #setHanding(): void {
    if (!this.#splitter.atBoundary) return;
    const head = this.#parts.backend.head;
    const command = head?.command;
    const withheld = this.#withheld.any && this.#withheld.covers(head);
    const open = withheld || (head?.own === undefined && command !== undefined && !command.guarded);
    const passes = open || (command !== undefined && command.result?.passesAll === true);
    this.#splitter.handOut(Backend.dataRow, passes ? Handing.flow : Handing.run);
    this.#splitter.handOut(Backend.copyData, open || command?.copy === "pass" ? Handing.flow : Handing.run);
  }

  #message(): Step {
    const { type, count } = this.#splitter;
    const { backend } = this.#parts;
    // The rest of a message that flows: its beginning was looked at.
    if (count === 0) return this.#restOfMessage();
    const effect = backend.next(type);
    const question = backend.answering;
    if (
      question?.own !== undefined &&
      effect !== "error" &&
      effect !== "parameter-status" &&
      effect !== "notification"
    ) {
      return this.#ownAnswer(effect, question);
    }
    if (this.#withheld.any && this.#withheld.covers(question)) return this.#swallow(effect, question as Question);
    switch (effect) {
      case "acknowledged":
        return this.#acknowledged(question as Question);
      case "row-description":
        return this.#described(question as Question);
      case "no-data":
        return this.#noData(question as Question);
      case "rows":
        return this.#rows(question as Question);
      case "command-complete":
        return this.#commandComplete(question as Question);
      case "suspended":
        return this.#suspended(question as Question);
      case "ready":
        return this.#ready(question as Question);
      case "error":
        return this.#error(question);
      case "notice":
        return this.#notice(question);
      case "parameter-status":
        return this.#parameterStatus();
      case "notification":
        return this.#notification();
      case "copy-in":
        this.#parts.news.copyInBegan();
        return this.#pass(question?.command);
      case "copy-out":
        return this.#copyOut(question as Question);
      case "copy-data":
        return this.#copyData(question as Question);
      case "copy-done":
        return this.#copyDone(question as Question);
      case "function-result":
        if (question?.command?.guarded === true) throw new WireFault("a function's result cannot be masked");
        return this.#pass(question?.command);
      case "violation":
        throw new WireFault(`the target sent what nobody asked for (type 0x${type.toString(16)})`);
      default:
        return effect satisfies never;
    }
  }

  #restOfMessage(): void {
    const { head } = this.#parts.backend;
    if (this.#withheld.any && this.#withheld.covers(head)) return this.#swallowed();
    this.#pass(head?.command);
  }

  /** What was handed out goes to the client as it is. */
  #pass(command: Command | undefined, columns?: ResultMask["classes"]): void {
    if (this.#silent) return this.#flush();
    this.#passUpTo(this.#splitter.end, command, columns);
  }

  #passUpTo(end: number, command: Command | undefined, columns?: ResultMask["classes"]): void {
    const { bytes, start } = this.#splitter;
    if (end > start) this.#outgoing.pass(bytes, start, end, command?.no ?? 0, columns);
  }

  #flush(): void {
    this.#outgoing.flush();
  }

  // ---- answers

  #ownAnswer(effect: string, question: Question): void {
    this.#flush();
    const { bytes, start, end } = this.#splitter;
    if (effect === "rows") {
      for (let at = start; at < end;) {
        const next = at + 1 + bytes.readUInt32BE(at + 1);
        question.own?.rows.push(cellsOf(bytes, at + 5, next));
        at = next;
      }
    }
    if (effect === "row-description" && question.own !== undefined) {
      question.own.fields = decodeRowDescription(bytes, start + 5, end);
    }
    if (effect === "ready") this.#parts.state.ready(decodeReadyForQuery(bytes, start + 5, end));
    if (question.last === true) question.own?.finish();
  }

  #acknowledged(question: Question): void {
    const { statement, command, closes } = question;
    if (question.denial !== undefined) throw new Error("what must fail has not failed");
    if (statement !== undefined && command !== undefined) {
      statement.answered = true;
      if (statement.name !== "" && question.decision !== undefined) {
        this.#parts.session.gate.prepared(question.decision, statement.parameterTypes);
      }
      this.#pass(command);
      this.#complete(command, Status.STATUS_OK);
      return;
    }
    if (closes !== undefined) this.#parts.prepared.closed(closes);
    this.#pass(command);
    this.#portalEnds(closes !== undefined && "command" in closes ? closes : question.replaces);
  }

  /** A portal that was not read to its end, or never: its command is over. */
  #portalEnds(portal: Portal | undefined): void {
    if (portal !== undefined) this.#complete(portal.command, Status.STATUS_OK);
  }

  #described(question: Question): Step {
    const { command, swallow } = question;
    if (question.reply === "describe-statement" || command === undefined) return this.#pass(undefined);
    const mask = this.#maskFor(command);
    if (mask instanceof Promise) {
      this.#flush();
      return mask.then((found) => this.#masked(question, command, found, swallow === true));
    }
    this.#masked(question, command, mask, swallow === true);
  }

  #masked(question: Question, command: Command, mask: ResultMask, swallow: boolean): void {
    if (mask.disagreement !== "") {
      if (mask.staleSchema) this.#parts.state.mustObserve();
      return this.#withhold(question, command, disagreed(mask.disagreement));
    }
    command.result = mask;
    command.columnsTold = !swallow;
    if (mask.staleSchema) this.#parts.state.mustObserve();
    if (swallow) return this.#flush();
    if (mask.classes.length === 0) return this.#pass(command);
    this.#pass(command, mask.classes);
  }

  /** The plan for the description at hand. Given out again synchronously while nothing has changed. */
  #maskFor(command: Command): ResultMask | Promise<ResultMask> {
    const { bytes, start, end } = this.#splitter;
    const { verdict } = command;
    let known = this.#descriptions.get(verdict);
    if (known === undefined || known.bytes.compare(bytes, start, end) !== 0) {
      known = {
        bytes: Buffer.from(bytes.subarray(start, end)),
        fields: decodeRowDescription(bytes, start + 5, end),
      };
      this.#descriptions.set(verdict, known);
    }
    const { edge, session, state } = this.#parts;
    const { statement } = command;
    const { schemaTouched, codeRan } = state;
    return edge.maskFor(session, { verdict, columns: known.fields, schemaTouched, codeRan, statement });
  }

  #noData(question: Question): void {
    if (question.swallow === true) return this.#flush();
    this.#pass(question.command);
  }

  #rows(question: Question): Step {
    const command = question.command as Command;
    const { bytes, begins, end, count } = this.#splitter;
    if (command.result === undefined && command.guarded) throw new WireFault("rows that were not described");
    const passes = passing(command, count);
    command.rows += passes;
    if (passes === count) return this.#showRows(command, end);
    return this.#cutOff(question, command, this.#showRows(command, endOf(bytes, begins, passes)));
  }

  /** The rows at hand, up to `end`. */
  #showRows(command: Command, end: number): Step {
    const { bytes, start } = this.#splitter;
    const mask = command.result;
    if (mask === undefined || mask.passesAll) return this.#passUpTo(end, command, this.#untold(command));
    this.#flush();
    if (end === start) return;
    const masked = maskRows(mask, bytes, start, end);
    if (masked instanceof Promise) return masked.then((rows) => this.#releaseMasked(command, rows));
    this.#releaseMasked(command, masked);
  }

  /** A limit of rows is reached: what may pass is shown (`shown`), the rest is not. */
  #cutOff(question: Question, command: Command, shown: Step): Step {
    const cut = (): void => {
      const { meter, verdict, totalRows, rows } = command;
      if (meter !== undefined) this.#withhold(question, command, limitReached(meter, verdict, totalRows + rows));
    };
    return shown instanceof Promise ? shown.then(cut) : cut();
  }

  /** The classes of a result whose description the client did not see go with its first rows. */
  #untold(command: Command): ResultMask["classes"] | undefined {
    if (command.columnsTold || command.result === undefined) return undefined;
    command.columnsTold = true;
    return command.result.everyColumn;
  }

  #releaseMasked(command: Command, rows: Pick<MaskedRows, "bytes" | "maskedCells">): void {
    command.maskedCells += rows.maskedCells;
    if (rows.bytes.length === 0) return;
    this.#outgoing.release(command.no, this.#noticed(command, rows.bytes), this.#untold(command));
  }

  /** Before the first rows of a result the client is told what of them is masked whole: in their frame, it costs no other. */
  #noticed(command: Command, rows: Buffer): Buffer {
    if (command.wholeTold || command.result === undefined) return rows;
    command.wholeTold = true;
    const notice = wholeNotice(command.result);
    return notice.length === 0 ? rows : Buffer.concat([notice, rows]);
  }

  #commandComplete(question: Question): void {
    const command = question.command as Command;
    const { type, bytes, start, end } = this.#splitter;
    command.tag = type === Backend.commandComplete ? decodeCommandComplete(bytes, start + 5, end) : "";
    this.#pass(command);
    this.#resultEnds(command);
    command.meter?.nextResult();
    // A simple query may have further results; a portal has this one, in however many parts.
    if (question.reply === "query") {
      command.wholeTold = false;
      command.statement += 1;
    }
    if (question.reply === "execute") this.#complete(command, Status.STATUS_OK);
  }

  #suspended(question: Question): void {
    this.#pass(question.command);
  }

  #ready(question: Question): void {
    const { bytes, start, end } = this.#splitter;
    const status = decodeReadyForQuery(bytes, start + 5, end);
    const { state, prepared } = this.#parts;
    this.#withheld.ready(question);
    this.#pass(undefined);
    state.ready(status);
    if (question.command !== undefined) {
      this.#complete(question.command, question.command.error === "" ? Status.STATUS_OK : Status.STATUS_ERROR);
    }
    if (status === "I") {
      prepared.transactionEnded(question.cycle, (portal) => this.#complete(portal.command, Status.STATUS_OK));
    }
  }

  /** ResultMasked: what of which class was shown, and how. */
  #resultEnds(command: Command): void {
    const { result } = command;
    command.result = undefined;
    if (result === undefined) return;
    this.#parts.session.gate.masked(command.no, {
      planId: result.planId,
      columns: result.classes,
      rows: command.rows,
      maskedCells: command.maskedCells,
      scrubbedText: command.scrubbed,
    });
    command.totalRows += command.rows;
    command.rows = 0;
    command.maskedCells = 0;
  }

  #complete(command: Command, ended: Status): void {
    if (command.done) return;
    command.done = true;
    // A portal that was bound and never run, or not to its end.
    this.#resultEnds(command);
    // What was withheld has failed to the client, however it ended at the target.
    const status = command.error === "" ? ended : Status.STATUS_ERROR;
    const cancelled = command.error === "57014" && status === Status.STATUS_ERROR;
    const rows = command.totalRows + command.rows;
    // Its last bytes are still being gathered, perhaps with the next command's first: recorded behind them.
    this.#outgoing.behind(() =>
      this.#parts.session.gate.completed(command.no, {
        status: cancelled ? Status.STATUS_CANCELLED : status,
        code: command.error,
        tag: command.tag,
        rows: rows === 0 ? rowsOfTag(command.tag) : rows,
      }),
    );
    this.#parts.state.answered(command.verdict.facts, status === Status.STATUS_OK);
  }

  // ---- results that are withheld

  /** The client gets an error instead of the result, or of the rest of it. The session lives on. */
  #withhold(question: Question, command: Command, refusal: Refusal): void {
    const { session, news } = this.#parts;
    const { cause, reason, sqlstate, detail, hint, policyIds } = refusal;
    this.#flush();
    this.#resultEnds(command);
    const rows = command.totalRows + command.rows;
    session.gate.resultRefused({ command: command.no, cause, reason, rows, policyIds: [...policyIds] });
    const report = encodeReport({ severity: "ERROR", sqlstate, message: reason, detail, hint });
    this.#outgoing.release(command.no, report);
    command.error = sqlstate;
    this.#withheld.begin(question, cause === ResultRefused_Cause.CAUSE_ROW_LIMIT);
    if (question.reply !== "query") news.withheld(question.cycle);
  }

  /** Kept count of, and not shown. */
  #swallow(effect: BackendEffect, question: Question): Step {
    switch (effect) {
      case "rows":
      case "copy-data":
        return this.#swallowed();
      case "acknowledged":
        return this.#silently(() => this.#acknowledged(question));
      case "command-complete":
        return this.#silently(() => this.#commandComplete(question));
      case "copy-in":
        // To the client nothing takes data: nobody would send any, and the target waits.
        throw new WireFault("the target takes COPY data behind a result that is withheld");
      case "ready":
        return this.#ready(question);
      case "error":
        return this.#error(question);
      case "parameter-status":
        return this.#parameterStatus();
      case "notification":
        return this.#notification();
      case "violation":
        throw new WireFault("the target sent what nobody asked for");
      default:
        return this.#flush();
    }
  }

  #swallowed(): void {
    this.#flush();
    const { start, end } = this.#splitter;
    if (this.#withheld.swallowed(end - start)) this.#parts.news.enough();
  }

  /** The target has done what the client takes for skipped: it is on record, and what it made is known. */
  #silently(answer: () => void): void {
    this.#silent = true;
    answer();
    this.#silent = false;
  }

  // ---- errors and texts

  #error(question: Question | undefined): Step {
    const { bytes, start, end } = this.#splitter;
    const { backend, news } = this.#parts;
    const fields = decodeFields(bytes, start + 5, end);
    const { dropped } = backend;
    const severity = fields.get("V") ?? fields.get("S");
    if (severity === "FATAL" || severity === "PANIC") this.saidFatal = true;
    news.copyInEnded();
    if (question?.denial !== undefined) {
      this.#outgoing.release(question.deniedCommand ?? 0, question.denial);
      return this.#failed(question, dropped);
    }
    if (question?.own !== undefined) return this.#ownFailed(question, dropped);
    const command = question?.command;
    if (this.#withheld.any && this.#withheld.covers(question)) {
      this.#flush();
      return this.#failed(question, dropped);
    }
    if (command !== undefined) command.error = sqlstateIn(fields);
    const shown = this.#text(question, fields, true);
    if (shown instanceof Promise) return shown.then(() => this.#failed(question, dropped));
    this.#failed(question, dropped);
  }

  #ownFailed(question: Question, dropped: readonly Question[]): void {
    this.#flush();
    const { own } = question;
    if (own === undefined) return;
    own.failed = true;
    // It has a Sync of its own: its end comes with that, and nothing of the client's is concerned.
    if (this.#parts.backend.head?.own === own) return;
    // It stood in the middle of the client's pipeline, which has failed with it: the client must know.
    const { bytes, start, end } = this.#splitter;
    this.#outgoing.release(0, scrubReport(decodeFields(bytes, start + 5, end), true));
    this.#failed({ ...question, command: undefined }, dropped);
    own.finish();
  }

  #failed(question: Question | undefined, dropped: readonly Question[]): void {
    if (question === undefined) return;
    const { prepared, news } = this.#parts;
    const { reply, command, statement, portal } = question;
    if (reply === "query" || reply === "function-call" || reply === "sync") return;
    if (statement !== undefined) prepared.statementFailed(statement);
    if (portal !== undefined) prepared.portalFailed(portal);
    this.#portalEnds(question.replaces);
    if (command !== undefined) this.#complete(command, Status.STATUS_ERROR);
    for (const skipped of dropped) {
      if (skipped.statement !== undefined) prepared.statementFailed(skipped.statement);
      if (skipped.portal !== undefined) prepared.portalFailed(skipped.portal);
      this.#portalEnds(skipped.replaces);
      if (skipped.last === true) unanswered(skipped);
      if (skipped.command !== undefined) this.#complete(skipped.command, Status.STATUS_CANCELLED);
    }
    news.failed(question.cycle);
  }

  #notice(question: Question | undefined): Step {
    const { bytes, start, end } = this.#splitter;
    return this.#text(question, decodeFields(bytes, start + 5, end), false);
  }

  /** An error or notice: as it is, or scrubbed, when something is hidden from the principal that could stand in it. */
  #text(question: Question | undefined, fields: MessageFields, isError: boolean): Step {
    const { session, edge, state } = this.#parts;
    const command = question?.command;
    const guarded = command?.guarded ?? state.guarded;
    // Nothing of the data is touched when a statement is only parsed.
    if (!guarded || question?.reply === "parse") return this.#pass(command);
    if (command === undefined) return this.#scrubbed(command, fields, isError);
    if (command.result !== undefined) return this.#textBy(command.result, command, fields, isError);
    const { verdict } = command;
    const { schemaTouched, codeRan } = state;
    const mask = edge.maskFor(session, { verdict, columns: [], schemaTouched, codeRan });
    if (!(mask instanceof Promise)) return this.#textBy(mask, command, fields, isError);
    this.#flush();
    return mask.then(
      (found) => this.#textBy(found, command, fields, isError),
      () => this.#scrubbed(command, fields, isError),
    );
  }

  #textBy(mask: ResultMask, command: Command, fields: MessageFields, isError: boolean): void {
    if (mask.scrubText) this.#scrubbed(command, fields, isError);
    else this.#pass(command);
  }

  #scrubbed(command: Command | undefined, fields: MessageFields, isError: boolean): void {
    this.#outgoing.release(command?.no ?? 0, scrubReport(fields, isError));
    if (command === undefined || command.scrubbed) return;
    command.scrubbed = true;
    if (command.result !== undefined) return;
    const nothing = { planId: "", columns: [], rows: 0, maskedCells: 0 };
    this.#parts.session.gate.masked(command.no, { ...nothing, scrubbedText: true });
  }

  #parameterStatus(): void {
    const { bytes, start, end } = this.#splitter;
    const { name, value } = decodeParameterStatus(bytes, start + 5, end);
    const { state } = this.#parts;
    if (name === "client_encoding" || name === "standard_conforming_strings") state.reported(name, value);
    if (state.guarded && !mayReport(name, value)) return this.#flush();
    this.#pass(undefined);
  }

  #notification(): void {
    if (!this.#parts.state.guarded) return this.#pass(undefined);
    const { bytes, start, end } = this.#splitter;
    const { processId, channel } = decodeNotification(bytes, start + 5, end);
    this.#outgoing.release(0, scrubNotification(processId, channel));
  }

  // ---- COPY TO STDOUT

  #copyOut(question: Question): void {
    const command = question.command as Command;
    command.headers = headersOf(command);
    if (command.guarded && command.copy === undefined) throw new WireFault("COPY data that cannot be masked");
    if (command.copy !== undefined && command.copy !== "pass") {
      const { bytes, start, end } = this.#splitter;
      const { columnFormats, binary } = decodeCopyResponse(bytes, start + 5, end);
      if (binary !== command.copy.binary || columnFormats.length !== command.copy.mask.columns.length) {
        throw new WireFault("COPY data of another shape than was planned");
      }
      command.result = command.copy.mask;
      command.columnsTold = true;
      return this.#pass(command, command.copy.mask.classes);
    }
    this.#pass(command);
  }

  #copyData(question: Question): Step {
    const command = question.command as Command;
    const { bytes, begins, end, count } = this.#splitter;
    if (command.guarded && command.copy === undefined) throw new WireFault("COPY data that cannot be masked");
    const passes = passing(command, count);
    if (passes === count) return this.#showCopyData(command, end, count);
    const until = endOf(bytes, begins, passes);
    if (isTrailer(bytes, until, end)) return this.#showCopyData(command, end, passes);
    return this.#cutOff(question, command, this.#showCopyData(command, until, passes));
  }

  /** The data at hand, up to `end`: so many messages. */
  #showCopyData(command: Command, end: number, count: number): Step {
    const { copy } = command;
    if (!command.guarded || copy === "pass" || copy === undefined) {
      command.rows += count;
      return this.#passUpTo(end, command);
    }
    this.#flush();
    const { bytes, start } = this.#splitter;
    if (end === start) return;
    return copy.take(bytes, start, end).then((lines) => {
      command.rows += lines.rows;
      this.#releaseMasked(command, lines);
    });
  }

  #copyDone(question: Question): void {
    const command = question.command as Command;
    if (command.copy !== undefined && command.copy !== "pass") command.copy.finish();
    this.#pass(command);
  }
}

/** Whoever may find the reason looks into the record. */
const disagreed = (reason: string): Refusal => ({
  cause: ResultRefused_Cause.CAUSE_DISAGREEMENT,
  sqlstate: "42501",
  reason,
  detail: "The command may have run at the target. Nothing of its result was sent.",
  hint: "Run it again: the schema is observed anew. If it is refused again, tell whoever runs the gateway.",
  policyIds: [],
});

function sqlstateIn(fields: MessageFields): string {
  const code = fields.get("C") ?? "";
  return /^[0-9A-Z]{5}$/.test(code) ? code : "XX000";
}

const places = cellPlaces();

function cellsOf(bytes: Buffer, at: number, end: number): (string | null)[] {
  decodeDataRow(bytes, at, end, places);
  const cells: (string | null)[] = [];
  for (let i = 0; i < places.count; i++) {
    const start = places.starts[i] as number;
    const length = places.lengths[i] as number;
    cells.push(length < 0 ? null : bytes.toString("utf8", start, start + length));
  }
  return cells;
}
