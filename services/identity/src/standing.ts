import { setTimeout as delay } from "node:timers/promises";
import type { Store } from "@sallyport/decider";
import { PrincipalKind } from "@sallyport/proto/principal";
import { AppError, type Logger } from "@sallyport/runtime";
import type { Directory, PrincipalEntry } from "./directory.ts";
import { sameGroups } from "./group-mapping.ts";
import type { PrincipalCommand, PrincipalState } from "./principal-aggregate.ts";
import type { Provider } from "./provider.ts";
import { refused, type Refused } from "./refusal.ts";
import type { Sealer } from "./seal.ts";

export interface StandingConfig {
  /** groups are read again from the provider when they are older */
  readonly recheckMs: number;
  /** with the provider away, groups older than this no longer count */
  readonly maxAgeMs: number;
  /** between two tries while the provider is away */
  readonly retryMs: number;
  /** for the provider's answer, from when it was asked */
  readonly waitMs: number;
}

export interface StandingParts {
  readonly directory: Directory;
  readonly store: Store<PrincipalState, PrincipalCommand>;
  readonly provider: Provider;
  readonly sealer: Sealer;
  readonly config: StandingConfig;
  readonly log: Logger;
  readonly now: () => number;
  /** resolves when the own directory has folded the sequence */
  readonly folded: (seq: number) => Promise<void>;
}

/** `recheckAfterMs`: until the groups are due again */
export type Stood = { readonly kind: "stands"; readonly recheckAfterMs: number } | Refused;

/**
 * Does the provider still vouch for a person, and with which groups? Asked at most every `recheckMs`, once for all who
 * wait. Nobody waits longer than `waitMs`: a provider that is slow counts as one that is away, and its answer, when it
 * comes, is for the next question. Workloads stand by their issuer's word in each token.
 */
export class Standing {
  readonly #parts: StandingParts;
  readonly #running = new Map<string, { done: Promise<void>; startedAt: number }>();
  readonly #notBefore = new Map<string, number>();

  constructor(parts: StandingParts) {
    this.#parts = parts;
  }

  async of(principalId: string): Promise<Stood> {
    const { directory, config } = this.#parts;
    const entry = directory.principal(principalId);
    if (entry?.state.seen === undefined) return refused("unknown");
    if (entry.state.seen.kind !== PrincipalKind.PRINCIPAL_KIND_USER) {
      return { kind: "stands", recheckAfterMs: config.recheckMs };
    }
    if (entry.state.standing && this.#due(principalId, entry)) await this.#refreshed(principalId);
    if (!entry.state.standing) return refused("unverified");
    const age = this.#parts.now() - entry.verifiedAtMs;
    if (age >= config.maxAgeMs) {
      return refused(entry.state.seen.sealedRefreshToken.length === 0 ? "unverified" : "provider-away");
    }
    return {
      kind: "stands",
      recheckAfterMs: Math.max(config.recheckMs - age, Math.min(config.retryMs, config.recheckMs)),
    };
  }

  #due(principalId: string, entry: PrincipalEntry): boolean {
    const now = this.#parts.now();
    if ((entry.state.seen?.sealedRefreshToken.length ?? 0) === 0) return false;
    if (now < (this.#notBefore.get(principalId) ?? 0)) return this.#running.has(principalId);
    return now - entry.verifiedAtMs >= this.#parts.config.recheckMs;
  }

  async #refreshed(principalId: string): Promise<void> {
    let running = this.#running.get(principalId);
    if (running === undefined) {
      const done = this.#refresh(principalId, 1).finally(() => this.#running.delete(principalId));
      running = { done, startedAt: performance.now() };
      this.#running.set(principalId, running);
    }
    const left = running.startedAt + this.#parts.config.waitMs - performance.now();
    const enough = new AbortController();
    try {
      await Promise.race([running.done, delay(Math.max(0, left), undefined, { signal: enough.signal })]);
    } finally {
      enough.abort();
      // Whoever stopped waiting must not leave a failure unheard.
      running.done.catch(() => undefined);
    }
  }

  async #refresh(principalId: string, triesLeft: number): Promise<void> {
    const { directory, store, provider, sealer, config, log, now, folded } = this.#parts;
    const entry = directory.principal(principalId)!;
    const sealed = entry.state.seen!.sealedRefreshToken;
    const refreshToken = sealer.open("provider-refresh-token", principalId, sealed);
    const askedAt = now();
    const answer =
      refreshToken === undefined
        ? ({ kind: "unreachable", cause: new Error("the refresh token was sealed with another key") } as const)
        : await provider.refresh(refreshToken, entry.state.seen!.subject);
    switch (answer.kind) {
      case "refreshed": {
        this.#notBefore.delete(principalId);
        await this.#mapGroups(principalId, { groups: answer.groups, askedAtMs: askedAt });
        if (answer.refreshToken !== undefined) {
          const newer = sealer.seal("provider-refresh-token", principalId, answer.refreshToken);
          await this.#do(principalId, { kind: "rotate-refresh-token", replaces: sealed, sealedRefreshToken: newer });
        }
        entry.verifiedAtMs = Math.max(entry.verifiedAtMs, askedAt);
        return;
      }
      case "gone": {
        // Another process, or a login since, may hold a newer token: then the older one's refusal says nothing.
        const { state, seq } = await store.load(principalId);
        if (triesLeft > 0 && state.seen !== undefined && !state.seen.sealedRefreshToken.equals(sealed)) {
          await folded(seq);
          return this.#refresh(principalId, triesLeft - 1);
        }
        log.info({ principal: principalId }, "the identity provider no longer vouches for a principal");
        const tokenIds = directory
          .tokensOf(principalId)
          .filter((token) => token.ended === undefined && token.issued.expiresAtMs > now())
          .map((token) => token.issued.tokenId);
        const end = { kind: "end-provider-session", principalId, providerSessionId: "", tokenIds } as const;
        await this.#do(principalId, { ...end, unlessRefreshTokenIsNot: sealed });
        return;
      }
      case "unreachable":
        this.#notBefore.set(principalId, now() + config.retryMs);
        log.warn(
          { principal: principalId, why: nameOf(answer.cause) },
          "groups could not be read again from the identity provider",
        );
    }
  }

  /** Says what a new configuration made of everybody's groups; those whose groups stay are not mentioned. */
  async remapAll(): Promise<void> {
    const { directory } = this.#parts;
    for (const [principalId, entry] of directory.principals()) {
      const { seen, offboarded } = entry.state;
      if (seen?.kind !== PrincipalKind.PRINCIPAL_KIND_USER || offboarded) continue;
      if (sameGroups(directory.groupsOf(entry), seen.groups)) continue;
      await this.#mapGroups(principalId, undefined);
    }
  }

  async #mapGroups(
    principalId: string,
    read: Extract<PrincipalCommand, { kind: "map-groups" }>["read"],
  ): Promise<void> {
    const mappings = this.#parts.directory.configuration?.groups ?? [];
    await this.#do(principalId, { kind: "map-groups", principalId, read, mappings });
  }

  async #do(principalId: string, command: PrincipalCommand): Promise<void> {
    const done = await this.#parts.store.handle(principalId, command, { cause: "" });
    if (done.kind === "refused") throw new AppError("internal", "identity.standing", done.message);
    if (done.events.length > 0) await this.#parts.folded(done.seq);
  }
}

/** Only the kind of error: a provider's own words may hold anything. */
function nameOf(cause: unknown): string {
  return cause instanceof Error ? `${cause.name} ${(cause as { code?: string }).code ?? ""}`.trim() : "unknown";
}
