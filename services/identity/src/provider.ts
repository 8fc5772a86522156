import { AppError } from "@sallyport/runtime";
import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify, type JWTPayload } from "jose";
import * as oidc from "openid-client";
import { groupsOfClaim } from "./group-mapping.ts";
import type { TrustedFetch } from "./trusted-fetch.ts";

export interface ProviderConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
  /** claims of the ID token or of UserInfo */
  readonly nameClaim: string;
  readonly groupsClaim: string;
  /** values of `amr` or `acr` that say that more than one factor was used */
  readonly mfaValues: readonly string[];
  readonly authorizationParameters: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** What the provider says of a person who has just logged in. */
export interface ProviderIdentity {
  readonly issuer: string;
  readonly subject: string;
  /** as the claim has it, not yet checked */
  readonly name: unknown;
  readonly groups: readonly string[];
  readonly authTimeMs: number;
  readonly amr: readonly string[];
  readonly mfa: boolean;
  readonly sessionId: string;
  readonly refreshToken: string | undefined;
}

export type Refreshed =
  | { readonly kind: "refreshed"; readonly groups: readonly string[]; readonly refreshToken: string | undefined }
  /** the provider refuses: signed out everywhere, disabled, or the refresh token is no longer good */
  | { readonly kind: "gone" }
  | { readonly kind: "unreachable"; readonly cause: unknown };

export type DevicePoll =
  | { readonly kind: "pending"; readonly slowDown: boolean }
  | { readonly kind: "refused"; readonly error: string }
  | { readonly kind: "identity"; readonly identity: ProviderIdentity };

/** The OpenID provider, as its relying party sees it (OpenID Connect Core 1.0, RFC 7636, RFC 8628). */
export class Provider {
  readonly #config: ProviderConfig;
  readonly #secret: string;
  readonly #fetch: TrustedFetch;
  #discovered: Promise<oidc.Configuration> | undefined;
  #jwks: ReturnType<typeof createRemoteJWKSet> | undefined;

  constructor(config: ProviderConfig, clientSecret: string, fetch: TrustedFetch) {
    this.#config = config;
    this.#secret = clientSecret;
    this.#fetch = fetch;
  }

  async authorizationUrl(request: {
    redirectUri: string;
    codeChallenge: string;
    state: string;
    nonce: string;
  }): Promise<URL> {
    return oidc.buildAuthorizationUrl(await this.#discover(), {
      ...this.#config.authorizationParameters,
      scope: this.#config.scope,
      redirect_uri: request.redirectUri,
      code_challenge: request.codeChallenge,
      code_challenge_method: "S256",
      state: request.state,
      nonce: request.nonce,
    });
  }

  /** Throws `unauthenticated` when the provider, or a check of what it sent, refuses. */
  async finishLogin(
    callback: URL,
    checks: { codeVerifier: string; state: string; nonce: string },
  ): Promise<ProviderIdentity> {
    const configuration = await this.#discover();
    try {
      const tokens = await oidc.authorizationCodeGrant(configuration, callback, {
        pkceCodeVerifier: checks.codeVerifier,
        expectedState: checks.state,
        expectedNonce: checks.nonce,
        idTokenExpected: true,
      });
      return await this.#identity(configuration, tokens);
    } catch (error) {
      throw loginError(error);
    }
  }

  async startDevice(): Promise<oidc.DeviceAuthorizationResponse> {
    const configuration = await this.#discover();
    try {
      return await oidc.initiateDeviceAuthorization(configuration, { scope: this.#config.scope });
    } catch (error) {
      throw loginError(error);
    }
  }

  async pollDevice(deviceCode: string): Promise<DevicePoll> {
    const configuration = await this.#discover();
    try {
      const grant = "urn:ietf:params:oauth:grant-type:device_code";
      const tokens = await oidc.genericGrantRequest(configuration, grant, { device_code: deviceCode });
      return { kind: "identity", identity: await this.#identity(configuration, tokens) };
    } catch (error) {
      const code = error instanceof oidc.ResponseBodyError ? error.error : undefined;
      if (code === "authorization_pending") return { kind: "pending", slowDown: false };
      if (code === "slow_down") return { kind: "pending", slowDown: true };
      if (code === "access_denied" || code === "expired_token" || code === "invalid_grant") {
        return { kind: "refused", error: code };
      }
      throw loginError(error);
    }
  }

  /** The person's groups as they are now. Never throws: what to do without an answer is the caller's question. */
  async refresh(refreshToken: string, subject: string): Promise<Refreshed> {
    try {
      const configuration = await this.#discover();
      const tokens = await oidc.refreshTokenGrant(configuration, refreshToken);
      const claims = await this.#claims(configuration, tokens, subject);
      const groups = groupsOfClaim(claims[this.#config.groupsClaim]);
      if (groups === undefined) return { kind: "unreachable", cause: new Error("the groups claim is not a list") };
      const rotated = tokens.refresh_token;
      return { kind: "refreshed", groups, refreshToken: rotated === refreshToken ? undefined : rotated };
    } catch (error) {
      if (error instanceof oidc.ResponseBodyError && error.error === "invalid_grant") return { kind: "gone" };
      return { kind: "unreachable", cause: error };
    }
  }

  /** The claims of a logout token whose signature, issuer, audience and age are right (OpenID Connect Back-Channel Logout 1.0, 2.6). */
  async verifyLogoutToken(token: string, now: Date): Promise<JWTPayload> {
    const metadata = (await this.#discover()).serverMetadata();
    this.#jwks ??= createRemoteJWKSet(new URL(metadata.jwks_uri ?? ""), {
      [joseFetch]: this.#fetch,
      timeoutDuration: this.#config.timeoutMs,
    });
    const { payload } = await jwtVerify(token, this.#jwks, {
      algorithms: metadata.id_token_signing_alg_values_supported?.filter(isAsymmetric) ?? [],
      issuer: metadata.issuer,
      audience: this.#config.clientId,
      requiredClaims: ["iat", "jti", "events"],
      maxTokenAge: 300,
      clockTolerance: 10,
      currentDate: now,
    });
    return payload;
  }

  async issuer(): Promise<string> {
    return (await this.#discover()).serverMetadata().issuer;
  }

  #discover(): Promise<oidc.Configuration> {
    this.#discovered ??= this.#discovery().catch((cause: unknown) => {
      // Asked again at the next use: the provider may start later than we do.
      this.#discovered = undefined;
      throw new AppError("unavailable", "identity.provider", "the identity provider cannot be reached", { cause });
    });
    return this.#discovered;
  }

  async #discovery(): Promise<oidc.Configuration> {
    const configuration = await oidc.discovery(
      new URL(this.#config.issuer),
      this.#config.clientId,
      { [oidc.clockTolerance]: 10 },
      oidc.ClientSecretBasic(this.#secret),
      { [oidc.customFetch]: this.#fetch, timeout: Math.ceil(this.#config.timeoutMs / 1000) },
    );
    // The ID token's signature is checked too, though it comes straight from the provider over TLS.
    oidc.enableNonRepudiationChecks(configuration);
    return configuration;
  }

  async #identity(
    configuration: oidc.Configuration,
    tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
  ): Promise<ProviderIdentity> {
    const idToken = tokens.claims();
    if (idToken === undefined) throw new Error("the provider sent no ID token");
    const claims = await this.#claims(configuration, tokens, idToken.sub);
    const groups = groupsOfClaim(claims[this.#config.groupsClaim]);
    if (groups === undefined) throw new Error("the groups claim is not a list of at most 500 names");
    const amr = Array.isArray(idToken["amr"])
      ? idToken["amr"].filter((one) => typeof one === "string").slice(0, 16)
      : [];
    const said = [...amr, ...(typeof idToken["acr"] === "string" ? [idToken["acr"]] : [])];
    return {
      issuer: idToken.iss,
      subject: idToken.sub,
      name: claims[this.#config.nameClaim],
      groups,
      authTimeMs: (idToken.auth_time ?? idToken.iat) * 1000,
      amr,
      mfa: said.some((one) => this.#config.mfaValues.includes(one)),
      sessionId: typeof idToken["sid"] === "string" ? idToken["sid"].slice(0, 256) : "",
      refreshToken: tokens.refresh_token,
    };
  }

  /** The ID token's claims and, where the provider has it, UserInfo's, which are the newer ones. */
  async #claims(
    configuration: oidc.Configuration,
    tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
    subject: string,
  ): Promise<Record<string, unknown>> {
    const idToken = tokens.claims();
    if (idToken !== undefined && idToken.sub !== subject) throw new Error("the provider answered for another subject");
    if (configuration.serverMetadata().userinfo_endpoint === undefined) return { ...idToken };
    const userInfo = await oidc.fetchUserInfo(configuration, tokens.access_token, subject);
    return { ...idToken, ...userInfo };
  }
}

export function isAsymmetric(algorithm: string): boolean {
  return /^(EdDSA|Ed25519|ES(256|384|512)|[RP]S(256|384|512))$/.test(algorithm);
}

/** The provider's error code is public; its description and everything else stay in the cause. */
function loginError(error: unknown): AppError {
  const op = "identity.login";
  if (error instanceof AppError) return error;
  if (error instanceof oidc.AuthorizationResponseError || error instanceof oidc.ResponseBodyError) {
    const code = /^[a-z_]{1,40}$/.test(error.error) ? error.error : "error";
    return new AppError("unauthenticated", op, `the identity provider refused the login: ${code}`, { cause: error });
  }
  const timedOut =
    error instanceof oidc.ClientError && (error.code === "OAUTH_TIMEOUT" || error.code === "OAUTH_ABORT");
  if (error instanceof TypeError || timedOut) {
    return new AppError("unavailable", op, "the identity provider cannot be reached", { cause: error });
  }
  return new AppError("unauthenticated", op, "what the identity provider sent does not belong to this login", {
    cause: error,
  });
}
