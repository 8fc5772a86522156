/** Access for a time, as its events tell it: windows that people granted, and glass that somebody broke. */

import type { Event } from "@sallyport/proto/event";
import type { Principal } from "@sallyport/proto/principal";
import { TokenKind } from "@sallyport/proto/principal";
import type { AccessWindow, Hold } from "@sallyport/proto/verdict";
import { covers } from "./grants.ts";

interface Access {
  approvalId: string;
  holds: readonly Hold[];
  fromMs: number;
  untilMs: number;
  /** nobody else agreed */
  broken: boolean;
}

export interface Whom {
  principal: Principal | undefined;
  connection: string;
  database: string;
}

export interface LiftedHold {
  policyId: string;
  approvalId: string;
  untilMs: number;
}

export interface Lifted {
  /** what still holds */
  remaining: Hold[];
  lifted: LiftedHold[];
  /** to be named by the verdict: broken glass before a window; empty: nothing is lifted */
  approvalId: string;
  /** ms since 1970 until which all of it is lifted; 0: nothing is lifted */
  untilMs: number;
}

const MAX_REQUESTED = 10_000;

export class Windows {
  /** asked for, and not granted yet: what they would lift */
  readonly #requested = new Map<string, readonly Hold[]>();
  /** by whom and where, then by approval */
  readonly #granted = new Map<string, Map<string, Access>>();
  readonly #places = new Map<string, string>();

  apply(fact: NonNullable<Event["fact"]>): void {
    switch (fact.$case) {
      case "approvalRequested":
        if (fact.value.window === undefined) return;
        this.#requested.set(fact.value.approvalId, fact.value.holds);
        if (this.#requested.size > MAX_REQUESTED) this.#requested.delete(this.#requested.keys().next().value!);
        return;
      case "approvalGranted": {
        const { approvalId, window, complete } = fact.value;
        const holds = this.#requested.get(approvalId);
        if (window === undefined || !complete || holds === undefined) return;
        this.#requested.delete(approvalId);
        this.#open(approvalId, window, holds, false);
        return;
      }
      case "breakGlassUsed": {
        const { approvalId, window, holds } = fact.value;
        if (window !== undefined) this.#open(approvalId, window, holds, true);
        return;
      }
      case "approvalDenied":
      case "approvalExpired":
      case "approvalWithdrawn":
        this.#close(fact.value.approvalId);
        return;
      default:
    }
  }

  /** Which of these holds are lifted now, for exactly this principal on this connection and database? */
  lift(holds: readonly Hold[], whom: Whom, nowMs: number): Lifted {
    const remaining: Hold[] = [];
    const lifted: LiftedHold[] = [];
    const inForce = holds.length === 0 ? [] : this.#inForce(whom, nowMs);
    let broken = "";
    let windowed = "";
    for (const hold of holds) {
      const best = latest(inForce, hold, nowMs);
      if (best === undefined) {
        remaining.push(hold);
        continue;
      }
      const { access, untilMs } = best;
      if (access.broken) broken ||= access.approvalId;
      else windowed ||= access.approvalId;
      lifted.push({ policyId: hold.policyId, approvalId: access.approvalId, untilMs });
    }
    const untilMs = lifted.length === 0 ? 0 : Math.min(...lifted.map((one) => one.untilMs));
    return { remaining, lifted, approvalId: broken || windowed, untilMs };
  }

  #inForce(whom: Whom, nowMs: number): Access[] {
    const place = placeOf(whom.principal?.id ?? "", whom.connection, whom.database);
    const here = this.#granted.get(place);
    if (here === undefined) return [];
    const found: Access[] = [];
    for (const [approvalId, access] of here) {
      if (access.untilMs <= nowMs) this.#close(approvalId);
      else if (!access.broken || inPerson(whom.principal)) found.push(access);
    }
    return found;
  }

  #open(approvalId: string, window: AccessWindow, holds: readonly Hold[], broken: boolean): void {
    const { principalId, connection, database, seconds, untilMs } = window;
    if (principalId === "" || untilMs === 0) return;
    const place = placeOf(principalId, connection, database);
    const here = this.#granted.get(place) ?? new Map<string, Access>();
    this.#granted.set(place, here);
    here.set(approvalId, { approvalId, holds, fromMs: untilMs - seconds * 1_000, untilMs, broken });
    this.#places.set(approvalId, place);
  }

  #close(approvalId: string): void {
    this.#requested.delete(approvalId);
    const place = this.#places.get(approvalId);
    if (place === undefined) return;
    this.#places.delete(approvalId);
    const here = this.#granted.get(place);
    here?.delete(approvalId);
    if (here?.size === 0) this.#granted.delete(place);
  }
}

/** The access that lifts a hold the longest. What the policy lets be asked for now counts, not what it did then. */
function latest(
  inForce: readonly Access[],
  hold: Hold,
  nowMs: number,
): { access: Access; untilMs: number } | undefined {
  let best: { access: Access; untilMs: number } | undefined;
  for (const access of inForce) {
    const most = access.broken ? hold.breakGlassSeconds : hold.windowSeconds;
    if (most === undefined || !covers(access.holds, [hold])) continue;
    const untilMs = Math.min(access.untilMs, access.fromMs + most * 1_000);
    if (untilMs <= nowMs) continue;
    // Who was let in by others has not broken anything.
    const better = best === undefined || (best.access.broken && !access.broken);
    const longer = best !== undefined && best.access.broken === access.broken && untilMs > best.untilMs;
    if (better || longer) best = { access, untilMs };
  }
  return best;
}

/** A personal token is what a job carries: nobody is there to answer for the alarm. */
function inPerson(principal: Principal | undefined): boolean {
  return principal?.tokenKind === TokenKind.TOKEN_KIND_ACCESS && principal.actors.length === 0;
}

const placeOf = (principalId: string, connection: string, database: string): string =>
  JSON.stringify([principalId, connection, database]);
