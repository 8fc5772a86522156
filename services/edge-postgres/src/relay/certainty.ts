import type { CommandContext } from "@sallyport/edge";
import type { FieldDescription } from "../wire/backend.ts";
import type { Command } from "./command.ts";
import type { FrontendState } from "./frontend-state.ts";
import type { OwnQueries, Rows } from "./own-queries.ts";
import type { Prepared } from "./prepared.ts";
import { type SessionState, STATE_QUERY } from "./session-state.ts";
import type { TargetOutbox } from "./target-outbox.ts";
import type { Turn } from "./turn.ts";

/**
 * What a decision must be sure of before it is taken: that what may have changed the session is answered, what the target
 * says of its state, what names stand for, and that its schema is observed.
 */
export interface CertaintyParts {
  readonly frontend: FrontendState;
  readonly outbox: TargetOutbox;
  readonly state: SessionState;
  readonly prepared: Prepared;
  readonly own: OwnQueries;
  /** The target's schema is observed, or it could not be (false). */
  observe(): Promise<boolean>;
}

/** Protocol statements and portals by name, each with its text, as JSON. */
const NAMES_QUERY =
  "(SELECT pg_catalog.json_object_agg(name, statement) FROM pg_catalog.pg_prepared_statements), " +
  "(SELECT pg_catalog.json_object_agg(name, statement) FROM pg_catalog.pg_cursors)";

const PLAIN_SETTING = /^\s*SET\s(?:[\w\s.,=+-]|'[\w\s.,:/+-]*')+;?\s*$/i;
const LONGEST_SETTING = 256;

/**
 * A SET that means the same whatever the session's state. To ask for the state takes the transaction's snapshot, and its
 * isolation level cannot be set any more after that: such texts are decided as though the state were not known.
 */
const isPlainSetting = (text: Buffer | undefined): boolean =>
  text !== undefined && text.length <= LONGEST_SETTING && PLAIN_SETTING.test(text.toString("latin1"));

export class Certainty {
  readonly #parts: CertaintyParts;
  readonly #turn: Turn;
  #settleFirst = false;
  #verifyNames = false;
  /** The target was asked, and could not say: go on without. */
  #askedInVain = false;

  constructor(parts: CertaintyParts, turn: Turn) {
    this.#parts = parts;
    this.#turn = turn;
  }

  /** The next decision has to wait for the answers to what was sent. */
  mustSettle(): void {
    this.#settleFirst = true;
  }

  /** The next decision has to be sure again what statements and portals stand for. */
  mustVerifyNames(): void {
    this.#verifyNames = true;
  }

  /** From now on the target may have done it. */
  sent(command: Command): void {
    const { state, prepared } = this.#parts;
    const { facts } = command.verdict;
    state.sent(facts);
    if (state.mustSettle(facts)) this.#settleFirst = true;
    if (state.mayRebind(facts)) prepared.nothingCertain();
  }

  /** False: something has to happen first; then the message, with this text, is looked at again. */
  sure(text?: Buffer): boolean {
    const { state } = this.#parts;
    const sure = !this.#settleFirst && !this.#verifyNames && !state.stale && !state.unobserved;
    if (!sure) {
      if (!this.#turn.settled) {
        this.#turn.settleThenAgain();
        return false;
      }
      this.#settleFirst = false;
      // In a failed transaction nothing can be asked, and nothing runs but its end.
      const canAsk = state.status !== "E" && !(this.#inTransaction && !this.#verifyNames && isPlainSetting(text));
      if ((state.stale || this.#verifyNames) && canAsk && !this.#askedInVain) {
        this.#turn.again = true;
        this.ask();
        return false;
      }
      if (state.stale) state.learned(undefined);
      this.#askedInVain = false;
      this.#verifyNames = false;
      if (state.unobserved && state.mayObserve()) {
        this.#turn.again = true;
        this.#turn.wait(this.#parts.observe(), (observed) => {
          if (observed) state.observed();
        });
        return false;
      }
    }
    return true;
  }

  get #inTransaction(): boolean {
    return this.#parts.state.status === "T" || this.#turn.unsynced;
  }

  /**
   * The state that this text is decided in. A text that may EXECUTE something is told of the protocol's statements too; others
   * are not, since their verdicts would be worth nothing whenever a driver prepares a statement.
   */
  contextFor(text: Buffer): CommandContext {
    const { state, prepared } = this.#parts;
    const { context } = state;
    if (!prepared.hasNamed || !/execute/i.test(text.toString("latin1"))) return context;
    return { ...context, named: [...context.named, ...prepared.executableIn(text.toString("utf8"))] };
  }

  /** The target's own account of the session: settings, and what the names stand for. */
  ask(): void {
    const { state, prepared } = this.#parts;
    const verify = this.#verifyNames;
    this.#turn.wait(this.query(verify ? `${STATE_QUERY}, ${NAMES_QUERY}` : STATE_QUERY), (rows) => {
      const row = rows?.[0];
      this.#askedInVain = row === undefined;
      state.learned(row);
      if (!verify) return;
      this.#verifyNames = false;
      // NAMES_QUERY's, behind whatever the state is asked for
      prepared.verified(row?.at(-2), row?.at(-1));
    });
  }

  /** What a query returns, asked of the target in the same way; undefined: it refused. */
  describe(sql: string): Promise<readonly FieldDescription[] | undefined> {
    const { own, frontend, outbox } = this.#parts;
    return new Promise((resolve) => {
      const { bytes, questions } = own.describe(sql, frontend.cycle, !this.#turn.unsynced, resolve);
      outbox.passAll(bytes, frontend.cycle, questions);
      outbox.flush();
    });
  }

  /** A query of the gateway's own, in the middle of the client's pipeline if need be. */
  query(sql: string): Promise<Rows | undefined> {
    const { own, frontend, outbox } = this.#parts;
    return new Promise((resolve) => {
      const { bytes, questions } = own.ask(sql, frontend.cycle, !this.#turn.unsynced, resolve);
      outbox.passAll(bytes, frontend.cycle, questions);
      outbox.flush();
    });
  }
}
