/** What a protocol sees of the gate; `gate.ts` has the order. */
import type { ColumnClass, CommandCompleted_Status, ResultRefused } from "@sallyport/proto/record";
import type { Decision, Deny, Forward, Held, Hold } from "./outcome.ts";
import type { AdmissionUnit, CommandContext } from "./unit.ts";

export interface Completion {
  status: CommandCompleted_Status;
  /** SQLSTATE, HTTP status … of an error */
  code?: string;
  /** `SELECT 5` */
  tag?: string;
  rows?: number;
}

export interface MaskedResult {
  planId: string;
  columns: readonly ColumnClass[];
  rows: number;
  maskedCells: number;
  scrubbedText: boolean;
}

/** What goes to the client, or to the target: Node's Writable fits (net.Socket, tls.TLSSocket). */
export interface Sink {
  write(bytes: Uint8Array): boolean;
  cork(): void;
  uncork(): void;
  once(event: "drain", listener: () => void): unknown;
  readonly destroyed: boolean;
}

export interface Gate {
  /** Replaces the state that verdicts depend on; drops the session's cached verdicts when it differs. */
  setContext(context: CommandContext): void;

  /**
   * Numbers the command and decides it: from the session's cache (then synchronously, the hot path), else from `policy`.
   * Never throws for a command: what cannot be decided is denied (I4).
   */
  decide(unit: AdmissionUnit): Decision | Promise<Decision>;

  /**
   * Records verdict and command, waits for the acknowledgement, looks at the lease again, records CommandForwarded and
   * calls `then` with the same decision: write the unit's bytes to the target inside that call. When the lease or the
   * epoch has moved meanwhile the command is decided again, and `then` gets that answer (a `hold` or a `deny`).
   * Calls of one gate come in the order of `admit`. After the session has ended `then` is not called.
   * `fits`: asked when it was decided again and may go; false: it may not under that verdict, and is denied instead.
   */
  admit(decision: Forward, then: (outcome: Decision) => void, fits?: (again: Forward) => boolean): void;

  /**
   * May what was admitted go on under its decision (more of its rows be read)? Nothing that it depends on has changed, and
   * there is a lease (I7).
   */
  holds(decision: Forward): boolean;

  /**
   * Decides anew what is under way already, with its number and its grant. A `Forward` must be admitted again: it is on
   * record a second time, under the verdict that lets it go on.
   */
  again(decision: Forward): Promise<Decision>;

  /**
   * Drops these commands' admissions whose `then` has not been called (a pipeline after an error): it never will be. They
   * are recorded as cancelled, not as forwarded. Others go on in their order.
   */
  abandon(commands: readonly number[]): void;

  /** Records the denial. What is `release`d afterwards reaches the client only when that is acknowledged. */
  deny(decision: Deny, code: string): void;

  /** Asks for approval and records CommandHeld. */
  hold(decision: Hold): Promise<Held | Deny>;

  /**
   * Waits until people have answered, uses the grant and decides again with it. `signal`: the client cancelled, or, with an
   * AppError `deadline` as its reason, waits no longer; its message is the denial's. A `Forward` must still be admitted, a
   * `Deny` recorded with `deny`.
   */
  awaitGrant(held: Held, signal?: AbortSignal): Promise<Forward | Deny>;

  /**
   * Records bytes for the client and writes them to its sink once acknowledged, in order. `columns` with the first
   * frame of a result. `command` 0: outside any command. The bytes must not be changed afterwards.
   * False: stop reading from the target until `onDrain`.
   */
  release(command: number, bytes: Buffer, columns?: readonly ColumnClass[]): boolean;

  /** Runs `then` when everything recorded so far is acknowledged and handed to the client's sink. */
  afterRelease(then: () => void): void;

  /** Records bytes from the client that belong to a running command (COPY data) and calls `forward` once acknowledged. */
  fromClient(command: number, bytes: Buffer, forward: () => void): boolean;

  /** ResultMasked: one per result. */
  masked(command: number, result: MaskedResult): void;
  /** ResultRefused: a result, or the rest of one, is withheld. Record it before what the client is told. */
  resultRefused(refused: ResultRefused): void;
  /** StatementPrepared: a named statement of the protocol exists now. */
  prepared(decision: Forward, parameterTypes: readonly number[]): void;
  /** CommandCompleted; durations and bytes are counted here. */
  completed(command: number, completion: Completion): void;
  /** CancelRequested: somebody with the key asked for it. `command` 0: none was running. */
  cancelRequested(clientAddress: string, command: number): void;

  /** May more be released, or read from the client? */
  readonly pressed: boolean;
  /** Called once each time `release` or `fromClient` may go on after having said false. */
  onDrain: (() => void) | undefined;
}
