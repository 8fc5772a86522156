import {
  AccessServiceService,
  type CreateTokenRequest,
  type CreateTokenResponse,
  type ListTokensRequest,
  type ListTokensResponse,
  type RevokeRequest,
  type RevokeResponse,
  type TokenInfo,
} from "@sallyport/proto/identity";
import { type Principal, TokenKind } from "@sallyport/proto/principal";
import { AppError, type CallInfo, type GrpcService, service } from "@sallyport/runtime";
import { type Authenticated, type Authenticator, isOwnLogin, principalOf } from "./authenticator.ts";
import { type Directory, lineageOf, type TokenEntry } from "./directory.ts";
import type { Exchange } from "./exchange.ts";
import type { Logins } from "./login.ts";
import { parsePrincipalId } from "./principal-name.ts";
import { asAppError } from "./refusal.ts";
import type { Revoker } from "./revoker.ts";
import type { Handed, TokenDesk } from "./token-desk.ts";

export interface AccessParts {
  readonly authenticator: Authenticator;
  readonly logins: Logins;
  readonly exchange: Exchange;
  readonly desk: TokenDesk;
  readonly revoker: Revoker;
  readonly directory: Directory;
  readonly limits: { readonly defaultTtlMs: number; readonly maxTtlMs: number; readonly maxPersonalTokens: number };
  /** May the principal use one of the gateway's own powers? `message` is policy's sentence when not. */
  readonly permits: (principal: Principal, action: string) => Promise<{ allowed: boolean; message: string }>;
  readonly now: () => number;
}

const LABEL = /^[\p{L}\p{N}\p{P}\p{S} ]{0,100}$/u;
const MAX_REASON = 500;

/** For people and jobs: log in, hold tokens, give them back, take them from others. */
export function accessService(parts: AccessParts): GrpcService {
  const handed = ({ issued, entry }: Handed) => ({ token: issued, principal: principalOf(entry, parts.directory) });
  return service({
    definition: AccessServiceService,
    handlers: {
      startLogin: (request) => parts.logins.start(request),
      finishLogin: async (request) => handed(await parts.logins.finish(request)),
      startDeviceLogin: () => parts.logins.startDevice(),
      pollDeviceLogin: async ({ loginId }) => {
        const answer = await parts.logins.pollDevice(loginId);
        return "issued" in answer
          ? { pending: false, intervalSeconds: 0, ...handed(answer) }
          : { ...answer, token: undefined, principal: undefined };
      },
      exchange: async (request) => handed(await parts.exchange.exchange(request)),
      whoAmI: async (_, call) => ({ principal: (await callerOf(call, parts)).principal }),
      createToken: async (request, call) => createToken(request, await callerOf(call, parts), parts),
      listTokens: async (request, call) => listTokens(request, await callerOf(call, parts), parts),
      logout: async (_, call) => {
        const { principal } = await callerOf(call, parts);
        await parts.revoker.signOut(principal.tokenId, principal.id);
        return {};
      },
      revoke: async (request, call) => revoke(request, await callerOf(call, parts), parts),
      reinstate: async ({ principalId, reason }, call) => {
        const caller = await callerOf(call, parts);
        await requirePower(caller, "revoke", parts);
        return {
          asOf: await parts.revoker.reinstate(validPrincipal(principalId), bounded(reason), caller.principal.id),
        };
      },
    },
  });
}

/** RFC 6750 section 2.1. Not from a cache: whoever was withdrawn a moment ago is refused here at once. */
async function callerOf(call: Pick<CallInfo, "metadata" | "method">, parts: AccessParts): Promise<Authenticated> {
  const values = call.metadata.get("authorization");
  const match =
    typeof values[0] === "string" && values.length === 1 ? /^bearer ([\x21-\x7e]+)$/i.exec(values[0]) : null;
  if (match === null) {
    throw new AppError("unauthenticated", call.method, "a bearer token is needed in `authorization`");
  }
  const answer = await parts.authenticator.authenticate(match[1]!, "");
  if (answer.kind === "refused") throw asAppError(answer, call.method);
  return answer;
}

async function requirePower(caller: Authenticated, action: string, parts: AccessParts): Promise<void> {
  const { allowed, message } = await parts.permits(caller.principal, action);
  if (allowed) return;
  throw new AppError("not-permitted", `identity.${action}`, message || `${caller.principal.id} may not ${action}`);
}

async function createToken(
  { label, ttlSeconds, actor }: CreateTokenRequest,
  caller: Authenticated,
  parts: AccessParts,
): Promise<CreateTokenResponse> {
  const op = "identity.createToken";
  const { limits, directory, now } = parts;
  if (!LABEL.test(label)) throw new AppError("invalid-input", op, "a label has at most 100 printable characters");
  const kind = parsePrincipalId(actor)?.kind;
  if (actor !== "" && kind !== "workload" && kind !== "agent") {
    throw new AppError("invalid-input", op, "an actor is named workload:NAME or agent:NAME");
  }
  const wantedMs = ttlSeconds === 0 ? limits.defaultTtlMs : ttlSeconds * 1000;
  if (wantedMs > limits.maxTtlMs) {
    throw new AppError("invalid-input", op, `a token may live for at most ${limits.maxTtlMs / 1000} seconds`);
  }
  const remainingMs = caller.principal.expiresAtMs - now();
  // Only a person at a login may make what outlives it: a leaked token must not prolong itself.
  const capped = isOwnLogin(caller.token) ? wantedMs : Math.min(wantedMs, remainingMs);
  if (ttlSeconds !== 0 && capped < wantedMs) {
    throw new AppError("not-permitted", op, "a token may not make another one that lives longer than itself");
  }
  const alive = directory.tokensOf(caller.principal.id).filter((token) => {
    const personal = token.issued.kind === TokenKind.TOKEN_KIND_PERSONAL && token.issued.tokenHash.length > 0;
    return personal && token.ended === undefined && token.issued.expiresAtMs > now();
  });
  if (alive.length >= limits.maxPersonalTokens) {
    throw new AppError("exhausted", op, `there are ${alive.length} personal tokens already; revoke some first`);
  }
  const { issued } = await parts.desk.personal(caller.token, { label, ttlMs: capped, actor });
  return { token: issued };
}

async function listTokens(
  { principalId }: ListTokensRequest,
  caller: Authenticated,
  parts: AccessParts,
): Promise<ListTokensResponse> {
  const wanted = principalId === "" ? caller.principal.id : validPrincipal(principalId);
  if (wanted !== caller.principal.id) {
    const audit = await parts.permits(caller.principal, "audit");
    if (!audit.allowed) await requirePower(caller, "configure", parts);
  }
  const tokens = parts.directory.tokensOf(wanted).map(infoOf);
  return { tokens: tokens.toSorted((a, b) => b.issuedAtMs - a.issuedAtMs).slice(0, 1_000) };
}

function infoOf({ issued, issuedAtMs, ended }: TokenEntry): TokenInfo {
  const { tokenId, label, principalId, kind, expiresAtMs, createdBy, actors } = issued;
  const revokedAtMs = ended?.atMs ?? 0;
  return { tokenId, label, principalId, kind, issuedAtMs, expiresAtMs, revokedAtMs, createdBy, actors };
}

async function revoke(
  { what, reason, inAdvance = false }: RevokeRequest,
  caller: Authenticated,
  parts: AccessParts,
): Promise<RevokeResponse> {
  const { revoker, directory } = parts;
  const cause = caller.principal.id;
  switch (what?.$case) {
    case "principalId": {
      const id = validPrincipal(what.value);
      await requirePower(caller, "revoke", parts);
      const { tokenIds, asOf } = await revoker.principal(id, bounded(reason), cause, inAdvance);
      return { tokenIds: [...tokenIds], asOf };
    }
    case "tokenId": {
      const entry = directory.token(what.value);
      if (entry === undefined || !isOwn(entry, caller)) await requirePower(caller, "revoke", parts);
      const { tokenIds, asOf } = await revoker.token(what.value.slice(0, 64), bounded(reason), cause);
      return { tokenIds: [...tokenIds], asOf };
    }
    case undefined:
      throw new AppError("invalid-input", "identity.revoke", "name a principal or a token");
  }
}

/** A person at a login may revoke all that goes back to them; any other token only itself and what came of it. */
function isOwn({ issued }: TokenEntry, caller: Authenticated): boolean {
  const { tokenId, id } = caller.principal;
  if (issued.tokenId === tokenId || issued.issuedWith.includes(tokenId)) return true;
  return isOwnLogin(caller.token) && lineageOf(issued).has(id);
}

function validPrincipal(id: string): string {
  if (parsePrincipalId(id) !== undefined) return id;
  throw new AppError("invalid-input", "identity.access", "a principal is named user:NAME, workload:NAME or agent:NAME");
}

function bounded(reason: string): string {
  return reason.slice(0, MAX_REASON);
}
