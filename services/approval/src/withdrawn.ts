/** Whose access has been withdrawn, as identity's events tell it. */
import type { Event, TokenIssued } from "@sallyport/proto/event";
import type { Principal } from "@sallyport/proto/principal";
import { standsBehind } from "./request.ts";

/** Why a principal's access ended, or undefined. */
export type Cause = (principal: Principal) => string | undefined;

/** Tokens live for hours, but for personal ones: the oldest of so many have long expired. */
const maxTokens = 100_000;

interface ProviderSession {
  principalId: string;
  providerSessionId: string;
}

/**
 * As identity has it (its README, "What ends what"): a token that came from a provider session ends with it, for good. One
 * that came from none, a personal token, waits until its owner logs in again.
 */
export class Withdrawn {
  readonly #offboarded = new Set<string>();
  /** nobody vouches for them until their next login */
  readonly #suspended = new Set<string>();
  readonly #endedSessions = new Set<string>();
  /** token → the provider session that it came from; only tokens that have one */
  readonly #sessions = new Map<string, ProviderSession>();
  readonly #revoked = new Set<string>();
  readonly #revokedWithDescendants = new Set<string>();
  /** token → the tokens that it was asked for with; only tokens that have such */
  readonly #issuedWith = new Map<string, readonly string[]>();

  /** Folds one event; when it withdraws something, gives what to ask of each open request's principal. */
  fold({ fact }: Event): Cause | undefined {
    switch (fact?.$case) {
      case "tokenIssued":
        this.#issued(fact.value);
        return undefined;
      case "tokenRevoked": {
        const { tokenId, withDescendants } = fact.value;
        this.#revoked.add(tokenId);
        if (withDescendants) this.#revokedWithDescendants.add(tokenId);
        return (principal) => this.#byToken(principal);
      }
      case "providerSessionEnded":
        this.#endSessions(fact.value);
        return (principal) => this.cause(principal);
      case "principalSeen":
        this.#suspended.delete(fact.value.principalId);
        return undefined;
      case "principalOffboarded":
        this.#offboarded.add(fact.value.principalId);
        // Reinstated is not logged in.
        this.#suspended.add(fact.value.principalId);
        for (const tokenId of fact.value.tokenIds) this.#revoked.add(tokenId);
        return (principal) => this.cause(principal);
      case "principalReinstated":
        this.#offboarded.delete(fact.value.principalId);
        return undefined;
      default:
        return undefined;
    }
  }

  /** As of now. */
  cause(principal: Principal): string | undefined {
    const behind = [...standsBehind(principal)];
    const gone = behind.find((id) => this.#offboarded.has(id));
    if (gone !== undefined) return `${gone} was offboarded`;
    const suspended = behind.find((id) => this.#suspended.has(id));
    return suspended === undefined ? this.#byToken(principal) : `${suspended} must log in again`;
  }

  isOffboarded(principalId: string): boolean {
    return this.#offboarded.has(principalId);
  }

  #byToken({ tokenId }: Principal): string | undefined {
    const parents = this.#issuedWith.get(tokenId) ?? [];
    const gone = this.#revoked.has(tokenId) || parents.some((parent) => this.#revokedWithDescendants.has(parent));
    return gone ? "the requester's token was withdrawn" : undefined;
  }

  #issued({ tokenId, issuedWith, principalId, providerSessionId }: TokenIssued): void {
    if (issuedWith.length > 0) keep(this.#issuedWith, tokenId, issuedWith);
    if (providerSessionId === "") return;
    keep(this.#sessions, tokenId, { principalId, providerSessionId });
    // It may have been decided beside the end of its session, which came first on the bus.
    if (this.#endedSessions.has(sessionKey(principalId, providerSessionId))) this.#revoked.add(tokenId);
  }

  /** The tokens that the event names are not looked at: those that it only suspends are among them. */
  #endSessions({ principalId, providerSessionId }: ProviderSession): void {
    if (providerSessionId === "") this.#suspended.add(principalId);
    else this.#endedSessions.add(sessionKey(principalId, providerSessionId));
    for (const [tokenId, from] of this.#sessions) {
      if (from.principalId !== principalId) continue;
      if (providerSessionId === "" || from.providerSessionId === providerSessionId) this.#revoked.add(tokenId);
    }
  }
}

const sessionKey = (principalId: string, providerSessionId: string): string => `${principalId} ${providerSessionId}`;

function keep<T>(map: Map<string, T>, tokenId: string, value: T): void {
  map.set(tokenId, value);
  if (map.size > maxTokens) map.delete(map.keys().next().value!);
}
