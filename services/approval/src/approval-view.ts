/** A request as the outside sees it. Its text is sensitive: whoever asks for it says who may read it. */
import { ApprovalState, ApprovalStatus } from "@sallyport/proto/approval";
import type { HeldCommand } from "@sallyport/proto/held_command";
import { endsAtMs, type Status } from "./request.ts";
import type { Known } from "./requests.ts";

const statuses: Record<Status, ApprovalStatus> = {
  pending: ApprovalStatus.APPROVAL_STATUS_PENDING,
  granted: ApprovalStatus.APPROVAL_STATUS_GRANTED,
  denied: ApprovalStatus.APPROVAL_STATUS_DENIED,
  expired: ApprovalStatus.APPROVAL_STATUS_EXPIRED,
  used: ApprovalStatus.APPROVAL_STATUS_USED,
  withdrawn: ApprovalStatus.APPROVAL_STATUS_WITHDRAWN,
};

export function viewOf({ id, request: state, seq }: Known, text: "with text" | "without text"): ApprovalState {
  const { request } = state;
  return ApprovalState.fromPartial({
    approvalId: id,
    status: statuses[state.status],
    sessionId: request.sessionId,
    principalId: request.principal?.id ?? "",
    actors: request.principal?.actors.map((actor) => actor.id) ?? [],
    connection: request.connection,
    database: request.database,
    text: text === "with text" ? request.text : "",
    shown: text === "with text" ? request.shown : withoutValues(request.shown),
    normalized: request.normalized,
    holds: request.holds,
    grantedBy: state.grants.map((grant) => grant.approver),
    deniedBy: state.deniedBy,
    reason: state.reason,
    requestedAtMs: state.requestedAtMs,
    expiresAtMs: endsAtMs(state),
    asOf: seq,
    requestReason: request.reason,
    ...(state.window && { window: state.window, breakGlass: state.broken }),
  });
}

/** How many values of which types, and the forms of what is run: nothing that the text's own normalized form would not tell. */
function withoutValues(shown: HeldCommand | undefined): HeldCommand | undefined {
  if (shown === undefined) return undefined;
  return {
    ...shown,
    parameters: shown.parameters.map((one) => ({ ...one, value: "", sha256: Buffer.alloc(0) })),
    executes: shown.executes.map((one) => ({ ...one, text: "" })),
  };
}
