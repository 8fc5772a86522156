/** What went wrong, as a closed list. Each code has exactly one gRPC status (`grpc-status.ts`). */
export const errorCodes = [
  "invalid-input",
  "unauthenticated",
  "not-permitted",
  "not-found",
  "already-exists",
  "conflict",
  "failed-precondition",
  "unavailable",
  "deadline",
  "exhausted",
  "cancelled",
  "internal",
] as const;
export type ErrorCode = (typeof errorCodes)[number];

/**
 * The one error class. `message` is a sentence that the other side may read: no value, secret or token in it.
 * What is only for us goes into `cause`. `op` names the operation, `service.operation` by habit.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly op: string;

  constructor(code: ErrorCode, op: string, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "AppError";
    this.code = code;
    this.op = op;
  }

  /** An AppError as it is; an abort as `cancelled` or `deadline`; everything else is a bug: `internal`. */
  static from(error: unknown, op: string): AppError {
    if (error instanceof AppError) return error;
    if (error instanceof Error && error.name === "AbortError")
      return new AppError("cancelled", op, "cancelled", { cause: error });
    if (error instanceof Error && error.name === "TimeoutError")
      return new AppError("deadline", op, "no answer in time", { cause: error });
    return new AppError("internal", op, "internal error", { cause: error });
  }
}
