import type { Parameter } from "@sallyport/proto/record";
import type { ColumnFlow, NamedStatement } from "@sallyport/proto/verdict";

/** What of a session's state at the target a verdict depends on. Replace the object when anything in it changes. */
export interface CommandContext {
  /** schemas in effect; empty: not known */
  searchPath: readonly string[];
  role: string;
  settings: Readonly<Record<string, string>>;
  /** prepared statements and cursors made in SQL */
  named: readonly NamedStatement[];
  /** the open transaction has changed the schema */
  schemaTouched: boolean;
  /** what is known of the session's temporary relations: flows into them of the commands that it ran, in order; absent: none */
  temporary?: readonly ColumnFlow[];
}

/** The smallest thing that can have an effect at the target. */
export interface AdmissionUnit {
  /** as CommandAdmitted.unit: `simple-query`, `parse`, `portal`, `function-call` */
  unit: string;
  /** UTF-8, checked by the caller (`buffer.isUtf8`); at most `limits.textBytes`. Must not be changed afterwards. */
  text: Buffer;
  statementName?: string;
  portalName?: string;
  parameters?: readonly Parameter[];
  resultFormats?: readonly number[];
  /** nothing runs by it (a statement is only prepared): a hold does not stop it, for what will run is decided by itself */
  runsNothing?: boolean;
  /** performance.now() at its arrival; default: now */
  arrivedAt?: number;
}

/**
 * Erases literals, conservatively. Returns undefined when the text holds anything that it does not understand for
 * certain (then only the exact text is a cache key).
 */
export type LiteralLexer = (text: Buffer) => LexedText | undefined;

export interface LexedText {
  /** the text with every literal replaced by a marker of its kind that cannot occur in the text otherwise */
  skeleton: string;
  /** byte offsets at which the literals begin, ascending */
  offsets: readonly number[];
  /** the literals' own bytes (latin1), in the same order */
  literals: readonly string[];
}
