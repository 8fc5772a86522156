import type { Store } from "@sallyport/decider";
import { AppError } from "@sallyport/runtime";
import type { Directory } from "./directory.ts";
import type { Freshness } from "./freshness.ts";
import type { PrincipalCommand, PrincipalState } from "./principal-aggregate.ts";
import type { TokenCommand, TokenState } from "./token-aggregate.ts";

export interface RevokerParts {
  readonly directory: Directory;
  readonly principals: Store<PrincipalState, PrincipalCommand>;
  readonly tokens: Store<TokenState, TokenCommand>;
  readonly freshness: Freshness;
  readonly now: () => number;
}

export interface Withdrawn {
  readonly tokenIds: readonly string[];
  /** of the last event that belongs to it */
  readonly asOf: number;
}

/** Takes access back. Answers once the events are acknowledged and folded here, so that the next question is refused. */
export class Revoker {
  readonly #parts: RevokerParts;

  constructor(parts: RevokerParts) {
    this.#parts = parts;
  }

  /** A principal and everything it created. One that was never seen, and that no token names, only `inAdvance`. */
  async principal(principalId: string, reason: string, cause: string, inAdvance: boolean): Promise<Withdrawn> {
    const { directory, principals } = this.#parts;
    const named = directory.tokensOf(principalId);
    const tokenIds = named
      .filter((token) => token.ended === undefined && token.issued.expiresAtMs > this.#parts.now())
      .map((token) => token.issued.tokenId);
    // Read first: a decision that it is offboarded already must not come from what another process has undone.
    await principals.load(principalId);
    const done = await principals.handle(
      principalId,
      { kind: "offboard", principalId, reason, tokenIds, inAdvance: inAdvance || named.length > 0 },
      { cause },
    );
    return { tokenIds, asOf: await this.#settled(done) };
  }

  /** A token and every token that was asked for with it. The parent goes first: what is issued meanwhile is born ended. */
  async token(tokenId: string, reason: string, cause: string): Promise<Withdrawn> {
    const first = await this.#endToken(tokenId, reason, cause, true);
    const descendants = this.#parts.directory
      .descendantsOf(tokenId)
      .filter((token) => token.issued.expiresAtMs > this.#parts.now())
      .map((token) => token.issued.tokenId);
    const rest = await Promise.all(descendants.map((id) => this.#endToken(id, reason, cause, true)));
    return { tokenIds: [tokenId, ...descendants], asOf: Math.max(first, ...rest) };
  }

  /** Only this token: signing out of a terminal must not stop last month's CI job. */
  async signOut(tokenId: string, cause: string): Promise<number> {
    return this.#endToken(tokenId, "signed out", cause, false);
  }

  async reinstate(principalId: string, reason: string, cause: string): Promise<number> {
    const { principals } = this.#parts;
    await principals.load(principalId);
    return this.#settled(await principals.handle(principalId, { kind: "reinstate", principalId, reason }, { cause }));
  }

  /** Tokens that came from a session at the provider (OpenID Connect Back-Channel Logout 1.0); `""`: all of them. */
  async providerSession(principalId: string, providerSessionId: string): Promise<void> {
    const { directory, principals } = this.#parts;
    const ends = directory
      .tokensOf(principalId)
      .filter(({ issued, ended }) => {
        const same = providerSessionId === "" || issued.providerSessionId === providerSessionId;
        return ended === undefined && issued.principalId === principalId && issued.providerSessionId !== "" && same;
      })
      .map(({ issued }) => issued.tokenId);
    const command = { kind: "end-provider-session", principalId, providerSessionId, tokenIds: ends } as const;
    await this.#settled(await principals.handle(principalId, command, { cause: "" }));
  }

  async #endToken(tokenId: string, reason: string, cause: string, withDescendants: boolean): Promise<number> {
    const { tokens } = this.#parts;
    await tokens.load(tokenId);
    return this.#settled(await tokens.handle(tokenId, { kind: "revoke", reason, withDescendants }, { cause }));
  }

  async #settled(done: Awaited<ReturnType<Store<unknown, never>["handle"]>>): Promise<number> {
    if (done.kind === "refused") throw new AppError(done.code, "identity.revoke", done.message);
    await this.#parts.freshness.folded(done.seq);
    return Math.max(done.seq, this.#parts.freshness.asOf());
  }
}
