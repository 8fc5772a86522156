/** The other services over gRPC: a long-lived stream to `policy` and to `masking`, calls to the rest. */
import {
  AppError,
  callStream,
  callUnary,
  errorCodes,
  openLink,
  type ErrorCode,
  type Logger,
  type Runtime,
} from "@sallyport/runtime";
import { ApprovalServiceClient } from "@sallyport/proto/approval";
import { CatalogServiceClient } from "@sallyport/proto/catalog";
import { IdentityServiceClient } from "@sallyport/proto/identity";
import { MaskingServiceClient, type MaskRequest, type MaskResponse } from "@sallyport/proto/masking";
import { PolicyServiceClient, type CheckRequest, type CheckResponse } from "@sallyport/proto/policy";
import type { ApprovalLink, CatalogLink, IdentityLink, Links, MaskingLink, PolicyLink } from "./links.ts";

const CALL_MS = 2000;
const MASK_MS = 5000;
/** Slack over the deadline that is told to `policy`, so that its own refusal arrives. */
const SLACK_MS = 100;

export interface OpenLinks extends Links {
  close(): void;
}

/** Peers `policy`, `masking`, `identity`, `catalog`, `approval` of the configuration. */
export function openLinks(runtime: Pick<Runtime, "client" | "log">): OpenLinks {
  const { log } = runtime;
  const policy = policyLink(runtime.client(PolicyServiceClient, "policy"), log);
  const masking = maskingLink(runtime.client(MaskingServiceClient, "masking"), log);
  return {
    policy,
    masking,
    identity: identityLink(runtime.client(IdentityServiceClient, "identity")),
    catalog: catalogLink(runtime.client(CatalogServiceClient, "catalog")),
    approval: approvalLink(runtime.client(ApprovalServiceClient, "approval")),
    close() {
      policy.close();
      masking.close();
    },
  };
}

function policyLink(client: PolicyServiceClient, log: Logger): PolicyLink & { close(): void } {
  const link = openLink<CheckRequest, CheckResponse>({ name: "policy.check", open: () => client.check(), log });
  return {
    async check({ session, command, minAsOf, deadlineMs, traceparent }) {
      const answer = await link.request(
        {
          minAsOf,
          deadlineMs,
          session,
          subject: command === undefined ? { $case: "connect", value: {} } : { $case: "command", value: command },
          traceparent: traceparent ?? "",
        },
        { deadlineMs: deadlineMs + SLACK_MS },
      );
      if (answer.verdict === undefined) {
        throw new AppError("deadline", "policy.check", answer.error === "" ? "no verdict" : answer.error);
      }
      return answer.verdict;
    },
    close: () => link.close(),
  };
}

function maskingLink(client: MaskingServiceClient, log: Logger): MaskingLink & { close(): void } {
  const link = openLink<MaskRequest, MaskResponse>({ name: "masking.mask", open: () => client.mask(), log });
  const request = async (what: NonNullable<MaskRequest["what"]>, minAsOf: number) => {
    const { result } = await link.request({ what, minAsOf, traceparent: "" }, { deadlineMs: MASK_MS });
    if (result === undefined) throw new AppError("internal", "masking", "masking gave an empty answer");
    if (result.$case === "error") throw maskingError(result.value);
    return result;
  };
  return {
    async plan(value, minAsOf) {
      const result = await request({ $case: "plan", value }, minAsOf);
      if (result.$case !== "plan") throw new AppError("internal", "masking.plan", "masking gave another answer");
      return result.value;
    },
    async cells(planId, column, cells) {
      const result = await request({ $case: "cells", value: { planId, column, cells: cells as Buffer[] } }, 0);
      if (result.$case !== "cells") throw new AppError("internal", "masking.cells", "masking gave another answer");
      return result.value;
    },
    close: () => link.close(),
  };
}

/** `code: sentence` */
function maskingError(text: string): AppError {
  const colon = text.indexOf(": ");
  const code = text.slice(0, colon);
  const known = (errorCodes as readonly string[]).includes(code);
  return new AppError(known ? (code as ErrorCode) : "internal", "masking", known ? text.slice(colon + 2) : text);
}

function identityLink(client: IdentityServiceClient): IdentityLink {
  return {
    authenticate: (request) => callUnary(client, "authenticate", request, { deadlineMs: CALL_MS }),
    recheck: (tokenId) => callUnary(client, "recheck", { tokenId }, { deadlineMs: CALL_MS }),
  };
}

function catalogLink(client: CatalogServiceClient): CatalogLink {
  return {
    resolve: (request) => callUnary(client, "resolve", request, { deadlineMs: CALL_MS }),
    observeSchema: (request) => callUnary(client, "observeSchema", request, { deadlineMs: 5 * CALL_MS }),
    recordCopies: (request) => callUnary(client, "recordCopies", request, { deadlineMs: CALL_MS }),
  };
}

function approvalLink(client: ApprovalServiceClient): ApprovalLink {
  return {
    request: (request) => callUnary(client, "request", request, { deadlineMs: CALL_MS }),
    await: (approvalId, signal) => callStream(client, "await", { approvalId }, { signal }),
    use: (request) => callUnary(client, "use", request, { deadlineMs: CALL_MS }),
    async withdraw(approvalId, cause) {
      await callUnary(client, "withdraw", { approvalId, cause }, { deadlineMs: CALL_MS });
    },
  };
}
