/** People and requests for tests. */
import { ApprovalRequested, ApprovalGranted } from "@sallyport/proto/event";
import { Principal, PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import { Hold } from "@sallyport/proto/verdict";
import type { Approver } from "../src/request.ts";
import { shownOf } from "./shown.ts";

export function person(name: string, groups: string[] = [], extra: Partial<Principal> = {}): Principal {
  const id = `user:${name}`;
  return Principal.fromPartial({
    id,
    name,
    kind: PrincipalKind.PRINCIPAL_KIND_USER,
    groups,
    tokenId: `token-${name}`,
    tokenKind: TokenKind.TOKEN_KIND_ACCESS,
    createdBy: [id],
    ...extra,
  });
}

export const engineer = person("engineer", ["engineers"]);
export const dba = person("dba", ["dba"]);
export const dba2 = person("dba2", ["dba"]);
export const security = person("security", ["security"]);
export const both = person("both", ["dba", "security"]);

export const approver = (principal: Principal, authorized = true): Approver => ({
  principal,
  authorized,
  message: authorized ? "" : "policy says no",
});

export const hold = (policyId: string, group: string, quorum = 1, withinSeconds = 900): Hold =>
  Hold.fromPartial({ policyId, group, quorum, withinSeconds, message: `${policyId} holds this` });

export const digest = Buffer.alloc(32, 7);

export function requested(
  holds: Hold[] = [hold("prod-delete", "dba")],
  principal: Principal = engineer,
): ApprovalRequested {
  return ApprovalRequested.fromPartial({
    approvalId: "a1",
    sessionId: "s1",
    command: 4,
    digest,
    principal,
    connection: "orders",
    database: "orders",
    text: "delete from orders where email = 'ada@example.org'",
    shown: shownOf("delete from orders where email = 'ada@example.org'"),
    normalized: "delete from orders where email = $1",
    holds,
    expiresAtMs: 1_000_000,
  });
}

export const asked = (holds?: Hold[], principal?: Principal) => ({
  fact: { $case: "approvalRequested", value: requested(holds, principal) } as const,
  atMs: 100_000,
});

export const granted = (by: string, policyIds: string[], complete: boolean) =>
  ({
    $case: "approvalGranted",
    value: ApprovalGranted.fromPartial({ approvalId: "a1", approver: by, policyIds, complete }),
  }) as const;
