import { createHash, randomBytes } from "node:crypto";
import type {
  FinishLoginRequest,
  PollDeviceLoginResponse,
  StartDeviceLoginResponse,
  StartLoginRequest,
  StartLoginResponse,
} from "@sallyport/proto/identity";
import { AppError } from "@sallyport/runtime";
import { z } from "zod";
import type { Provider } from "./provider.ts";
import type { Purpose, Sealer } from "./seal.ts";
import type { Handed, TokenDesk } from "./token-desk.ts";

const LOGIN_TTL_MS = 10 * 60_000;
const MAX_URL = 8 * 1024;
const LOOPBACK = /^http:\/\/(127\.0\.0\.1|\[::1\]):([1-9]\d{0,4})\/[A-Za-z0-9/_-]{0,64}$/;
const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/;

const loginState = z.object({
  state: z.string(),
  nonce: z.string(),
  codeChallenge: z.string(),
  redirectUri: z.string(),
  expiresAtMs: z.number(),
});
const deviceState = z.object({ deviceCode: z.string(), intervalSeconds: z.number(), expiresAtMs: z.number() });

export interface LoginParts {
  readonly provider: Provider;
  readonly sealer: Sealer;
  readonly desk: TokenDesk;
  readonly now: () => number;
}

/**
 * Logins of people who have no token yet. What must be remembered between two calls travels sealed in `login_id`: nothing
 * is kept for strangers, any process can finish what another one began, and a restart in between does not matter.
 */
export class Logins {
  readonly #parts: LoginParts;

  constructor(parts: LoginParts) {
    this.#parts = parts;
  }

  /** The code comes back to a port of the person's own machine (RFC 8252 section 7.3), with PKCE (RFC 7636, S256). */
  async start({ redirectUri, codeChallenge }: StartLoginRequest): Promise<StartLoginResponse> {
    if (!LOOPBACK.test(redirectUri)) {
      throw invalid("the redirect URI must be http://127.0.0.1:PORT/PATH or http://[::1]:PORT/PATH");
    }
    if (!CHALLENGE.test(codeChallenge)) throw invalid("the code challenge must be an S256 one (43 characters)");
    const state = randomBytes(24).toString("base64url");
    const nonce = randomBytes(24).toString("base64url");
    const url = await this.#parts.provider.authorizationUrl({ redirectUri, codeChallenge, state, nonce });
    const expiresAtMs = this.#parts.now() + LOGIN_TTL_MS;
    return {
      loginId: this.#seal("login", { state, nonce, codeChallenge, redirectUri, expiresAtMs }),
      authorizationUrl: url.href,
    };
  }

  async finish({ loginId, callbackUrl, codeVerifier }: FinishLoginRequest): Promise<Handed> {
    const login = this.#open("login", loginId, loginState);
    const challenge = createHash("sha256").update(codeVerifier).digest("base64url");
    if (!VERIFIER.test(codeVerifier) || challenge !== login.codeChallenge) {
      throw new AppError(
        "unauthenticated",
        "identity.login",
        "the code verifier is not the one that the login began with",
      );
    }
    const callback = URL.parse(callbackUrl.slice(0, MAX_URL));
    if (callback === null || `${callback.origin}${callback.pathname}` !== login.redirectUri) {
      throw invalid("the callback URL is not the one that the login began with");
    }
    const { state, nonce } = login;
    return this.#parts.desk.login(await this.#parts.provider.finishLogin(callback, { codeVerifier, state, nonce }));
  }

  async startDevice(): Promise<StartDeviceLoginResponse> {
    const begun = await this.#parts.provider.startDevice();
    const expiresAtMs = this.#parts.now() + begun.expires_in * 1000;
    const intervalSeconds = Math.min(60, Math.max(1, begun.interval ?? 5));
    return {
      loginId: this.#seal("device-login", { deviceCode: begun.device_code, intervalSeconds, expiresAtMs }),
      userCode: begun.user_code,
      verificationUri: begun.verification_uri,
      verificationUriComplete: begun.verification_uri_complete ?? "",
      intervalSeconds,
      expiresAtMs,
    };
  }

  /** `pending` until the person has confirmed; the interval grows when the provider says `slow_down` (RFC 8628 3.5). */
  async pollDevice(loginId: string): Promise<Handed | Pick<PollDeviceLoginResponse, "pending" | "intervalSeconds">> {
    const { deviceCode, intervalSeconds } = this.#open("device-login", loginId, deviceState);
    const answer = await this.#parts.provider.pollDevice(deviceCode);
    switch (answer.kind) {
      case "pending":
        return { pending: true, intervalSeconds: intervalSeconds + (answer.slowDown ? 5 : 0) };
      case "refused": {
        const denied = answer.error === "access_denied";
        const sentence = denied
          ? "the login was refused at the identity provider"
          : "the login has expired; start again";
        throw new AppError("unauthenticated", "identity.deviceLogin", sentence);
      }
      case "identity":
        return this.#parts.desk.login(answer.identity);
    }
  }

  #seal(purpose: Purpose, state: object): string {
    return this.#parts.sealer.seal(purpose, "", JSON.stringify(state)).toString("base64url");
  }

  #open<T extends { expiresAtMs: number }>(purpose: Purpose, loginId: string, schema: z.ZodType<T>): T {
    const sealed = loginId.length <= MAX_URL ? Buffer.from(loginId, "base64url") : Buffer.alloc(0);
    const opened = this.#parts.sealer.open(purpose, "", sealed);
    const state = opened === undefined ? undefined : schema.parse(JSON.parse(opened));
    if (state === undefined || state.expiresAtMs <= this.#parts.now()) {
      throw new AppError("unauthenticated", "identity.login", "this login is not known or has expired; start again");
    }
    return state;
  }
}

function invalid(sentence: string): AppError {
  return new AppError("invalid-input", "identity.login", sentence);
}
