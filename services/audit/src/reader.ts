import type { CallInfo, Callers } from "@sallyport/runtime";
import type { ReaderDatabase } from "./clickhouse/views.ts";

/** Of data: whoever may see it reads statements and parameters as they were. */
export const STATEMENT_TEXT = "statement-text";

/** Somebody who asks the log, and what they may see of it. */
export interface Reader {
  principalId: string;
  /** classes of data that may be shown in clear */
  revealed: ReadonlySet<string>;
  database: ReaderDatabase;
}

/** @throws AppError `unauthenticated`, `not-permitted` */
export async function readerOf(callers: Callers, call: CallInfo): Promise<Reader> {
  const caller = await callers.callerOf(call);
  await callers.requireAction(caller, "audit", "", call.signal);
  const { revealedClasses } = await callers.authorize(caller.principal, "reveal", "", call.signal);
  const revealed = new Set(revealedClasses);
  return {
    principalId: caller.principal.id,
    revealed,
    database: revealed.has(STATEMENT_TEXT) ? "log_revealed" : "log",
  };
}
