import { Principal, PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import type { AccessTokens } from "./access-token.ts";
import { lineageOf, type Directory, type TokenEntry } from "./directory.ts";
import type { Freshness } from "./freshness.ts";
import { hashOf, isWellFormed, PERSONAL_PREFIX } from "./personal-token.ts";
import { kindOf, nameOf } from "./principal-name.ts";
import { refused, type Refused } from "./refusal.ts";
import type { Standing } from "./standing.ts";
import type { TokenDesk } from "./token-desk.ts";
import { issuerOf, type Workload, type WorkloadTokens } from "./workload-tokens.ts";

export interface Authenticated {
  readonly kind: "authenticated";
  readonly principal: Principal;
  readonly token: TokenEntry;
  readonly recheckAfterMs: number;
  /** RFC 8693 section 4.4, of a workload token that was presented as it is */
  readonly mayAct: Workload["mayAct"];
}

export interface AuthenticatorParts {
  readonly directory: Directory;
  readonly accessTokens: AccessTokens;
  readonly workloads: WorkloadTokens;
  readonly desk: TokenDesk;
  readonly standing: Standing;
  readonly freshness: Freshness;
  readonly ownIssuer: string;
  readonly now: () => number;
}

type Known = { readonly kind: "known"; readonly token: TokenEntry; readonly mayAct: Workload["mayAct"] };

const MAX_TOKEN_LENGTH = 16 * 1024;
const MAX_REMEMBERED = 10_000;

/** Who presents this token, and does it still count? The one place that answers, for every kind of token. */
export class Authenticator {
  readonly #parts: AuthenticatorParts;
  /** signatures that were right, by the token's hash: a token is presented many times, its signature stays the same */
  readonly #verified = new Map<string, { tokenId: string; mayAct: Workload["mayAct"]; generation: number }>();

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
  }

  /** `claimedUser`: when set, must be the principal's name. */
  async authenticate(token: string, claimedUser: string): Promise<Authenticated | Refused> {
    if (token.length === 0 || token.length > MAX_TOKEN_LENGTH) return refused("malformed");
    await this.#parts.freshness.require();
    let known = await this.#identify(token);
    if (known.kind === "refused" && known.reason === "unknown") {
      // Another process may have issued it a moment ago.
      await this.#parts.freshness.everythingBeforeNow();
      known = await this.#identify(token);
    }
    if (known.kind === "refused") return known;
    const answer = await this.#judge(known);
    if (answer.kind === "refused") return answer;
    return claimedUser !== "" && claimedUser !== answer.principal.name ? refused("wrong-user") : answer;
  }

  /** The same token again, by its id: for who has authenticated it before. */
  async recheck(tokenId: string): Promise<Authenticated | Refused> {
    await this.#parts.freshness.require();
    const token = this.#parts.directory.token(tokenId);
    return token === undefined ? refused("unknown") : this.#judge({ kind: "known", token, mayAct: undefined });
  }

  async #identify(token: string): Promise<Known | Refused> {
    return token.startsWith(PERSONAL_PREFIX) ? this.#personal(token) : this.#signed(token);
  }

  /** Looked up by its hash, so that no comparison takes longer the more of a token is right. */
  #personal(token: string): Known | Refused {
    if (!isWellFormed(token)) return refused("malformed");
    const found = this.#parts.directory.tokenByHash(hashOf(token));
    return found === undefined ? refused("unknown") : { kind: "known", token: found, mayAct: undefined };
  }

  async #signed(token: string): Promise<Known | Refused> {
    const { directory } = this.#parts;
    const key = hashOf(token).toString("base64");
    const seen = this.#verified.get(key);
    if (seen !== undefined && seen.generation === directory.generation) {
      const entry = directory.token(seen.tokenId);
      if (entry !== undefined) return { kind: "known", token: entry, mayAct: seen.mayAct };
    }
    const issuer = issuerOf(token);
    if (issuer === undefined) return refused("malformed");
    const known = issuer === this.#parts.ownIssuer ? await this.#own(token) : await this.#foreign(token);
    if (known.kind === "known") {
      if (this.#verified.size >= MAX_REMEMBERED) this.#verified.delete(this.#verified.keys().next().value!);
      const { issued } = known.token;
      this.#verified.set(key, { tokenId: issued.tokenId, mayAct: known.mayAct, generation: directory.generation });
    }
    return known;
  }

  async #own(token: string): Promise<Known | Refused> {
    const { accessTokens, directory, now } = this.#parts;
    const verified = await accessTokens.verify(token, new Date(now()));
    if (verified.kind === "refused") return verified;
    const entry = directory.token(verified.tokenId);
    if (entry?.issued.principalId !== verified.principalId) return refused("unknown");
    return { kind: "known", token: entry, mayAct: undefined };
  }

  /** The first presentation of a workload's token is recorded like an issue, so that it can be listed and revoked. */
  async #foreign(token: string): Promise<Known | Refused> {
    const { workloads, desk, directory, now } = this.#parts;
    const workload = await workloads.verify(token, new Date(now()));
    if (workload.kind === "refused") return workload;
    const entry = directory.token(workload.tokenId) ?? (await desk.registerWorkload(workload));
    return { kind: "known", token: entry, mayAct: workload.mayAct };
  }

  async #judge({ token, mayAct }: Known): Promise<Authenticated | Refused> {
    const { directory, now } = this.#parts;
    const { issued } = token;
    // Whoever was withdrawn is told so whatever else is wrong with the token.
    if (directory.offboardedIn(issued) !== undefined) return refused("offboarded");
    if (token.ended !== undefined) return endOf(token.ended);
    if (issued.expiresAtMs <= now()) return refused("expired");
    const stood = await this.#stand(token);
    if (stood.kind === "refused") return stood;
    // Asking the provider took time: what happened meanwhile counts.
    if (directory.offboardedIn(issued) !== undefined) return refused("offboarded");
    if (token.ended !== undefined) return endOf(token.ended);
    return {
      kind: "authenticated",
      principal: principalOf(token, directory),
      token,
      recheckAfterMs: Math.min(stood.recheckAfterMs, issued.expiresAtMs - now()),
      mayAct,
    };
  }

  /** Everyone whose standing the token rests on: its principal, and those known here who created it or act in it. */
  async #stand({ issued }: TokenEntry): ReturnType<Standing["of"]> {
    const { directory, standing, workloads } = this.#parts;
    let recheckAfterMs = Infinity;
    for (const id of lineageOf(issued)) {
      const seen = directory.principal(id)?.state.seen;
      if (seen === undefined && id !== issued.principalId) continue;
      const workload = seen !== undefined && seen.kind !== PrincipalKind.PRINCIPAL_KIND_USER;
      if (workload && workloads.trusted(seen.issuer) === undefined) return refused("foreign");
      const stood = await standing.of(id);
      if (stood.kind === "refused") return stood;
      recheckAfterMs = Math.min(recheckAfterMs, stood.recheckAfterMs);
    }
    return { kind: "stands", recheckAfterMs };
  }
}

/** For who is not withdrawn now: a token that ended with its owner's access tells of someone who was reinstated since. */
function endOf({ how }: NonNullable<TokenEntry["ended"]>): Refused {
  return refused(how === "offboarded" ? "withdrawn" : how);
}

/** The principal as it is now: the token's own facts, and the groups that count at this moment. */
export function principalOf({ issued }: TokenEntry, directory: Directory): Principal {
  const entry = directory.principal(issued.principalId);
  const seen = entry?.state.seen;
  return {
    id: issued.principalId,
    kind: kindOf(issued.principalId),
    name: nameOf(issued.principalId),
    groups: entry === undefined ? [] : directory.groupsOf(entry),
    actors: issued.actors,
    issuer: seen?.issuer ?? "",
    subject: seen?.subject ?? "",
    authTimeMs: issued.authTimeMs,
    mfa: issued.mfa,
    tokenId: issued.tokenId,
    tokenKind: issued.kind,
    tokenLabel: issued.label,
    createdBy: issued.createdBy,
    expiresAtMs: issued.expiresAtMs,
  };
}

/** Whoever was seen here, as after a login of their own; nobody's token. undefined: never seen. */
export function describePrincipal(
  id: string,
  directory: Directory,
): { principal: Principal; offboarded: boolean } | undefined {
  const entry = directory.principal(id);
  const seen = entry?.state.seen;
  if (entry === undefined || seen === undefined) return undefined;
  const { issuer, subject, authTimeMs, mfa } = seen;
  const user = seen.kind === PrincipalKind.PRINCIPAL_KIND_USER;
  const principal = Principal.fromPartial({
    id,
    kind: kindOf(id),
    name: nameOf(id),
    groups: directory.groupsOf(entry),
    issuer,
    subject,
    authTimeMs,
    mfa,
    tokenKind: user ? TokenKind.TOKEN_KIND_ACCESS : TokenKind.TOKEN_KIND_WORKLOAD,
  });
  return { principal, offboarded: entry.state.offboarded };
}

/** A person who has logged in themself: nobody acts for them, and the token is from a login. */
export function isOwnLogin({ issued }: TokenEntry): boolean {
  return issued.kind === TokenKind.TOKEN_KIND_ACCESS && issued.actors.length === 0 && issued.issuedWith.length === 0;
}
