import { createHash } from "node:crypto";
import type { TrustedIssuer } from "@sallyport/proto/catalog_model";
import type { Actor } from "@sallyport/proto/principal";
import { AppError, resolveSecret } from "@sallyport/runtime";
import {
  createRemoteJWKSet,
  customFetch,
  decodeJwt,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyGetKey,
} from "jose";
import type { Directory } from "./directory.ts";
import { sameIssuer } from "./group-mapping.ts";
import { newTokenId } from "./personal-token.ts";
import { actorsOfClaim, principalId } from "./principal-name.ts";
import { refused, type Refused } from "./refusal.ts";
import { trustedFetch, type TrustedFetch } from "./trusted-fetch.ts";

/** A token of a trusted issuer, checked. */
export interface Workload {
  readonly kind: "workload";
  /** follows from what was signed, so that the same token always has the same id */
  readonly tokenId: string;
  readonly principalId: string;
  readonly issuer: string;
  /** `sub`; empty when the name comes from another claim, which then is all that the issuer answers for */
  readonly subject: string;
  readonly groups: readonly string[];
  readonly actors: readonly Actor[];
  readonly expiresAtMs: number;
  /** RFC 8693 section 4.4: who may act for the subject, when the issuer restricts it */
  readonly mayAct: { readonly sub: unknown; readonly iss: unknown } | undefined;
}

/** Symmetric algorithms and `none` are not among them: a public key must never serve as an HMAC secret. */
const ALGORITHMS = [
  "EdDSA",
  "Ed25519",
  "ES256",
  "ES384",
  "ES512",
  "PS256",
  "PS384",
  "PS512",
  "RS256",
  "RS384",
  "RS512",
];
const CLOCK_TOLERANCE_S = 5;
const TIMEOUT_MS = 3_000;

interface IssuerKeys {
  readonly key: string;
  readonly jwks: JWTVerifyGetKey;
}

/** Tokens of the issuers that the configuration trusts (RFC 7519, RFC 7517). */
export class WorkloadTokens {
  readonly #directory: Directory;
  readonly #keys = new Map<string, IssuerKeys>();

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  trusted(issuer: string): TrustedIssuer | undefined {
    return this.#directory.configuration?.issuers.find((one) => sameIssuer(one.issuer, issuer));
  }

  async verify(token: string, now: Date): Promise<Workload | Refused> {
    const claimed = issuerOf(token);
    const trusted = claimed === undefined ? undefined : this.trusted(claimed);
    if (trusted === undefined || trusted.audience === "") return refused("foreign");
    let payload: JWTPayload;
    try {
      const verified = await jwtVerify(token, await this.#keysOf(trusted), {
        algorithms: ALGORITHMS,
        issuer: claimed!,
        audience: trusted.audience,
        requiredClaims: ["exp", "sub"],
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: now,
      });
      payload = verified.payload;
    } catch (error) {
      if (error instanceof errors.JWTExpired) return refused("expired");
      return refused(isUnreachable(error) ? "issuer-away" : "invalid");
    }
    return workloadOf(token, payload, trusted);
  }

  async #keysOf(trusted: TrustedIssuer): Promise<JWTVerifyGetKey> {
    const key = `${trusted.jwksUri}\n${trusted.caRef}`;
    const known = this.#keys.get(trusted.issuer);
    if (known?.key === key) return known.jwks;
    const url = new URL(trusted.jwksUri);
    if (url.protocol !== "https:")
      throw new AppError("failed-precondition", "identity.issuer", "keys are only fetched over https");
    const ca = trusted.caRef === "" ? undefined : (await resolveSecret(trusted.caRef, "an issuer's CA")).expose();
    const fetch: TrustedFetch = trustedFetch(ca, TIMEOUT_MS);
    const jwks = createRemoteJWKSet(url, {
      [customFetch]: fetch,
      timeoutDuration: TIMEOUT_MS,
      cooldownDuration: 10_000,
    });
    this.#keys.set(trusted.issuer, { key, jwks });
    return jwks;
  }
}

/** The issuer that a token claims, read without trust; undefined when it is no JWT. */
export function issuerOf(token: string): string | undefined {
  try {
    const { iss } = decodeJwt(token);
    return typeof iss === "string" && iss !== "" ? iss : undefined;
  } catch {
    return undefined;
  }
}

function workloadOf(token: string, payload: JWTPayload, trusted: TrustedIssuer): Workload | Refused {
  const claim = trusted.principalClaim === "" ? "sub" : trusted.principalClaim;
  const id = principalId("workload", payload[claim]);
  const actors = actorsOfClaim(payload["act"], trusted.issuer);
  if (id === undefined || actors === undefined) return refused("invalid");
  const mayAct = payload["may_act"] as { sub?: unknown; iss?: unknown } | undefined;
  return {
    kind: "workload",
    tokenId: tokenIdOf(token),
    principalId: id,
    issuer: trusted.issuer,
    subject: claim === "sub" ? payload.sub! : "",
    groups: trusted.groups,
    actors,
    expiresAtMs: payload.exp! * 1000,
    mayAct: mayAct === undefined ? undefined : { sub: mayAct?.sub, iss: mayAct?.iss },
  };
}

function isUnreachable(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof TypeError) return true;
  return error instanceof AppError || (error instanceof errors.JOSEError && error.code === "ERR_JOSE_GENERIC");
}

/** Only what is signed counts: an ECDSA signature can be rewritten into another valid one, and must not become a new id. */
function tokenIdOf(token: string): string {
  const signed = token.slice(0, token.lastIndexOf("."));
  return newTokenId("wt", createHash("sha256").update(signed).digest());
}
