/**
 * The rules of one approval request: for a command, or for access during a time (a window; broken glass, which nobody else
 * granted). Pure, with time, people and policy's answer in the command.
 */
import { type Decider, type Decision, events, refuse, type Refusal } from "@sallyport/decider";
import {
  ApprovalDenied,
  ApprovalExpired,
  ApprovalGranted,
  ApprovalRequested,
  ApprovalUsed,
  ApprovalWithdrawn,
  type BreakGlassUsed,
} from "@sallyport/proto/event";
import { type Principal, PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import type { AccessWindow, Hold } from "@sallyport/proto/verdict";
import { filled, type Voice } from "./quorum.ts";

export type Status = "pending" | "granted" | "denied" | "expired" | "used" | "withdrawn";

export interface ApprovalRequest {
  status: Status;
  request: ApprovalRequested;
  requestedAtMs: number;
  grants: readonly Voice[];
  deniedBy: string;
  /** of a denial or withdrawal */
  reason: string;
  /** access for a time, as it was asked for and then granted; undefined: for one command */
  window: AccessWindow | undefined;
  /** nobody was asked */
  broken: boolean;
}
/** undefined: nobody has asked */
export type RequestState = ApprovalRequest | undefined;

/** Who answers, and what policy says to `approve` on the request's connection. */
export interface Approver {
  principal: Principal;
  authorized: boolean;
  /** policy's sentence when it is not */
  message: string;
}

export type RequestCommand =
  | { do: "request"; request: ApprovalRequested }
  | { do: "break-glass"; used: BreakGlassUsed }
  | { do: "grant"; approver: Approver; comment: string; nowMs: number }
  | { do: "deny"; approver: Approver; reason: string; nowMs: number }
  | { do: "use"; sessionId: string; command: number; digest: Uint8Array; nowMs: number }
  | { do: "expire"; nowMs: number }
  | { do: "withdraw"; cause: string };

export const isOpen = (state: ApprovalRequest): boolean => state.status === "pending" || state.status === "granted";

/** When it is over by itself: nobody has answered, the grant was not used, the window ends. */
export function endsAtMs({ status, window, request }: ApprovalRequest): number {
  return status === "granted" && window !== undefined ? window.untilMs : request.expiresAtMs;
}

/** Everyone who stands behind a principal: itself, who acts for it, and who made its token. */
export function standsBehind(principal: Principal): Set<string> {
  return new Set([principal.id, ...principal.actors.map((actor) => actor.id), ...principal.createdBy]);
}

/** Holds whose group the principal is in. */
export const holdsOf = (request: ApprovalRequested, principal: Principal): Hold[] =>
  request.holds.filter((hold) => principal.groups.includes(hold.group));

/** A personal token is what a job carries: nobody has to be there. */
export const isInPerson = ({ kind, tokenKind, actors }: Principal): boolean =>
  kind === PrincipalKind.PRINCIPAL_KIND_USER && tokenKind === TokenKind.TOKEN_KIND_ACCESS && actors.length === 0;

/** Why this principal may not answer, apart from time and earlier answers; undefined: they may. */
export function objectionTo(request: ApprovalRequested, approver: Approver): string | undefined {
  const { principal } = approver;
  if (!isInPerson(principal)) return "Only a person, signed in and acting themselves, may answer a request.";
  const requester = request.principal;
  if (!requester) return "The request names nobody.";
  const behind = standsBehind(requester);
  if ([...standsBehind(principal)].some((id) => behind.has(id))) return "Nobody answers their own request.";
  if (holdsOf(request, principal).length === 0) {
    const groups = [...new Set(request.holds.map((hold) => hold.group))].join(", ");
    return `Only members of ${groups} may answer this request.`;
  }
  if (!approver.authorized) return approver.message || "Policy does not let you approve on this connection.";
  return undefined;
}

function decide(command: RequestCommand, state: RequestState): Decision {
  if (command.do === "request") return ask(command.request, state);
  if (command.do === "break-glass") return breakGlass(command.used, state);
  if (!state) return refuse("not-found", "There is no such request.");
  switch (command.do) {
    case "grant":
      return grant(command, state);
    case "deny":
      return deny(command, state);
    case "use":
      return use(command, state);
    case "expire":
      if (!isOpen(state)) return refuse("failed-precondition", already(state));
      if (command.nowMs < endsAtMs(state)) return refuse("failed-precondition", "It is not time yet.");
      return events({
        $case: "approvalExpired",
        value: ApprovalExpired.fromPartial({ approvalId: idOf(state), ...windowOf(state) }),
      });
    case "withdraw":
      // Late withdrawals are common (the client is gone, the request is over): nothing to say.
      return isOpen(state) ? withdrawn(state, command.cause) : events();
  }
}

const windowOf = ({ window }: ApprovalRequest) => (window === undefined ? {} : { window });

const withdrawn = (state: ApprovalRequest, cause: string, by?: string): Decision =>
  events({
    $case: "approvalWithdrawn",
    value: ApprovalWithdrawn.fromPartial({
      approvalId: idOf(state),
      cause,
      ...windowOf(state),
      ...(by === undefined ? {} : { by }),
    }),
  });

function breakGlass(used: BreakGlassUsed, state: RequestState): Decision {
  if (state) return refuse("conflict", "The id belongs to another request.");
  if (!used.principal || !isInPerson(used.principal))
    return refuse("not-permitted", "Only a person, signed in and acting themselves, breaks glass.");
  if (used.reason === "") return refuse("invalid-input", "Who breaks glass says why.");
  return events({ $case: "breakGlassUsed", value: used });
}

function ask(request: ApprovalRequested, state: RequestState): Decision {
  if (!state) return events({ $case: "approvalRequested", value: request });
  if (!sameUnit(state, request)) return refuse("conflict", "The id belongs to another request.");
  // An edge whose answer was lost asks again: the request stands.
  return isOpen(state) ? events() : refuse("failed-precondition", already(state));
}

function grant(command: RequestCommand & { do: "grant" }, state: ApprovalRequest): Decision {
  const refusal = mayAnswer(command.approver, command.nowMs, state);
  if (refusal) return refusal;
  const { id } = command.approver.principal;
  const { holds } = state.request;
  if (state.grants.some((voice) => voice.approver === id))
    return refuse("already-exists", "You have granted this already; a person counts once.");
  const voice: Voice = {
    approver: id,
    policyIds: holdsOf(state.request, command.approver.principal).map((hold) => hold.policyId),
  };
  const before = filled(holds, state.grants);
  const after = filled(holds, [...state.grants, voice]);
  if (after.filled === before.filled)
    return refuse("failed-precondition", "Your group has given its consent already; another one is awaited.");
  return events({
    $case: "approvalGranted",
    value: ApprovalGranted.fromPartial({
      approvalId: idOf(state),
      approver: id,
      policyIds: [...voice.policyIds],
      complete: after.filled === after.needed,
      comment: command.comment,
      ...(state.window && { window: granted(state.window, after.filled === after.needed, command.nowMs) }),
    }),
  });
}

const granted = (window: AccessWindow, complete: boolean, nowMs: number): AccessWindow => ({
  ...window,
  untilMs: complete ? nowMs + window.seconds * 1_000 : 0,
});

function deny(command: RequestCommand & { do: "deny" }, state: ApprovalRequest): Decision {
  const { principal } = command.approver;
  const own = isInPerson(principal) && principal.id === state.request.principal?.id;
  // Access for a time is given back by who has it, and taken back by who could have refused it.
  if (state.window && isOpen(state) && (own || state.status === "granted")) {
    const objection = own ? undefined : objectionTo(state.request, command.approver);
    return objection === undefined
      ? withdrawn(state, command.reason, principal.id)
      : refuse("not-permitted", objection);
  }
  const refusal = mayAnswer(command.approver, command.nowMs, state);
  if (refusal) return refusal;
  const value = ApprovalDenied.fromPartial({
    approvalId: idOf(state),
    approver: command.approver.principal.id,
    reason: command.reason,
  });
  return events({ $case: "approvalDenied", value });
}

function mayAnswer(approver: Approver, nowMs: number, state: ApprovalRequest): Refusal | undefined {
  const objection = objectionTo(state.request, approver);
  if (objection !== undefined) return refuse("not-permitted", objection);
  if (state.status !== "pending") return refuse("failed-precondition", already(state));
  if (nowMs >= state.request.expiresAtMs) return refuse("failed-precondition", "The request has expired.");
  return undefined;
}

function use(command: RequestCommand & { do: "use" }, state: ApprovalRequest): Decision {
  if (!sameUnit(state, command)) return refuse("failed-precondition", "The grant is for something else.");
  if (state.status === "pending") return refuse("failed-precondition", "The request is not granted yet.");
  if (state.status !== "granted") return refuse("failed-precondition", already(state));
  if (command.nowMs >= state.request.expiresAtMs) return refuse("failed-precondition", "The grant has expired.");
  const { sessionId, digest } = command;
  const value = ApprovalUsed.fromPartial({
    approvalId: idOf(state),
    sessionId,
    command: command.command,
    digest: Buffer.from(digest),
  });
  return events({ $case: "approvalUsed", value });
}

/** A grant is for one admission unit of one session: text, parameters, formats, role and search path are in the digest. */
function sameUnit(state: ApprovalRequest, unit: { sessionId: string; command: number; digest: Uint8Array }): boolean {
  const { request } = state;
  return (
    request.sessionId === unit.sessionId &&
    request.command === unit.command &&
    request.digest.length > 0 &&
    Buffer.compare(request.digest, unit.digest) === 0
  );
}

const idOf = (state: ApprovalRequest): string => state.request.approvalId;

function already(state: ApprovalRequest): string {
  switch (state.status) {
    case "pending":
      return "The request waits for an answer.";
    case "granted":
      return "The request is granted already.";
    case "denied":
      return "The request has been denied.";
    case "expired":
      return "The request has expired.";
    case "used":
      return "The grant has been used.";
    case "withdrawn":
      return "The request has been withdrawn.";
  }
}

/** As if it had been asked for and granted. */
function brokenBy(used: BreakGlassUsed, atMs: number): ApprovalRequest {
  const { approvalId, principal, window, holds, reason } = used;
  const { connection, database, untilMs } = window!;
  const asked = { approvalId, principal, connection, database, holds, reason, window, expiresAtMs: untilMs };
  return {
    status: "granted",
    request: ApprovalRequested.fromPartial(asked),
    requestedAtMs: atMs,
    grants: [],
    deniedBy: "",
    reason: "",
    window,
    broken: true,
  };
}

export const requestDecider: Decider<RequestState, RequestCommand> = {
  initial: () => undefined,
  decide,
  evolve: (state, event) => {
    const { fact } = event;
    if (fact?.$case === "approvalRequested")
      return {
        status: "pending",
        request: fact.value,
        requestedAtMs: event.atMs,
        grants: [],
        deniedBy: "",
        reason: "",
        window: fact.value.window,
        broken: false,
      };
    if (fact?.$case === "breakGlassUsed") return brokenBy(fact.value, event.atMs);
    if (!state) return state;
    switch (fact?.$case) {
      case "approvalGranted": {
        const { approver, policyIds, complete } = fact.value;
        return {
          ...state,
          grants: [...state.grants, { approver, policyIds }],
          status: complete ? "granted" : "pending",
          window: complete ? fact.value.window : state.window,
        };
      }
      case "approvalDenied":
        return { ...state, status: "denied", deniedBy: fact.value.approver, reason: fact.value.reason };
      case "approvalExpired":
        return { ...state, status: "expired" };
      case "approvalUsed":
        return { ...state, status: "used" };
      case "approvalWithdrawn":
        return { ...state, status: "withdrawn", reason: fact.value.cause };
      default:
        return state;
    }
  },
};
