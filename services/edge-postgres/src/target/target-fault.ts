import type { ErrorCode } from "@sallyport/runtime";

/**
 * Why a target could not be reached or logged in to. `message` is public: it names host, role and SQLSTATE, never a
 * secret, and of the target's own text nothing but what its SQLSTATE says.
 */
export class TargetFault extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "TargetFault";
    this.code = code;
  }
}
