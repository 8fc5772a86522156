/** Approval requests as their events tell them, for checking a grant that an edge wants to use. */

import type { Event } from "@sallyport/proto/event";
import type { Hold } from "@sallyport/proto/verdict";

interface Request {
  sessionId: string;
  principalId: string;
  connection: string;
  database: string;
  digest: Buffer;
  holds: readonly Hold[];
  granted: boolean;
  used: boolean;
}

export interface GrantUse {
  approvalId: string;
  sessionId: string;
  principalId: string;
  connection: string;
  database: string;
  digest: Buffer;
}

export type GrantAnswer = { kind: "valid"; holds: readonly Hold[] } | { kind: "invalid"; message: string };

/** A use is checked right after it was said; what is older than this many later requests is forgotten. */
const MAX_KEPT = 50_000;

export class Grants {
  readonly #requests = new Map<string, Request>();

  apply(fact: NonNullable<Event["fact"]>): void {
    switch (fact.$case) {
      case "approvalRequested": {
        const asked = fact.value;
        // Of a time, not of a command: `windows.ts`.
        if (asked.window !== undefined) return;
        this.#requests.set(asked.approvalId, {
          sessionId: asked.sessionId,
          principalId: asked.principal?.id ?? "",
          connection: asked.connection,
          database: asked.database,
          digest: asked.digest,
          holds: asked.holds,
          granted: false,
          used: false,
        });
        this.#forget();
        break;
      }
      case "approvalGranted": {
        const request = this.#requests.get(fact.value.approvalId);
        if (request !== undefined && fact.value.complete) request.granted = true;
        break;
      }
      case "approvalUsed": {
        const request = this.#requests.get(fact.value.approvalId);
        const matches =
          request?.sessionId === fact.value.sessionId && equal(request.digest, fact.value.digest) && request.granted;
        if (request !== undefined && matches) request.used = true;
        break;
      }
      case "approvalDenied":
      case "approvalExpired":
      case "approvalWithdrawn":
        this.#requests.delete(fact.value.approvalId);
        break;
      default:
    }
  }

  /** Was it granted completely, for exactly this, and is its use recorded? */
  check(use: GrantUse): GrantAnswer {
    const request = this.#requests.get(use.approvalId);
    if (request === undefined) return invalid("the approval is not known, or was refused or has expired");
    const same =
      request.sessionId === use.sessionId &&
      request.principalId === use.principalId &&
      request.connection === use.connection &&
      request.database === use.database &&
      equal(request.digest, use.digest);
    if (!same) return invalid("the approval is for another command");
    if (!request.granted) return invalid("the approval is not complete");
    if (!request.used) return invalid("the use of the approval is not recorded");
    return { kind: "valid", holds: request.holds };
  }

  #forget(): void {
    for (const id of this.#requests.keys()) {
      if (this.#requests.size <= MAX_KEPT) return;
      this.#requests.delete(id);
    }
  }
}

const invalid = (message: string): GrantAnswer => ({ kind: "invalid", message });

/** An empty digest stands for nothing. */
const equal = (a: Buffer, b: Buffer): boolean => a.length > 0 && Buffer.compare(a, b) === 0;

/** Is every hold of now among those that were granted, for the same people and no fewer of them? */
export function covers(granted: readonly Hold[], current: readonly Hold[]): boolean {
  return current.every((hold) =>
    granted.some(
      (given) => given.policyId === hold.policyId && given.group === hold.group && given.quorum >= hold.quorum,
    ),
  );
}
