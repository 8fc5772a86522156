import type { Actor } from "@sallyport/proto/principal";
import { PrincipalKind } from "@sallyport/proto/principal";

/**
 * Principal ids are `kind:name`. A user's name is lower-case letters, digits and `._@-`; a workload's may also have `:`
 * and `/`, because that is how CI systems and clusters name theirs (`repo:org/app`, `system:serviceaccount:ns:job`).
 */
const USER_NAME = /^[a-z0-9][a-z0-9._@-]{0,127}$/;
const WORKLOAD_NAME = /^[a-z0-9][a-z0-9._@:/-]{0,254}$/;

const KINDS = {
  user: { kind: PrincipalKind.PRINCIPAL_KIND_USER, name: USER_NAME },
  workload: { kind: PrincipalKind.PRINCIPAL_KIND_WORKLOAD, name: WORKLOAD_NAME },
  agent: { kind: PrincipalKind.PRINCIPAL_KIND_AGENT, name: WORKLOAD_NAME },
} as const;

export type KindName = keyof typeof KINDS;

/** The id for a claim's value, which counts without regard to case; undefined when it cannot be a name. */
export function principalId(kind: KindName, claim: unknown): string | undefined {
  if (typeof claim !== "string") return undefined;
  const name = claim.toLowerCase();
  return KINDS[kind].name.test(name) ? `${kind}:${name}` : undefined;
}

export function parsePrincipalId(id: string): { kind: KindName; name: string } | undefined {
  const at = id.indexOf(":");
  const kind = id.slice(0, at);
  if (!(kind === "user" || kind === "workload" || kind === "agent")) return undefined;
  const name = id.slice(at + 1);
  return KINDS[kind].name.test(name) ? { kind, name } : undefined;
}

export function kindOf(id: string): PrincipalKind {
  const parsed = parsePrincipalId(id);
  return parsed === undefined ? PrincipalKind.PRINCIPAL_KIND_UNSPECIFIED : KINDS[parsed.kind].kind;
}

export function nameOf(id: string): string {
  return id.slice(id.indexOf(":") + 1);
}

/** Deeper chains are refused: nobody reads them, and each link costs every later check. */
export const MAX_CHAIN = 8;

/**
 * The actor chain of a foreign token's `act` claim (RFC 8693 section 4.1), current actor first. Undefined when the claim
 * is not one: a chain that cannot be read must not be dropped in silence. Every link counts as said by `issuer`, whatever
 * `iss` it names, and none of them is ever a user: only a login makes users.
 */
export function actorsOfClaim(act: unknown, issuer: string): Actor[] | undefined {
  const actors: Actor[] = [];
  let link = act;
  while (link !== undefined) {
    if (typeof link !== "object" || link === null || actors.length === MAX_CHAIN) return undefined;
    const { sub, act: inner } = link as Record<string, unknown>;
    const named = typeof sub === "string" && /^(workload|agent):/.test(sub) && parsePrincipalId(sub) !== undefined;
    const id = named ? sub : principalId("workload", sub);
    if (id === undefined) return undefined;
    actors.push({ id, issuer });
    link = inner;
  }
  return actors;
}

/** The chain as a nested claim; undefined for an empty chain. */
export function claimOfActors(actors: readonly Actor[]): object | undefined {
  return actors.reduceRight<object | undefined>(
    (inner, { id, issuer }) => ({ sub: id, iss: issuer, ...(inner === undefined ? {} : { act: inner }) }),
    undefined,
  );
}
