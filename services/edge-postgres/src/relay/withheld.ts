import type { ResultRefused_Cause } from "@sallyport/proto/record";
import type { Question } from "./command.ts";

/** Why a result, or the rest of one, is not shown, and what the client is told of it. */
export interface Refusal {
  readonly cause: ResultRefused_Cause;
  readonly sqlstate: string;
  /** a sentence without values: for the client and for the record */
  readonly reason: string;
  readonly detail: string;
  readonly hint: string;
  /** of a limit */
  readonly policyIds: readonly string[];
}

/**
 * What is withheld: to the client its command has failed, though the target does not know. So whatever the target still says
 * of it, and of what the client has sent behind it, is not shown, as the server skips it after an error: up to
 * ReadyForQuery for a simple query, up to the answer to the cycle's Sync in the extended protocol. Pure.
 */
export class Withheld {
  /** of a simple query */
  #query: Question | undefined;
  #cycle = -1;
  /** bytes of rows that were not shown */
  #bytes = 0;
  #cancelled = false;
  #atOnce = false;

  get any(): boolean {
    return this.#query !== undefined || this.#cycle >= 0;
  }

  /** `cancel`: the target is to stop, however little of it is left. */
  begin(question: Question, cancel: boolean): void {
    this.#atOnce = cancel;
    if (question.reply === "query") this.#query = question;
    else this.#cycle = question.cycle;
    this.#bytes = 0;
    this.#cancelled = false;
  }

  /** Is the answer to this question not to be shown? */
  covers(question: Question | undefined): boolean {
    if (question === undefined || question.own !== undefined) return false;
    if (question === this.#query) return true;
    const { reply, cycle } = question;
    return cycle === this.#cycle && reply !== "query" && reply !== "function-call" && reply !== "sync";
  }

  /** ReadyForQuery for this question: what follows is shown again. */
  ready(question: Question): void {
    if (question === this.#query) this.#query = undefined;
    else if (question.cycle === this.#cycle) this.#cycle = -1;
  }

  /** All that has come so far was looked at, and `head` is answered next. True, once: it had better stop. */
  runsOn(head: Question | undefined): boolean {
    if (!this.#atOnce || this.#cancelled || !this.covers(head)) return false;
    this.#cancelled = true;
    return true;
  }

  /** Rows were not shown. True, once: there are so many that the target had better stop. */
  swallowed(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#cancelled || this.#bytes < WORTH_CANCELLING) return false;
    this.#cancelled = true;
    return true;
  }
}

/**
 * Less than this is through before a cancel request arrives, which could then meet a command that nobody wants to end.
 */
const WORTH_CANCELLING = 1024 * 1024;
