import { AppError, type ErrorCode } from "@sallyport/runtime";

/**
 * Why somebody is not let in. Each has one sentence, which anyone may read: it says what to do, and nothing of the token,
 * its owner, or whether a name exists.
 */
const SENTENCES = {
  malformed: "this is not a token that this gateway knows how to read",
  invalid: "the token is not valid",
  unknown: "the token is not known here",
  expired: "the token has expired; log in again or make a new one",
  revoked: "the token has been revoked",
  "signed-out": "the token has been signed out; log in again",
  offboarded: "the token's owner has been withdrawn",
  withdrawn: "the token was withdrawn together with its owner's access, and stays so; log in again or make a new one",
  "session-ended": "the login behind this token has ended at the identity provider; log in again",
  unverified: "the identity provider no longer vouches for the token's owner; the owner must log in again",
  foreign: "the token's issuer is not trusted here",
  "issuer-away": "the keys of the token's issuer cannot be fetched",
  "wrong-user": "the token belongs to another user than the one that was named",
  "provider-away": "the identity provider cannot be reached, and the groups last read from it are too old",
} as const;

export type RefusalReason = keyof typeof SENTENCES;

export interface Refused {
  readonly kind: "refused";
  readonly reason: RefusalReason;
}

export function refused(reason: RefusalReason): Refused {
  return { kind: "refused", reason };
}

export function asAppError({ reason }: Refused, op: string): AppError {
  const code: ErrorCode = reason === "provider-away" || reason === "issuer-away" ? "unavailable" : "unauthenticated";
  return new AppError(code, op, SENTENCES[reason]);
}
