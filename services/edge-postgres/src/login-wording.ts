import type { ErrorCode } from "@sallyport/runtime";
import { encodeReport } from "./wire/encode.ts";

/** How PostgreSQL's clients are told that they are not let in. Every refusal is FATAL: the connection ends. */

export interface Refusal {
  readonly sqlstate: string;
  readonly message: string;
  readonly hint?: string | undefined;
}

export const refusalReport = (refusal: Refusal): Buffer => encodeReport({ severity: "FATAL", ...refusal });

/** A login that `lib/edge` refused, or whose target failed. */
export function refusedLogin(code: ErrorCode, message: string): Refusal {
  const { sqlstate, hint } = wording[code];
  return { sqlstate, message, hint };
}

const wording: Readonly<Record<ErrorCode, { sqlstate: string; hint?: string }>> = {
  unauthenticated: {
    sqlstate: "28P01",
    hint: "The password is an access token (`sallyport token`) or a personal token, and the user is its owner's name.",
  },
  "not-permitted": { sqlstate: "42501", hint: "Whoever writes the policies can tell more." },
  "not-found": {
    sqlstate: "3D000",
    hint: "`dbname` is the connection, or connection/database; `sallyport connections` lists them.",
  },
  "invalid-input": { sqlstate: "28000" },
  "already-exists": { sqlstate: "28000" },
  conflict: { sqlstate: "57P03", hint: "Try again." },
  "failed-precondition": { sqlstate: "08004", hint: "Whoever configures this connection has to correct it." },
  unavailable: { sqlstate: "08006", hint: "Try again later." },
  deadline: { sqlstate: "08006", hint: "Try again later." },
  exhausted: { sqlstate: "53300", hint: "Try again later." },
  cancelled: { sqlstate: "57P01" },
  internal: { sqlstate: "XX000", hint: "The gateway's log tells more." },
};

export const TLS_REQUIRED: Refusal = {
  sqlstate: "28000",
  message: "this gateway accepts TLS connections only: the password is a token, and must not travel in clear",
  hint: "Connect with sslmode=verify-full and sslrootcert=….",
};

export const TOO_SLOW: Refusal = { sqlstate: "08004", message: "the login took too long" };

export const TOO_MANY: Refusal = {
  sqlstate: "53300",
  message: "too many connections are logging in to this gateway",
  hint: "Try again later.",
};

export const NO_DATABASE: Refusal = {
  sqlstate: "3D000",
  message: "no connection was named",
  hint: "`dbname` is the connection, or connection/database; `sallyport connections` lists them.",
};

export const NO_USER: Refusal = { sqlstate: "28000", message: "no user was named" };
