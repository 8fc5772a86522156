import type { CommandFacts, DenyReason, Hold as HeldForbid, RowLimit } from "@sallyport/proto/verdict";
import type { AdmissionUnit } from "./unit.ts";

/** A verdict as the edge keeps it: decoded once, with what is needed to record it. */
export interface KnownVerdict {
  readonly id: string;
  readonly asOf: number;
  readonly facts: CommandFacts;
  /** classes of data in this connection that the principal may not see in clear */
  readonly hiddenClasses: readonly string[];
  /** the policy's sentence; empty: none */
  readonly message: string;
  /** how many rows the client gets at most */
  readonly limits: readonly RowLimit[];
}

interface Decided {
  /** number within the session, from 1 */
  readonly command: number;
  readonly unit: AdmissionUnit;
}

/** May go ahead, once admitted. */
export interface Forward extends Decided {
  readonly outcome: "forward";
  readonly verdict: KnownVerdict;
  readonly approvalId: string;
}

/** Somebody else must agree first. */
export interface Hold extends Decided {
  readonly outcome: "hold";
  readonly verdict: KnownVerdict;
  readonly holds: readonly HeldForbid[];
}

/** Held, and asked for: what the client is told. */
export interface Held extends Decided {
  readonly outcome: "held";
  readonly hold: Hold;
  readonly approvalId: string;
  readonly expiresAtMs: number;
  readonly digest: Buffer;
}

export type DenyKind =
  | "policy" // a verdict says no; `reason` says why
  | "unavailable" // no lease, no verdict in time: nothing could be asked
  | "not-approved" // the request was denied by a person, or expired
  | "cancelled"; // by the client, while it was held

export interface Deny extends Decided {
  readonly outcome: "deny";
  readonly kind: DenyKind;
  readonly reason: DenyReason;
  /** for people: the policy author's sentence, or ours. Public. */
  readonly message: string;
  /** absent when nothing could be asked */
  readonly verdict?: KnownVerdict;
  readonly approvalId: string;
}

export type Decision = Forward | Hold | Deny;

/** Why a session ends. The names are those of SessionClosed.Cause. */
export type EndCause =
  | "client"
  | "target"
  | "revoked"
  | "expired"
  | "bus"
  | "protocol"
  | "shutdown"
  | "policy"
  | "internal";

/** `session.signal.reason` */
export interface SessionEnd {
  readonly cause: EndCause;
  /** for the client; public */
  readonly message: string;
}
