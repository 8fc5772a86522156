/**
 * An edge without its neighbours: everybody is let in, everything is forwarded and recorded, nothing is masked. For
 * benchmarks of the recorder and for tests; no configuration of a real edge leads here.
 */
import type { Connection } from "@sallyport/proto/catalog_model";
import type { Principal } from "@sallyport/proto/principal";
import { PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import { CacheScope_Kind, Outcome, Verdict, type SignedVerdict } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import { ColumnPlan, ColumnPlan_Action } from "@sallyport/proto/masking";
import type { CountsBus } from "../src/counts/counts-bus.ts";
import type { EventSource } from "../src/leases.ts";
import type { Links, PolicyQuestion } from "../src/links.ts";

let verdicts = 0;

/** A verdict as `policy` would sign it; `change` says what is not "forward, cached under the exact text". */
export function signedVerdict(question: PolicyQuestion | undefined, change: Partial<Verdict> = {}): SignedVerdict {
  const verdict = Verdict.fromPartial({
    id: `v-${++verdicts}`,
    outcome: Outcome.OUTCOME_FORWARD,
    policySet: "sha256:none",
    engine: "recording-only",
    facts: { actions: ["read"], hasWhere: true, statementCount: 1 },
    cache: { kind: CacheScope_Kind.KIND_EXACT, erasable: [], expiresAtMs: 0 },
    asOf: question?.minAsOf ?? 0,
    ...change,
  });
  return { verdict: Buffer.from(Verdict.encode(verdict).finish()), mac: Buffer.alloc(32), keyId: "none" };
}

export function testPrincipal(name: string, change: Partial<Principal> = {}): Principal {
  return {
    id: `user:${name}`,
    kind: PrincipalKind.PRINCIPAL_KIND_USER,
    name,
    groups: [],
    actors: [],
    issuer: "recording-only",
    subject: name,
    authTimeMs: 0,
    mfa: false,
    tokenId: `token-of-${name}`,
    tokenKind: TokenKind.TOKEN_KIND_ACCESS,
    tokenLabel: "",
    createdBy: [],
    expiresAtMs: 0,
    ...change,
  };
}

/** `connections`: name to where it is. The principal is whoever the client says it is. */
export function recordingOnlyLinks(connections: ReadonlyMap<string, Connection>): Links {
  const none = (): never => {
    throw new AppError("failed-precondition", "recording-only", "there are no approvals here");
  };
  return {
    policy: { check: async (question) => signedVerdict(question) },
    masking: {
      plan: async (result, minAsOf) => ({
        planId: "pass",
        columns: result.columns.map(() => ColumnPlan.fromPartial({ action: ColumnPlan_Action.ACTION_PASS })),
        scrubText: false,
        asOf: minAsOf,
        staleSchema: false,
        disagreement: "",
      }),
      cells: none,
    },
    identity: {
      authenticate: async ({ claimedUser }) => ({
        principal: testPrincipal(claimedUser === "" ? "somebody" : claimedUser),
        asOf: 0,
        recheckAfterMs: 0,
      }),
      recheck: none,
    },
    catalog: {
      async resolve({ connection: name, database }) {
        const connection = connections.get(name);
        if (connection === undefined)
          throw new AppError("not-found", "recording-only", `there is no connection ${name}`);
        return {
          connection,
          database: database === "" ? connection.defaultDatabase : database,
          schemaDigest: "",
          asOf: 0,
        };
      },
      observeSchema: async () => ({ digest: "", changed: false, asOf: 0 }),
      recordCopies: async () => ({ asOf: 0 }),
    },
    approval: { request: none, await: none, use: none, withdraw: none },
  };
}

/** Nobody else counts, and nothing is remembered. */
export const noCounts: CountsBus = {
  follow: async () => ({ stop: async () => {} }),
  tell: async () => {},
};

/** A world in which nothing happens, and which is always fresh. */
export const noEvents: EventSource = {
  follow: async () => ({ baseline: 0, freshUntil: () => Number.POSITIVE_INFINITY, stop: async () => {} }),
};
