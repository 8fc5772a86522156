import type { Forward, KnownVerdict, ResultMask, RowMeter } from "@sallyport/edge";
import type { CopyMask } from "./copy-fields.ts";
import type { FieldDescription } from "../wire/backend.ts";
import type { Portal, Statement } from "./prepared.ts";
import type { Asked } from "./backend-state.ts";

/** A command on its way: what was admitted, and what came of it. */
export interface Command {
  /** number within the session */
  readonly no: number;
  readonly unit: "simple-query" | "parse" | "portal" | "function-call";
  /** replaced when the command was decided again */
  decision: Forward;
  verdict: KnownVerdict;
  /** it has left for the target */
  forwarded: boolean;
  /** something is hidden from the principal: results are masked, texts may be scrubbed */
  guarded: boolean;
  /** how a COPY TO STDOUT is to be masked; undefined: nothing is known, so it is refused when guarded */
  copy: CopyMask | "pass" | undefined;
  /** of a simple query: the statement that is being answered, from 0 */
  statement: number;
  /** from when it was admitted: counts its rows, and says how many may pass */
  meter: RowMeter | undefined;
  /** of a COPY TO STDOUT: messages that are no rows, and still to come */
  headers: number;
  /** of the result that is coming: sent to the client so far */
  rows: number;
  maskedCells: number;
  /** of all results before it */
  totalRows: number;
  /** the classes of the result's columns stand in one of its frames */
  columnsTold: boolean;
  /** the client knows which columns of the result are masked whole */
  wholeTold: boolean;
  /** of the last statement that ended */
  tag: string;
  /** SQLSTATE of an error */
  error: string;
  /** a text of the target was withheld */
  scrubbed: boolean;
  /** how the result that is coming is shown */
  result: ResultMask | undefined;
  done: boolean;
}

export function commandOf(decision: Forward, unit: Command["unit"]): Command {
  const { command: no, verdict } = decision;
  return {
    no,
    unit,
    decision,
    verdict,
    forwarded: false,
    guarded: verdict.hiddenClasses.length > 0,
    copy: undefined,
    meter: undefined,
    headers: 0,
    statement: 0,
    rows: 0,
    maskedCells: 0,
    totalRows: 0,
    columnsTold: true,
    wholeTold: false,
    tag: "",
    error: "",
    scrubbed: false,
    result: undefined,
    done: false,
  };
}

/** A question to the target, with what is to be done with its answer. */
export interface Question extends Asked {
  /** undefined: the gateway's own question, or one that belongs to no command */
  readonly command: Command | undefined;
  /** the gateway's own: the client sees nothing of the answer */
  readonly own?: OwnQuestion;
  /** of `own`: with its answer the query is done */
  readonly last?: boolean;
  /** of a Parse */
  readonly decision?: Forward;
  /** asked so that it fails: the client sees this ErrorResponse instead, as an answer to `deniedCommand` */
  readonly denial?: Buffer;
  readonly deniedCommand?: number;
  readonly statement?: Statement;
  readonly portal?: Portal;
  /** of a Bind: the portal of this name before it, which ends */
  readonly replaces?: Portal | undefined;
  /** of a Close: what had the name then */
  readonly closes?: Statement | Portal | undefined;
  /** the description is for the mask alone, the client did not ask for it */
  readonly swallow?: boolean;
}

/** A query of the gateway's own: several questions, one answer. */
export interface OwnQuestion {
  readonly rows: (string | null)[][];
  /** as described */
  fields: readonly FieldDescription[];
  failed: boolean;
  /** with the last answer, or when none will come */
  finish(): void;
}

/** The last question of the gateway's own will not be answered: whoever waits for it must know. */
export function unanswered(question: Question): void {
  const { own } = question;
  if (own === undefined) return;
  own.failed = true;
  own.finish();
}
