/** What a person may ask for that is no command: access for a time. Policy says what would be lifted, and how long at most. */
import type { BreakGlassRequest, RequestWindowRequest } from "@sallyport/proto/approval";
import { ApprovalRequested, BreakGlassUsed } from "@sallyport/proto/event";
import { AuthorizeRequest, type PolicyServiceClient, SessionContext } from "@sallyport/proto/policy";
import type { Principal } from "@sallyport/proto/principal";
import type { AccessTerms } from "@sallyport/proto/policy";
import type { AccessWindow, Hold } from "@sallyport/proto/verdict";
import { AppError, type CallInfo, callUnary } from "@sallyport/runtime";
import { refuseTooMany } from "./edge-service.ts";
import { checkedReason, newId } from "./request-bounds.ts";
import { isInPerson } from "./request.ts";
import type { Requests } from "./requests.ts";

const maxName = 256;
const deadlineMs = 3_000;
const defaultWithinSeconds = 15 * 60;

export interface AccessRequestsParts {
  policy: PolicyServiceClient;
  requests: Requests;
  now: () => number;
}

type Asked = Pick<RequestWindowRequest, "connection" | "database" | "seconds" | "reason">;
type From = Pick<CallInfo, "address" | "signal">;

export class AccessRequests {
  readonly #parts: AccessRequestsParts;

  constructor(parts: AccessRequestsParts) {
    this.#parts = parts;
  }

  /** A window as a fact; AppError says what is wrong with it. */
  async window(asked: RequestWindowRequest, principal: Principal, from: From): Promise<ApprovalRequested> {
    const op = "approval.window";
    const reason = reasonOf(asked, op, "Say why you need it.");
    const { holds, database } = await this.#terms("connect", asked, principal, from);
    if (holds.length === 0)
      throw new AppError("failed-precondition", op, `Nothing holds your connection to ${asked.connection}: connect.`);
    const most = Math.min(...holds.map((hold) => hold.windowSeconds ?? 0));
    if (asked.seconds < 1) throw new AppError("invalid-input", op, "Say for how long you need it.");
    checkLength(asked.seconds, most, op);
    const window = windowOf(asked, principal, database);
    this.#refuseTwice(window);
    refuseTooMany(this.#parts.requests, principal.id);
    return ApprovalRequested.fromPartial({
      approvalId: newId(),
      principal,
      connection: asked.connection,
      database,
      holds,
      reason,
      window,
      expiresAtMs: this.#parts.now() + 1_000 * Math.min(...holds.map((h) => h.withinSeconds || defaultWithinSeconds)),
    });
  }

  /** Broken glass as a fact; AppError says why it is not to be broken. */
  async glass(asked: BreakGlassRequest, principal: Principal, from: From): Promise<BreakGlassUsed> {
    const op = "approval.break-glass";
    if (!isInPerson(principal))
      throw new AppError("not-permitted", op, "Only a person, signed in and acting themselves, breaks glass.");
    const reason = reasonOf(asked, op, "Who breaks glass says why.");
    const { holds, database } = await this.#terms("break-glass", asked, principal, from);
    if (holds.length === 0)
      throw new AppError(
        "failed-precondition",
        op,
        `No policy on ${asked.connection} lets itself be lifted like this.`,
      );
    const most = Math.max(...holds.map((hold) => hold.breakGlassSeconds ?? 0));
    checkLength(asked.seconds, most, op);
    refuseTooMany(this.#parts.requests, principal.id);
    const seconds = asked.seconds || most;
    const window = windowOf({ ...asked, seconds }, principal, database);
    return BreakGlassUsed.fromPartial({
      approvalId: newId(),
      principal,
      window: { ...window, untilMs: this.#parts.now() + seconds * 1_000 },
      holds,
      reason,
    });
  }

  async #terms(
    action: string,
    { connection, database }: Asked,
    principal: Principal,
    from: From,
  ): Promise<AccessTerms & { holds: Hold[] }> {
    const op = `approval.${action}`;
    if (connection === "" || connection.length > maxName || database.length > maxName)
      throw new AppError("invalid-input", op, "Name a connection.");
    const { allowed, message, access } = await callUnary(
      this.#parts.policy,
      "authorize",
      AuthorizeRequest.fromPartial({
        principal,
        action,
        resource: connection,
        session: SessionContext.fromPartial({
          database,
          clientAddress: addressOf(from.address),
          openedAtMs: this.#parts.now(),
        }),
      }),
      { deadlineMs, signal: from.signal },
    );
    if (!allowed || access === undefined) throw new AppError("not-permitted", op, message);
    return access;
  }

  /** Who asks again for what waits already would only be asked twice. */
  #refuseTwice(window: AccessWindow): void {
    const same = this.#parts.requests.open().find(({ request: { status, window: other } }) => {
      if (status !== "pending" || other === undefined) return false;
      const { principalId, connection, database } = other;
      return principalId === window.principalId && connection === window.connection && database === window.database;
    });
    if (same === undefined) return;
    throw new AppError("already-exists", "approval.window", `You have asked for this already: ${same.id} waits.`);
  }
}

const windowOf = ({ connection, seconds }: Asked, principal: Principal, database: string): AccessWindow => ({
  principalId: principal.id,
  connection,
  database,
  seconds,
  untilMs: 0,
});

function reasonOf({ reason }: Asked, op: string, otherwise: string): string {
  const said = checkedReason(reason);
  if (said === "") throw new AppError("invalid-input", op, otherwise);
  return said;
}

function checkLength(seconds: number, most: number, op: string): void {
  if (seconds <= most) return;
  throw new AppError("invalid-input", op, `Policy lets this be asked for ${spelled(most)} at most.`);
}

/** 5400 → `90m` */
function spelled(seconds: number): string {
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** `address:port` → the address */
function addressOf(peer: string): string {
  const colon = peer.lastIndexOf(":");
  const host = colon < 0 ? peer : peer.slice(0, colon);
  return host.replace(/^\[(.*)\]$/, "$1");
}
