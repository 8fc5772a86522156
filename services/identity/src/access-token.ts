import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import type { Actor } from "@sallyport/proto/principal";
import { AppError, type Secret } from "@sallyport/runtime";
import { calculateJwkThumbprint, decodeProtectedHeader, errors, exportJWK, jwtVerify, SignJWT, type JWK } from "jose";
import { claimOfActors } from "./principal-name.ts";
import { refused, type Refused } from "./refusal.ts";

/** RFC 9068: JWT profile for access tokens. */
const TYPE = "at+jwt";
const ALGORITHM = "EdDSA";

export interface AccessToken {
  readonly tokenId: string;
  readonly principalId: string;
  readonly groups: readonly string[];
  readonly actors: readonly Actor[];
  /** authentication methods (RFC 8176) as the provider said them */
  readonly amr: readonly string[];
  /** ms since 1970; 0 for workloads */
  readonly authTimeMs: number;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

interface Key {
  readonly id: string;
  readonly secret: KeyObject;
  readonly open: KeyObject;
  readonly jwk: JWK;
}

/** Signs and verifies Sallyport's own access tokens (EdDSA over Ed25519). The first key signs, all of them verify. */
export class AccessTokens {
  readonly #keys: Map<string, Key>;
  readonly #signing: Key;
  readonly #issuer: string;
  readonly #audience: string;

  private constructor(keys: readonly Key[], issuer: string, audience: string) {
    this.#keys = new Map(keys.map((key) => [key.id, key]));
    this.#signing = keys[0]!;
    this.#issuer = issuer;
    this.#audience = audience;
  }

  /** `pems`: PKCS #8, Ed25519, the signing one first. Throws `invalid-input` for another kind of key. */
  static async open(pems: readonly Secret[], issuer: string, audience: string): Promise<AccessTokens> {
    return new AccessTokens(await Promise.all(pems.map(keyOf)), issuer, audience);
  }

  sign(token: AccessToken): Promise<string> {
    const act = claimOfActors(token.actors);
    return new SignJWT({
      groups: [...token.groups],
      ...(token.authTimeMs === 0 ? {} : { auth_time: Math.floor(token.authTimeMs / 1000) }),
      ...(token.amr.length === 0 ? {} : { amr: [...token.amr] }),
      ...(act === undefined ? {} : { act }),
    })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: this.#signing.id })
      .setIssuer(this.#issuer)
      .setAudience(this.#audience)
      .setSubject(token.principalId)
      .setJti(token.tokenId)
      .setIssuedAt(Math.floor(token.issuedAtMs / 1000))
      .setExpirationTime(Math.floor(token.expiresAtMs / 1000))
      .sign(this.#signing.secret);
  }

  /** Who it was issued to; whether it still counts is for the directory to say. */
  async verify(token: string, now: Date): Promise<{ kind: "valid"; tokenId: string; principalId: string } | Refused> {
    try {
      const { kid } = decodeProtectedHeader(token);
      const key = this.#keys.get(kid ?? "");
      if (key === undefined) return refused("invalid");
      const { payload } = await jwtVerify(token, key.open, {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer: this.#issuer,
        audience: this.#audience,
        requiredClaims: ["exp", "iat", "sub", "jti"],
        currentDate: now,
      });
      return { kind: "valid", tokenId: payload.jti!, principalId: payload.sub! };
    } catch (error) {
      return refused(error instanceof errors.JWTExpired ? "expired" : "invalid");
    }
  }

  /** RFC 7517: the public halves. */
  jwks(): { keys: JWK[] } {
    return { keys: [...this.#keys.values()].map((key) => key.jwk) };
  }
}

async function keyOf(pem: Secret): Promise<Key> {
  const op = "identity.signingKey";
  let secret: KeyObject;
  try {
    secret = createPrivateKey(pem.expose());
  } catch (cause) {
    throw new AppError("invalid-input", op, "a signing key must be PKCS #8 PEM", { cause });
  }
  if (secret.asymmetricKeyType !== "ed25519") throw new AppError("invalid-input", op, "a signing key must be Ed25519");
  const open = createPublicKey(secret);
  const jwk = await exportJWK(open);
  const id = await calculateJwkThumbprint(jwk);
  return { id, secret, open, jwk: { ...jwk, kid: id, alg: ALGORITHM, use: "sig" } };
}
