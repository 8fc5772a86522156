import type { Configuration } from "@sallyport/proto/catalog_model";
import type { Event, TokenIssued } from "@sallyport/proto/event";
import { PrincipalKind } from "@sallyport/proto/principal";
import { mapGroups, sameIssuer } from "./group-mapping.ts";
import { principalDecider, type PrincipalState } from "./principal-aggregate.ts";

export type TokenEnd = "revoked" | "signed-out" | "offboarded" | "session-ended";

export interface TokenEntry {
  readonly issued: TokenIssued;
  readonly issuedAtMs: number;
  ended: { readonly how: TokenEnd; readonly atMs: number } | undefined;
  /** what is asked for with it ends too */
  endsDescendants: boolean;
}

export interface PrincipalEntry {
  state: PrincipalState;
  /** when the provider last said the groups, ms since 1970 */
  verifiedAtMs: number;
}

/** Kept so long after their end, so that people are told "expired" and not "unknown". */
const KEEP_ENDED_MS = 7 * 86_400_000;

/**
 * Everyone and every token at once, folded from EVENTS: what the fast paths look things up in. Deterministic: whoever
 * folds the same events has the same directory, in whatever order racing commands were decided.
 */
export class Directory {
  readonly #principals = new Map<string, PrincipalEntry>();
  readonly #tokens = new Map<string, TokenEntry>();
  readonly #byHash = new Map<string, TokenEntry>();
  readonly #endedSessions = new Map<string, number>();
  #configuration: Configuration | undefined;
  #generation = 0;

  fold(event: Event): void {
    const { fact, atMs } = event;
    switch (fact?.$case) {
      case "principalSeen":
        this.#evolve(fact.value.principalId, event).verifiedAtMs = atMs;
        break;
      case "principalGroupsChanged": {
        const entry = this.#evolve(fact.value.principalId, event);
        // 0 for a mere re-mapping: the provider has not said anything, its last word is as old as it was.
        entry.verifiedAtMs = Math.max(entry.verifiedAtMs, Math.min(fact.value.verifiedAtMs, atMs));
        break;
      }
      case "principalReinstated":
        this.#evolve(fact.value.principalId, event);
        break;
      case "principalOffboarded":
        this.#evolve(fact.value.principalId, event);
        this.#end("offboarded", atMs, ({ issued }) => lineageOf(issued).has(fact.value.principalId));
        break;
      case "providerSessionEnded":
        this.#foldSessionEnded(event, fact.value);
        break;
      case "tokenIssued":
        this.#foldIssued(fact.value, atMs);
        break;
      case "tokenRevoked":
        this.#foldRevoked(fact.value, atMs);
        break;
      case "configurationApplied":
        this.#configuration = fact.value.configuration;
        this.#generation += 1;
        break;
      default:
    }
  }

  /** counts configurations, for caches of what follows from one */
  get generation(): number {
    return this.#generation;
  }

  get configuration(): Configuration | undefined {
    return this.#configuration;
  }

  principal(id: string): PrincipalEntry | undefined {
    return this.#principals.get(id);
  }

  principals(): Iterable<[string, PrincipalEntry]> {
    return this.#principals;
  }

  /** The groups that count now: the provider's last word under the configuration in effect. */
  groupsOf(entry: PrincipalEntry): string[] {
    const { seen } = entry.state;
    if (seen === undefined) return [];
    if (seen.kind === PrincipalKind.PRINCIPAL_KIND_USER) {
      return mapGroups(this.#configuration?.groups ?? [], seen.issuer, seen.providerGroups);
    }
    return this.#configuration?.issuers.find((one) => sameIssuer(one.issuer, seen.issuer))?.groups ?? [];
  }

  token(id: string): TokenEntry | undefined {
    return this.#tokens.get(id);
  }

  tokenByHash(hash: Buffer): TokenEntry | undefined {
    return this.#byHash.get(hash.toString("base64"));
  }

  /** The principal's own and those that it created for others. */
  tokensOf(principalId: string): TokenEntry[] {
    return [...this.#tokens.values()].filter(({ issued }) => lineageOf(issued).has(principalId));
  }

  descendantsOf(tokenId: string): TokenEntry[] {
    return [...this.#tokens.values()].filter(({ issued }) => issued.issuedWith.includes(tokenId));
  }

  tokensOfSession(principalId: string, providerSessionId: string): TokenEntry[] {
    return [...this.#tokens.values()].filter(
      ({ issued }) => issued.principalId === principalId && issued.providerSessionId === providerSessionId,
    );
  }

  principalsOfSession(issuer: string, subject: string, providerSessionId: string): string[] {
    const found = new Set<string>();
    for (const [id, { state }] of this.#principals) {
      if (subject !== "" && state.seen?.issuer === issuer && state.seen.subject === subject) found.add(id);
    }
    if (subject === "") {
      for (const { issued } of this.#tokens.values()) {
        if (issued.providerSessionId === providerSessionId) found.add(issued.principalId);
      }
    }
    return [...found];
  }

  /** Is anyone in the token's lineage withdrawn? Asked at every use: an event may name fewer tokens than there are. */
  offboardedIn(issued: TokenIssued): string | undefined {
    for (const id of lineageOf(issued)) if (this.#principals.get(id)?.state.offboarded === true) return id;
    return undefined;
  }

  /** Forgets what ended long ago. */
  sweep(nowMs: number): void {
    for (const [id, entry] of this.#tokens) {
      if (Math.min(entry.issued.expiresAtMs, entry.ended?.atMs ?? Infinity) + KEEP_ENDED_MS > nowMs) continue;
      this.#tokens.delete(id);
      this.#byHash.delete(entry.issued.tokenHash.toString("base64"));
    }
    for (const [key, atMs] of this.#endedSessions) if (atMs + KEEP_ENDED_MS <= nowMs) this.#endedSessions.delete(key);
  }

  #evolve(id: string, event: Event): PrincipalEntry {
    const entry = this.#principals.get(id) ?? { state: principalDecider.initial(), verifiedAtMs: 0 };
    entry.state = principalDecider.evolve(entry.state, event);
    this.#principals.set(id, entry);
    return entry;
  }

  #foldIssued(issued: TokenIssued, atMs: number): void {
    const entry: TokenEntry = { issued, issuedAtMs: atMs, ended: undefined, endsDescendants: false };
    // It may have been decided beside a withdrawal that came first on the bus.
    if (this.offboardedIn(issued) !== undefined) entry.ended = { how: "offboarded", atMs };
    else if (issued.issuedWith.some((id) => this.#tokens.get(id)?.endsDescendants === true)) {
      entry.ended = { how: "revoked", atMs };
    } else if (this.#endedSessions.has(sessionKey(issued.principalId, issued.providerSessionId))) {
      entry.ended = { how: "session-ended", atMs };
    }
    entry.endsDescendants = entry.ended !== undefined && entry.ended.how !== "session-ended";
    this.#tokens.set(issued.tokenId, entry);
    if (issued.tokenHash.length > 0) this.#byHash.set(issued.tokenHash.toString("base64"), entry);
  }

  #foldRevoked({ tokenId, withDescendants }: { tokenId: string; withDescendants: boolean }, atMs: number): void {
    const entry = this.#tokens.get(tokenId);
    if (entry !== undefined) {
      entry.ended ??= { how: withDescendants ? "revoked" : "signed-out", atMs };
      entry.endsDescendants ||= withDescendants;
    }
    if (withDescendants) this.#end("revoked", atMs, ({ issued }) => issued.issuedWith.includes(tokenId));
  }

  #foldSessionEnded(event: Event, ended: { principalId: string; providerSessionId: string }): void {
    const { principalId, providerSessionId } = ended;
    this.#evolve(principalId, event);
    if (providerSessionId !== "") this.#endedSessions.set(sessionKey(principalId, providerSessionId), event.atMs);
    // Personal tokens carry no session: they wait for their owner to log in again (`standing`), and are not ended.
    this.#end(
      "session-ended",
      event.atMs,
      ({ issued }) =>
        issued.principalId === principalId &&
        issued.providerSessionId !== "" &&
        (providerSessionId === "" || issued.providerSessionId === providerSessionId),
    );
  }

  #end(how: TokenEnd, atMs: number, matches: (entry: TokenEntry) => boolean): void {
    for (const entry of this.#tokens.values()) {
      if (!matches(entry)) continue;
      entry.ended ??= { how, atMs };
      entry.endsDescendants ||= how !== "session-ended";
    }
  }
}

/** Whose withdrawal withdraws the token: its principal, who acts in it, and who created it. */
export function lineageOf(issued: TokenIssued): Set<string> {
  return new Set([issued.principalId, ...issued.actors.map((actor) => actor.id), ...issued.createdBy]);
}

function sessionKey(principalId: string, providerSessionId: string): string {
  return `${principalId} ${providerSessionId}`;
}
