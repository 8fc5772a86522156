import type { CallInfo, Callers } from "@sallyport/runtime";
import type { ReaderDatabase } from "./clickhouse/views.ts";

/** Of data: whoever may see it reads statements and parameters as they were. */
export const STATEMENT_TEXT = "statement-text";

/** Somebody who asks the log, and what they may see of it. */
export interface Reader {
  principalId: string;
  /**
   * Classes of data that may be shown in clear, in the records of sessions on this connection. Asked each time.
   * @throws AppError when policy cannot be asked
   */
  revealedOn(connection: string): Promise<ReadonlySet<string>>;
  /**
   * For SQL, which may mix rows of any connection: `log_revealed` only when statement texts may be seen on every one.
   * @throws AppError when policy cannot be asked
   */
  database(): Promise<ReaderDatabase>;
}

/** @throws AppError `unauthenticated`, `not-permitted` */
export async function readerOf(callers: Callers, call: CallInfo): Promise<Reader> {
  const caller = await callers.callerOf(call);
  await callers.requireAction(caller, "audit", "", call.signal);
  const revealedOn = async (connection: string): Promise<ReadonlySet<string>> => {
    const answer = await callers.authorize(caller.principal, "reveal", "", call.signal, connection);
    return new Set(answer.revealedClasses);
  };
  return {
    principalId: caller.principal.id,
    revealedOn,
    database: async () => ((await revealedOn("")).has(STATEMENT_TEXT) ? "log_revealed" : "log"),
  };
}
