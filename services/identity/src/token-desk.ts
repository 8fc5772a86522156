import type { Store } from "@sallyport/decider";
import type { TokenIssued } from "@sallyport/proto/event";
import type { IssuedToken } from "@sallyport/proto/identity";
import { type Actor, PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import { AppError } from "@sallyport/runtime";
import type { AccessTokens } from "./access-token.ts";
import type { Directory, TokenEntry } from "./directory.ts";
import { mapGroups } from "./group-mapping.ts";
import { IssueRate } from "./issue-rate.ts";
import { hashOf, newPersonalToken, newTokenId } from "./personal-token.ts";
import type { PrincipalCommand, PrincipalState } from "./principal-aggregate.ts";
import { MAX_CHAIN, principalId } from "./principal-name.ts";
import type { ProviderIdentity } from "./provider.ts";
import type { Sealer } from "./seal.ts";
import type { TokenCommand, TokenState } from "./token-aggregate.ts";
import type { Workload } from "./workload-tokens.ts";

export interface TokenDeskParts {
  readonly directory: Directory;
  readonly principals: Store<PrincipalState, PrincipalCommand>;
  readonly tokens: Store<TokenState, TokenCommand>;
  readonly accessTokens: AccessTokens;
  readonly sealer: Sealer;
  readonly accessTtlMs: number;
  readonly ownIssuer: string;
  readonly now: () => number;
  readonly folded: (seq: number) => Promise<void>;
}

export interface Handed {
  readonly issued: IssuedToken;
  readonly entry: TokenEntry;
}

/**
 * Hands tokens out. The event is acknowledged, and folded by this process, before anybody holds the token: what was never
 * recorded cannot be used.
 */
export class TokenDesk {
  readonly #parts: TokenDeskParts;
  readonly #rate: IssueRate;

  constructor(parts: TokenDeskParts) {
    this.#parts = parts;
    this.#rate = new IssueRate(parts.now);
  }

  /** After a login at the provider. Throws `unauthenticated` for a withdrawn principal, `already-exists` for a name that another account holds. */
  async login(identity: ProviderIdentity): Promise<Handed> {
    const { directory, sealer } = this.#parts;
    const id = principalId("user", identity.name);
    if (id === undefined) {
      throw new AppError(
        "failed-precondition",
        "identity.login",
        "the identity provider gives this account no name that can be used here (lower-case letters, digits and ._@-)",
      );
    }
    const { refreshToken } = identity;
    await this.#see({
      kind: "see",
      principalId: id,
      principalKind: PrincipalKind.PRINCIPAL_KIND_USER,
      issuer: identity.issuer,
      subject: identity.subject,
      groups: mapGroups(directory.configuration?.groups ?? [], identity.issuer, identity.groups),
      providerGroups: identity.groups,
      authTimeMs: identity.authTimeMs,
      mfa: identity.mfa,
      sealedRefreshToken:
        refreshToken === undefined ? Buffer.alloc(0) : sealer.seal("provider-refresh-token", id, refreshToken),
      providerSessionId: identity.sessionId,
    });
    const token = this.#blank("at", TokenKind.TOKEN_KIND_ACCESS, id, this.#parts.accessTtlMs);
    return this.#sign(
      {
        ...token,
        providerSessionId: identity.sessionId,
        authTimeMs: identity.authTimeMs,
        mfa: identity.mfa,
      },
      id,
      identity.amr,
    );
  }

  /** A token for a CI job, made by whoever holds `creator`. `actor`: the workload that will carry it. */
  async personal(creator: TokenEntry, wanted: { label: string; ttlMs: number; actor: string }): Promise<Handed> {
    const { issued } = creator;
    const token = newPersonalToken();
    const actors: Actor[] =
      wanted.actor === "" ? issued.actors : [{ id: wanted.actor, issuer: this.#parts.ownIssuer }, ...issued.actors];
    const entry = await this.#issue(
      {
        ...this.#blank("pt", TokenKind.TOKEN_KIND_PERSONAL, issued.principalId, wanted.ttlMs),
        ...this.#derived([creator]),
        actors,
        label: wanted.label,
        tokenHash: hashOf(token),
        authTimeMs: issued.authTimeMs,
        // Whoever holds it has shown one factor: the token.
        mfa: false,
      },
      issued.principalId,
    );
    return handed(token, entry);
  }

  /**
   * A signed token for what another one said (RFC 8693). With an actor, that one acts for the subject from now on, and
   * stands first in the chain (section 4.1).
   */
  async exchange(subject: TokenEntry, actor: { entry: TokenEntry; issuer: string } | undefined): Promise<Handed> {
    const { issued } = subject;
    const current: Actor[] =
      actor === undefined
        ? []
        : [{ id: actor.entry.issued.principalId, issuer: actor.issuer }, ...actor.entry.issued.actors];
    const parents = actor === undefined ? [subject] : [subject, actor.entry];
    // A workload's own token lives for minutes and is meant to be exchanged; nothing else gets a longer life by it.
    const bound = parents.filter((one) => !isPresented(one)).map((one) => one.issued.expiresAtMs - this.#parts.now());
    return this.#sign(
      {
        ...this.#blank("at", issued.kind, issued.principalId, Math.min(this.#parts.accessTtlMs, ...bound)),
        ...this.#derived(parents),
        actors: [...current, ...issued.actors],
        label: issued.label,
        authTimeMs: issued.authTimeMs,
        mfa: issued.mfa,
        providerSessionId: issued.providerSessionId,
      },
      current[0]?.id ?? issued.principalId,
      [],
    );
  }

  /** Records a workload and the token that it presents as it is. */
  async registerWorkload(workload: Workload): Promise<TokenEntry> {
    await this.#see({
      kind: "see",
      principalId: workload.principalId,
      principalKind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD,
      issuer: workload.issuer,
      subject: workload.subject,
      groups: workload.groups,
      providerGroups: workload.groups,
      authTimeMs: 0,
      mfa: false,
      sealedRefreshToken: Buffer.alloc(0),
      providerSessionId: "",
    });
    return this.#issue(
      {
        ...this.#blank("wt", TokenKind.TOKEN_KIND_WORKLOAD, workload.principalId, 0),
        tokenId: workload.tokenId,
        actors: [...workload.actors],
        expiresAtMs: workload.expiresAtMs,
      },
      workload.principalId,
    );
  }

  async #see(command: PrincipalCommand & { kind: "see" }): Promise<void> {
    const done = await this.#parts.principals.handle(command.principalId, command, { cause: command.principalId });
    if (done.kind === "refused") throw new AppError(done.code, "identity.see", done.message);
    if (done.events.length > 0) await this.#parts.folded(done.seq);
  }

  async #sign(token: TokenIssued, cause: string, amr: readonly string[]): Promise<Handed> {
    const entry = await this.#issue(token, cause);
    const principal = this.#parts.directory.principal(token.principalId);
    const signed = await this.#parts.accessTokens.sign({
      tokenId: token.tokenId,
      principalId: token.principalId,
      groups: principal === undefined ? [] : this.#parts.directory.groupsOf(principal),
      actors: token.actors,
      amr,
      authTimeMs: token.authTimeMs,
      issuedAtMs: entry.issuedAtMs,
      expiresAtMs: token.expiresAtMs,
    });
    return handed(signed, entry);
  }

  async #issue(token: TokenIssued, cause: string): Promise<TokenEntry> {
    if (Math.max(token.actors.length, token.createdBy.length, token.issuedWith.length) > MAX_CHAIN) {
      throw new AppError("failed-precondition", "identity.issue", "the chain of tokens behind this one is too long");
    }
    if (!this.#rate.take(token.principalId)) {
      throw new AppError("exhausted", "identity.issue", "too many tokens in a short time; wait a little");
    }
    const done = await this.#parts.tokens.handle(token.tokenId, { kind: "issue", token }, { cause });
    // The same workload token, presented twice at once: the other call has recorded it.
    if (done.kind === "refused" && done.code !== "already-exists")
      throw new AppError(done.code, "identity.issue", done.message);
    if (done.kind === "done") await this.#parts.folded(done.seq);
    else await this.#parts.folded((await this.#parts.tokens.load(token.tokenId)).seq);
    const entry = this.#parts.directory.token(token.tokenId);
    if (entry === undefined)
      throw new AppError("internal", "identity.issue", "the token was recorded and is not known");
    return entry;
  }

  #blank(prefix: "at" | "pt" | "wt", kind: TokenKind, id: string, ttlMs: number): TokenIssued {
    // Whole seconds, as a JWT says them: the event and the token name the same end.
    const expiresAtMs = Math.floor((this.#parts.now() + ttlMs) / 1000) * 1000;
    return {
      tokenId: newTokenId(prefix),
      kind,
      principalId: id,
      actors: [],
      createdBy: [],
      label: "",
      expiresAtMs,
      tokenHash: Buffer.alloc(0),
      providerSessionId: "",
      issuedWith: [],
      authTimeMs: 0,
      mfa: false,
    };
  }

  /** Who and which tokens a new one goes back to: the nearest first. */
  #derived(parents: readonly TokenEntry[]): Pick<TokenIssued, "createdBy" | "issuedWith"> {
    const issued = parents.map((parent) => parent.issued);
    return {
      createdBy: [...new Set([...issued.map((one) => one.principalId), ...issued.flatMap((one) => one.createdBy)])],
      issuedWith: [...new Set([...issued.map((one) => one.tokenId), ...issued.flatMap((one) => one.issuedWith)])],
    };
  }
}

/** A workload's own token, presented as it is. */
function isPresented({ issued }: TokenEntry): boolean {
  return issued.kind === TokenKind.TOKEN_KIND_WORKLOAD && issued.issuedWith.length === 0;
}

function handed(token: string, entry: TokenEntry): Handed {
  const { tokenId, expiresAtMs } = entry.issued;
  return { issued: { token, tokenId, expiresAtMs }, entry };
}
