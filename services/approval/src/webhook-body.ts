/** What a webhook says, and how it is signed. Only public fields: the statement in its normalized form, never its text. */
import { createHmac } from "node:crypto";
import type { Event } from "@sallyport/proto/event";
import type { HeldCommand } from "@sallyport/proto/held_command";
import { NamedStatement_Kind } from "@sallyport/proto/verdict";
import { type ApprovalRequest, endsAtMs } from "./request.ts";
import type { Known } from "./requests.ts";

type FactName = NonNullable<Event["fact"]>["$case"];

const names: Partial<Record<FactName, string>> = {
  approvalRequested: "approval.requested",
  approvalGranted: "approval.granted",
  approvalDenied: "approval.denied",
  approvalExpired: "approval.expired",
  approvalUsed: "approval.used",
  approvalWithdrawn: "approval.withdrawn",
  breakGlassUsed: "break-glass.used",
};

/** JSON, or undefined when the event is nothing to tell. `sequence` orders notifications: they may come in any order. */
export function webhookBody(event: Event, seq: number, { id, request: state }: Known): string | undefined {
  const type = event.fact && names[event.fact.$case];
  if (!type) return undefined;
  const { request } = state;
  return JSON.stringify({
    id: event.id,
    type,
    at: new Date(event.atMs).toISOString(),
    sequence: seq,
    approval: {
      id,
      session: request.sessionId,
      command: request.command,
      principal: request.principal?.id ?? "",
      actors: request.principal?.actors.map((actor) => actor.id) ?? [],
      connection: request.connection,
      database: request.database,
      statement: request.normalized,
      ...shape(request.shown),
      ...access(state),
      holds: request.holds.map(({ policyId, group, quorum, message }) => ({
        policy: policyId,
        group,
        quorum,
        message,
      })),
      requested_at: new Date(state.requestedAtMs).toISOString(),
      expires_at: new Date(endsAtMs(state)).toISOString(),
    },
    ...outcome(event),
  });
}

/** Of access for a time. */
function access({ window, broken, request }: ApprovalRequest): object {
  if (window === undefined) return {};
  return { access: broken ? "break-glass" : "window", seconds: window.seconds, request_reason: request.reason };
}

/** Of what is shown to approvers, all but the values and the texts. */
function shape(shown: HeldCommand | undefined): object {
  if (shown === undefined) return {};
  return {
    text_length: shown.textLength,
    parameter_count: shown.parameterCount,
    parameters: shown.parameters.map((one) => ({
      type_oid: one.typeOid,
      binary: one.binary,
      null: one.null,
      length: one.length,
    })),
    executes: shown.executes.map(({ kind, name, normalized }) => ({
      kind: kind === NamedStatement_Kind.KIND_CURSOR ? "cursor" : "prepared",
      name,
      statement: normalized,
    })),
  };
}

function outcome({ fact }: Event): object {
  switch (fact?.$case) {
    case "approvalGranted":
      return { by: fact.value.approver, complete: fact.value.complete, reason: fact.value.comment };
    case "approvalDenied":
      return { by: fact.value.approver, reason: fact.value.reason };
    case "approvalWithdrawn":
      return { reason: fact.value.cause, ...(fact.value.by ? { by: fact.value.by } : {}) };
    case "breakGlassUsed":
      return { by: fact.value.principal?.id ?? "", reason: fact.value.reason };
    default:
      return {};
  }
}

/**
 * `t=<seconds since 1970>,v1=<hex>`: HMAC-SHA-256 with the shared secret over `<t>.<body>`. The receiver computes the
 * same over the bytes it got, compares in constant time, and refuses a `t` that is more than five minutes away.
 */
export function signature(body: string, secret: Uint8Array, nowMs: number): string {
  const t = Math.floor(nowMs / 1_000);
  const v1 = createHmac("sha256", secret).update(`${t}.${body}`).digest("hex");
  return `t=${t},v1=${v1}`;
}
