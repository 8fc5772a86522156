/** Whose access has been withdrawn, as identity's events tell it. */
import type { Event } from "@sallyport/proto/event";
import type { Principal } from "@sallyport/proto/principal";
import { standsBehind } from "./request.ts";

/** Why a principal's access ended, or undefined. */
export type Cause = (principal: Principal) => string | undefined;

const maxParents = 100_000;

export class Withdrawn {
  readonly #offboarded = new Set<string>();
  readonly #revoked = new Set<string>();
  readonly #revokedWithDescendants = new Set<string>();
  /** token → the tokens that it was asked for with; only tokens that have such */
  readonly #issuedWith = new Map<string, readonly string[]>();

  /** Folds one event; when it withdraws something, gives what to ask of each open request's principal. */
  fold({ fact }: Event): Cause | undefined {
    switch (fact?.$case) {
      case "tokenIssued":
        if (fact.value.issuedWith.length > 0) this.#keepParents(fact.value.tokenId, fact.value.issuedWith);
        return undefined;
      case "tokenRevoked": {
        const { tokenId, withDescendants } = fact.value;
        this.#revoked.add(tokenId);
        if (withDescendants) this.#revokedWithDescendants.add(tokenId);
        return (principal) => this.#byToken(principal);
      }
      case "providerSessionEnded":
        for (const tokenId of fact.value.tokenIds) this.#revoked.add(tokenId);
        return (principal) => this.#byToken(principal);
      case "principalOffboarded":
        this.#offboarded.add(fact.value.principalId);
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
    const gone = [...standsBehind(principal)].find((id) => this.#offboarded.has(id));
    return gone === undefined ? this.#byToken(principal) : `${gone} was offboarded`;
  }

  isOffboarded(principalId: string): boolean {
    return this.#offboarded.has(principalId);
  }

  #byToken({ tokenId }: Principal): string | undefined {
    const parents = this.#issuedWith.get(tokenId) ?? [];
    const gone = this.#revoked.has(tokenId) || parents.some((parent) => this.#revokedWithDescendants.has(parent));
    return gone ? "the requester's token was withdrawn" : undefined;
  }

  #keepParents(tokenId: string, parents: readonly string[]): void {
    this.#issuedWith.set(tokenId, parents);
    // Tokens live for hours: the oldest of so many have long expired.
    if (this.#issuedWith.size > maxParents) this.#issuedWith.delete(this.#issuedWith.keys().next().value!);
  }
}
