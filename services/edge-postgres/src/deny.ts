import type { Deny, EndCause, Held, SessionEnd } from "@sallyport/edge";
import { DenyReason } from "@sallyport/proto/verdict";
import { encodeReport } from "./wire/encode.ts";

/** How PostgreSQL's clients are told that a command does not run, or not yet. The table is in the README. */

export function sqlstateOf(deny: Pick<Deny, "kind" | "reason">): string {
  switch (deny.kind) {
    case "cancelled":
      return "57014";
    case "unavailable":
      return "58000";
    case "not-approved":
      return "42501";
    case "policy":
      if (deny.reason === DenyReason.DENY_REASON_NOT_UNDERSTOOD) return "42601";
      if (deny.reason === DenyReason.DENY_REASON_UNSAFE_SETTING) return "0A000";
      return "42501";
    default:
      return deny.kind satisfies never;
  }
}

/** ErrorResponse: what is refused, why, and what to do. The session lives on. */
export function denialOf(deny: Deny): Buffer {
  return encodeReport({
    severity: "ERROR",
    sqlstate: sqlstateOf(deny),
    message: deny.message,
    detail: detailOf(deny),
    hint: hintOf(deny),
  });
}

function detailOf(deny: Deny): string | undefined {
  const parts: string[] = [];
  if (deny.verdict !== undefined) parts.push(`Verdict ${deny.verdict.id}.`);
  if (deny.approvalId !== "") parts.push(`Approval ${deny.approvalId}.`);
  return parts.length === 0 ? undefined : parts.join(" ");
}

function hintOf(deny: Deny): string {
  switch (deny.kind) {
    case "cancelled":
      return "Nothing was sent to the target.";
    case "unavailable":
      return "Nothing was sent to the target. Try again.";
    case "not-approved":
      return "Nothing was sent to the target. Ask again, or ask those who approve.";
    case "policy":
      break;
    default:
      return deny.kind satisfies never;
  }
  switch (deny.reason) {
    case DenyReason.DENY_REASON_NOT_UNDERSTOOD:
      return "The command was refused before it reached the target. Check its syntax; what the gateway cannot read it does not let through.";
    case DenyReason.DENY_REASON_UNSAFE_SETTING:
      return "Set standard_conforming_strings to on and client_encoding to UTF8.";
    default:
      return "The command was refused before it reached the target. Whoever writes the policies can tell more, by the verdict's id.";
  }
}

/** NoticeResponse: it waits for people. */
export function heldNotice(held: Held, statementTimeoutMs = 0): Buffer {
  const late = statementTimeoutMs > 0 && Date.now() + statementTimeoutMs < held.expiresAtMs;
  const timeout = late ? ` The session's statement_timeout ends the wait after ${statementTimeoutMs} ms.` : "";
  const until = new Date(held.expiresAtMs).toISOString().slice(11, 19);
  const who = held.hold.holds.map((h) => (h.quorum > 1 ? `${h.quorum} of group ${h.group}` : `group ${h.group}`));
  const reasons = held.hold.holds.map((h) => h.message).filter((m) => m !== "");
  return encodeReport({
    severity: "NOTICE",
    sqlstate: "01000",
    message: `This command waits for approval by ${who.join(" and ")} until ${until} UTC (approval ${held.approvalId}).`,
    detail: reasons.length === 0 ? undefined : [...new Set(reasons)].join(" "),
    hint: `It runs once approved. Cancel it (Ctrl-C) to withdraw the request.${timeout}`,
  });
}

const ENDS: Readonly<Record<EndCause, string>> = {
  client: "57P01",
  target: "08006",
  revoked: "57P01",
  expired: "57P01",
  bus: "57P01",
  protocol: "08P01",
  shutdown: "57P01",
  policy: "57P01",
  internal: "XX000",
};

const END_HINTS: Partial<Readonly<Record<EndCause, string>>> = {
  target: "The outcome of a command that was running is not known. Connect again.",
  revoked: "Whoever manages access can tell more.",
  expired: "Log in again, or ask for access again; then connect again.",
  bus: "What cannot be recorded is not done. Try again later.",
  shutdown: "Connect again.",
  internal: "Connect again.",
};

/** ErrorResponse with severity FATAL: why the session ends. `sqlstate` when it is not the cause's. */
export function endOf(end: SessionEnd, sqlstate = ENDS[end.cause]): Buffer {
  return encodeReport({
    severity: "FATAL",
    sqlstate,
    message: end.message,
    hint: END_HINTS[end.cause],
  });
}
