import type { Deny, Forward, Hold } from "@sallyport/edge";
import { DenyReason } from "@sallyport/proto/verdict";
import type { Report } from "../wire/encode.ts";

/** What the relay itself refuses, in words: errors of the protocol, and what cannot be shown or held. */
export type LocalError = Omit<Report, "severity">;

export const TOO_MANY_NAMES: LocalError = {
  sqlstate: "54000",
  message: "too many prepared statements or portals in this session",
  hint: "Close those that are no longer needed.",
};

export const CANCELLED = {
  severity: "ERROR",
  sqlstate: "57014",
  message: "canceling statement due to user request",
  hint: "Nothing was sent to the target.",
} as const;

/** Cancelled while `policy` was asked. */
export function cancelledHere({ command, unit, verdict }: Forward | Hold): Deny {
  const reason = DenyReason.DENY_REASON_NOT_APPROVED;
  return {
    outcome: "deny",
    kind: "cancelled",
    command,
    unit,
    verdict,
    approvalId: "",
    reason,
    message: CANCELLED.message,
  };
}

export const HIDDEN_FUNCTION =
  "A call of a function by its number cannot be masked, and something is hidden from you here.";

export const noSuchStatement = (name: string): LocalError => ({
  sqlstate: "26000",
  message: name === "" ? "unnamed prepared statement does not exist" : `prepared statement "${name}" does not exist`,
  detail: "The gateway does not know it, or cannot be sure any more what it stands for.",
  hint: "Prepare it again.",
});

export const noSuchPortal = (name: string): LocalError => ({
  sqlstate: "34000",
  message: `portal "${name}" does not exist`,
  detail: "The gateway does not know it, or cannot be sure any more what it stands for.",
  hint: "Bind it again; read a cursor that was made in SQL with FETCH.",
});

/** It would have to wait for people, with others behind it that would be sent much later. */
export const notNow = (hold: Hold): Deny =>
  instead(hold, "(The rules changed while this command was on its way: send it again, on its own.)");

/** It runs already, and would have to wait for people or be shown in another way: whoever wants more runs it again. */
export const boundBefore = (decision: Hold | Forward): Deny =>
  instead(decision, "(The rules changed since this portal was bound: run the command again.)");

function instead({ command, unit, verdict }: Hold | Forward, because: string): Deny {
  return {
    outcome: "deny",
    kind: "policy",
    command,
    unit,
    verdict,
    approvalId: "",
    reason: DenyReason.DENY_REASON_NOT_APPROVED,
    message: `${verdict.message} ${because}`.trim(),
  };
}

/** Allowed, but what it returns could not be masked. */
export function refusedHere(decision: Forward, message: string): Deny {
  const { command, unit, verdict, approvalId } = decision;
  return {
    outcome: "deny",
    kind: "policy",
    command,
    unit,
    verdict,
    approvalId,
    reason: DenyReason.DENY_REASON_NOT_PERMITTED,
    message,
  };
}
