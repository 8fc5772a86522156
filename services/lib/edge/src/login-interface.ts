import type { ErrorCode } from "@sallyport/runtime";
import type { Connection } from "@sallyport/proto/catalog_model";
import type { Principal } from "@sallyport/proto/principal";
import type { Sink } from "./gate-interface.ts";
import type { EdgeSession } from "./session-interface.ts";

export interface LoginRequest {
  token: string;
  /** empty: not claimed */
  claimedUser: string;
  connection: string;
  /** empty: the connection's default */
  database: string;
  clientAddress: string;
  clientApplication: string;
  /** version and cipher; empty: none */
  tls: string;
}

/** Somebody who got no further than the handshake. What they claim is theirs alone. */
export interface Stranger {
  clientAddress: string;
  claimedUser?: string;
  connection?: string;
}

/** What was found at the target, for SessionOpened. */
export interface TargetFacts {
  /** host:port that was dialled */
  target: string;
  role: string;
  /** a role that whoever may not write is not given: the session ends when its principal may not any more */
  forWriters?: boolean;
  version: string;
  /** version and cipher; empty: none */
  tls: string;
}

export interface Accepted {
  readonly outcome: "accepted";
  readonly sessionId: string;
  readonly principal: Principal;
  /** with references of secrets; resolve them only to dial */
  readonly connection: Connection;
  readonly database: string;
  /** of the last observation; empty: never observed */
  readonly schemaDigest: string;
  readonly hiddenClasses: readonly string[];
  /** could policy permit this principal to write here at all? If not, the connection's `readRole` is to be used */
  readonly mayWrite: boolean;
  /** Aborted when the principal is withdrawn before the session is open. */
  readonly signal: AbortSignal;
  /** Records SessionOpened and resolves once it is acknowledged. Throws AppError `unavailable` when the bus fails. */
  open(target: TargetFacts, sink: Sink): Promise<EdgeSession>;
  /** Records SessionRefused instead (target unreachable, its login failed, …). `message` is public. */
  refuse(code: ErrorCode, message: string): Promise<Refused>;
}

/** Recorded as SessionRefused and acknowledged (or the bus is down, and the record will follow). */
export interface Refused {
  readonly outcome: "refused";
  readonly code: ErrorCode;
  /** for the client; public */
  readonly message: string;
}

/** A connection that has not logged in yet. */
export interface Handshake {
  /** Gives the place back; idempotent. `login` does it too. */
  done(): void;
}
