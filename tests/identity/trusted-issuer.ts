import { createSecretKey, generateKeyPairSync, randomUUID, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TrustedIssuer } from "@sallyport/proto/catalog_model";
import { TrustedIssuer as TrustedIssuerMessage } from "@sallyport/proto/catalog_model";
import { exportJWK, type JWTPayload, SignJWT } from "jose";
import type { Deployment } from "./deployment.ts";

/** What a CI system is to the gateway: an issuer with a key set, which signs a token for each job. */
export class CiSystem {
  readonly #server: Server;
  readonly #secret: KeyObject;
  readonly #open: KeyObject;
  readonly #ca: string;
  requests = 0;

  private constructor(server: Server, keys: { privateKey: KeyObject; publicKey: KeyObject }, ca: string) {
    this.#server = server;
    this.#secret = keys.privateKey;
    this.#open = keys.publicKey;
    this.#ca = ca;
  }

  static async start(deployment: Deployment): Promise<CiSystem> {
    const { cert, key } = await deployment.pki.issue("ci");
    const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const jwk = { ...(await exportJWK(keys.publicKey)), kid: "one", alg: "ES256" };
    const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) => {
      system.requests += 1;
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const system: CiSystem = new CiSystem(server, keys, deployment.pki.ca);
    return system;
  }

  get issuer(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  trusted(changes: Partial<TrustedIssuer> = {}): TrustedIssuer {
    return TrustedIssuerMessage.fromPartial({
      issuer: this.issuer,
      jwksUri: `${this.issuer}/jwks`,
      audience: "sallyport",
      groups: ["pipelines"],
      caRef: `file:${this.#ca}`,
      ...changes,
    });
  }

  /** A job's token, good for five minutes; `changes` with undefined leave a claim out. */
  token(changes: JWTPayload = {}, header: { alg?: string; kid?: string } = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: this.issuer,
      aud: "sallyport",
      sub: "repo:org/app:ref:main",
      jti: randomUUID(),
      iat: now,
      exp: now + 300,
      ...changes,
    };
    return new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "one", ...header }).sign(this.#secret);
  }

  /** Signed by a stranger under the known key id. */
  async strangers(): Promise<string> {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const claims = { iss: this.issuer, aud: "sallyport", sub: "job", exp: Math.floor(Date.now() / 1000) + 300 };
    return new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "one" }).sign(privateKey);
  }

  /** Signed HS256, the public key (as anyone can read it) being the secret. */
  async confused(): Promise<string> {
    const secret = createSecretKey(Buffer.from(this.#open.export({ format: "pem", type: "spki" })));
    const claims = { iss: this.issuer, aud: "sallyport", sub: "job", exp: Math.floor(Date.now() / 1000) + 300 };
    return new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(secret);
  }

  /** The same token with its ECDSA signature (r, s) rewritten to (r, n − s), which verifies just as well. */
  rewritten(token: string): string {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const [header, payload, signature] = token.split(".");
    const bytes = Buffer.from(signature!, "base64url");
    const other = order - BigInt(`0x${bytes.subarray(32).toString("hex")}`);
    bytes.write(other.toString(16).padStart(64, "0"), 32, "hex");
    return `${header}.${payload}.${bytes.toString("base64url")}`;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((done) => this.#server.close(() => done()));
  }
}
