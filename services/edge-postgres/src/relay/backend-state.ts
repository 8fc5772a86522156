import { Backend } from "../wire/message-table.ts";

/**
 * Matches the target's messages to what it was asked (section 54.2): answers come in the order of the questions. Pure:
 * sockets, masks and records are elsewhere.
 */

/** A question to the target, by the answer that ends it. */
export type Reply =
  /** Query: any number of results, then ReadyForQuery */
  | "query"
  /** FunctionCall: FunctionCallResponse, then ReadyForQuery */
  | "function-call"
  | "parse"
  | "bind"
  /** ParameterDescription, then as describe-portal */
  | "describe-statement"
  /** RowDescription or NoData */
  | "describe-portal"
  /** rows, then CommandComplete, EmptyQueryResponse or PortalSuspended */
  | "execute"
  | "close"
  | "sync";

export interface Asked {
  readonly reply: Reply;
  /** FrontendState.cycle in which it was asked */
  readonly cycle: number;
}

export type BackendEffect =
  | "row-description"
  | "no-data"
  | "rows"
  | "command-complete"
  | "suspended"
  /** ParseComplete, BindComplete, CloseComplete, ParameterDescription, FunctionCallResponse */
  | "acknowledged"
  | "function-result"
  | "ready"
  | "error"
  | "notice"
  | "parameter-status"
  | "notification"
  | "copy-in"
  | "copy-out"
  | "copy-data"
  | "copy-done"
  /** not what was asked for, or not understood */
  | "violation";

/** effect by type and by the question at the head; `ends`: the question is answered by it */
interface Rule {
  readonly effect: BackendEffect;
  readonly ends: boolean;
}
const rule = (effect: BackendEffect, ends = false): Rule => ({ effect, ends });

const rules: Readonly<Record<Reply, Readonly<Record<number, Rule>>>> = {
  query: {
    [Backend.rowDescription]: rule("row-description"),
    [Backend.dataRow]: rule("rows"),
    [Backend.commandComplete]: rule("command-complete"),
    [Backend.emptyQueryResponse]: rule("command-complete"),
    [Backend.copyInResponse]: rule("copy-in"),
    [Backend.copyOutResponse]: rule("copy-out"),
    [Backend.copyData]: rule("copy-data"),
    [Backend.copyDone]: rule("copy-done"),
    [Backend.readyForQuery]: rule("ready", true),
  },
  "function-call": {
    [Backend.functionCallResponse]: rule("function-result"),
    [Backend.readyForQuery]: rule("ready", true),
  },
  parse: { [Backend.parseComplete]: rule("acknowledged", true) },
  bind: { [Backend.bindComplete]: rule("acknowledged", true) },
  "describe-statement": {
    [Backend.parameterDescription]: rule("acknowledged"),
    [Backend.rowDescription]: rule("row-description", true),
    [Backend.noData]: rule("no-data", true),
  },
  "describe-portal": {
    [Backend.rowDescription]: rule("row-description", true),
    [Backend.noData]: rule("no-data", true),
  },
  execute: {
    [Backend.dataRow]: rule("rows"),
    [Backend.commandComplete]: rule("command-complete", true),
    [Backend.emptyQueryResponse]: rule("command-complete", true),
    [Backend.portalSuspended]: rule("suspended", true),
    [Backend.copyInResponse]: rule("copy-in"),
    [Backend.copyOutResponse]: rule("copy-out"),
    [Backend.copyData]: rule("copy-data"),
    [Backend.copyDone]: rule("copy-done"),
  },
  close: { [Backend.closeComplete]: rule("acknowledged", true) },
  sync: { [Backend.readyForQuery]: rule("ready", true) },
};

const anytime: Readonly<Record<number, BackendEffect>> = {
  [Backend.errorResponse]: "error",
  [Backend.noticeResponse]: "notice",
  [Backend.parameterStatus]: "parameter-status",
  [Backend.notificationResponse]: "notification",
};

const NOTHING: readonly never[] = [];

export class BackendState<A extends Asked> {
  /** The question that the message just taken answers, whether or not it ended it. */
  answering: A | undefined;
  /** Questions that will never be answered, because one before them failed. Set by an `error`. */
  dropped: readonly A[] = NOTHING;

  readonly #asked: A[] = [];
  #head = 0;

  get waiting(): number {
    return this.#asked.length - this.#head;
  }

  /** The question whose answer comes next. */
  get head(): A | undefined {
    return this.#asked[this.#head];
  }

  ask(question: A): void {
    this.#asked.push(question);
  }

  /** Every question that has no answer yet, in order. */
  *outstanding(): Iterable<A> {
    for (let i = this.#head; i < this.#asked.length; i++) yield this.#asked[i] as A;
  }

  next(type: number): BackendEffect {
    const head = this.head;
    this.answering = head;
    const whenever = anytime[type];
    if (whenever !== undefined) {
      this.dropped = whenever === "error" && head !== undefined ? this.#fail(head) : NOTHING;
      return whenever;
    }
    if (head === undefined) return "violation";
    const found = rules[head.reply][type];
    if (found === undefined) return "violation";
    if (found.ends) this.#shift();
    if (found.effect === "copy-in" && head.reply === "execute") this.#ignoreSyncs(head.cycle);
    return found.effect;
  }

  /** After an error a Query still gets its ReadyForQuery; in the extended protocol the server skips to the next Sync. */
  #fail(head: A): readonly A[] {
    if (head.reply === "query" || head.reply === "function-call" || head.reply === "sync") return NOTHING;
    this.#shift();
    const dropped: A[] = [];
    while (this.head !== undefined && this.head.reply !== "sync") {
      dropped.push(this.head);
      this.#shift();
    }
    return dropped;
  }

  /** A Sync that came behind the Execute of a COPY FROM is ignored by the server: nobody answers it. */
  #ignoreSyncs(cycle: number): void {
    for (let i = this.#asked.length - 1; i > this.#head; i--) {
      const question = this.#asked[i] as A;
      if (question.reply === "sync" && question.cycle >= cycle) this.#asked.splice(i, 1);
    }
  }

  #shift(): void {
    this.#head += 1;
    if (this.#head === this.#asked.length) {
      this.#asked.length = 0;
      this.#head = 0;
    } else if (this.#head > 256) {
      this.#asked.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
