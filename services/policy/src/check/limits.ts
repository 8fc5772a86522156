/** Limits of rows: what an edge has to obey, and what is used up so that people have to agree first. */

import type { SessionContext } from "@sallyport/proto/policy";
import { RowLimit, RowLimit_Per } from "@sallyport/proto/verdict";
import type { Hold } from "@sallyport/proto/verdict";
import type { LimitTerms } from "../cedar/annotations.ts";
import type { LoadedSet } from "../cedar/compile.ts";
import { limitReached } from "./wording.ts";

export interface Limits {
  limits: RowLimit[];
  /** ids of those with @approval of which nothing is left */
  usedUp: string[];
  /** what the holds depend on, by policy */
  counted: Record<string, number>;
}

const PERS: Readonly<Record<LimitTerms["per"], RowLimit_Per>> = {
  result: RowLimit_Per.PER_RESULT,
  session: RowLimit_Per.PER_SESSION,
  hour: RowLimit_Per.PER_HOUR,
};

/** Of the policies that matched, by what the edge has counted for them so far. */
export function limitsOf(ids: Iterable<string>, set: LoadedSet, counts: SessionContext["counts"]): Limits {
  const found: Limits = { limits: [], usedUp: [], counted: {} };
  for (const id of [...ids].toSorted()) {
    const terms = set.policies.get(id)?.terms;
    if (terms?.limit === undefined) continue;
    const { rows, per } = terms.limit;
    const holds = terms.hold !== undefined;
    if (holds) {
      const count = counts?.limits.find(({ policyId }) => policyId === id);
      const used = (per === "session" ? count?.session : count?.hour) ?? 0;
      found.counted[id] = used;
      if (used >= rows) found.usedUp.push(id);
    }
    const message = terms.message || limitReached(id, terms.limit);
    found.limits.push(RowLimit.fromPartial({ policyId: id, maxRows: rows, per: PERS[per], message, holds }));
  }
  return found;
}

/** What was granted runs without the limits that it was held for. */
export const withoutGranted = (limits: readonly RowLimit[], granted: readonly Pick<Hold, "policyId">[]): RowLimit[] =>
  limits.filter(({ policyId }) => !granted.some((hold) => hold.policyId === policyId));
