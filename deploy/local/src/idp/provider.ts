import { createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { Provider, type Account as ProviderAccount, type Configuration } from "oidc-provider";
import { Agent, fetch as undiciFetch } from "undici";
import { AccountsFile, subjectOf, type Account } from "./accounts.ts";
import type { IdpConfig } from "./config.ts";
import { FileStore } from "./file-store.ts";
import { Interactions } from "./interactions.ts";
import { escapeHtml, page } from "./pages.ts";

export interface IdentityProvider {
  readonly issuer: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface ProviderHooks {
  /** what an operator should read; never a credential */
  readonly onProblem: (message: string) => void;
}

/** Starts the local OpenID provider: pages, endpoints, back-channel logout. Secrets are given resolved. */
export async function startIdentityProvider(
  config: IdpConfig,
  clientSecret: string,
  hooks: ProviderHooks,
): Promise<IdentityProvider> {
  const accounts = new AccountsFile(config.accountsFile, hooks.onProblem);
  const store = new FileStore(config.stateFile);
  const server = createServer({
    cert: readFileSync(config.tls.cert),
    key: readFileSync(config.tls.key),
    minVersion: "TLSv1.2",
    requestTimeout: 10_000,
    headersTimeout: 5_000,
    maxHeaderSize: 32 * 1024,
  });
  const port = await listen(server, config.listen);
  // A free port is only known now, and it is part of the issuer.
  const issuer = config.issuer ?? `https://localhost:${port}`;
  const agent = new Agent(
    config.client.ca === undefined ? {} : { connect: { ca: readFileSync(config.client.ca, "utf8") } },
  );
  const provider = new Provider(issuer, configuration(config, clientSecret, accounts, store, agent));
  provider.on("backchannel.error", (_ctx, error) =>
    hooks.onProblem(`back-channel logout was not delivered: ${error.message}`),
  );
  provider.on("server_error", (_ctx, error) => hooks.onProblem(`server error: ${error.message}`));
  const interactions = new Interactions(provider, accounts);
  const callback = provider.callback();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!(await interactions.handle(request, response))) await callback(request, response);
  };
  server.on("request", (request, response) => {
    void answer(request, response);
  });
  return {
    issuer,
    port,
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await agent.close();
      store.flush();
    },
  };
}

function configuration(
  config: IdpConfig,
  clientSecret: string,
  accounts: AccountsFile,
  store: FileStore,
  agent: Agent,
): Configuration {
  const { jwk, cookieKey } = keysOf(config.keysFile);
  const { client } = config;
  return {
    adapter: store.adapter,
    jwks: { keys: [jwk] },
    cookies: { keys: [cookieKey] },
    clients: [
      {
        client_id: client.id,
        client_secret: clientSecret,
        client_name: "Sallyport",
        application_type: "native",
        redirect_uris: ["http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"],
        grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        response_types: ["code"],
        token_endpoint_auth_method: "client_secret_basic",
        id_token_signed_response_alg: "ES256",
        ...(client.backchannelLogoutUri === undefined
          ? {}
          : { backchannel_logout_uri: client.backchannelLogoutUri, backchannel_logout_session_required: true }),
      },
    ],
    // As an ID token is read from the token endpoint only, its claims may as well be in it.
    conformIdTokenClaims: false,
    claims: {
      openid: ["sub", "amr", "auth_time"],
      profile: ["preferred_username", "name"],
      email: ["email", "email_verified"],
      groups: ["groups"],
      sid: null,
    },
    scopes: ["openid", "offline_access"],
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      deviceFlow: { enabled: true, ...DEVICE_PAGES },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = page(
            "Sign out?",
            `${form}<button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Sign out</button>`,
          );
        },
        postLogoutSuccessSource: (ctx) => {
          ctx.body = page("Signed out", "<p>You can close this page.</p>");
        },
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) => {
      const account = accounts.byId(id);
      return account === undefined ? undefined : claimsOf(account);
    },
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      DeviceCode: 600,
      IdToken: 600,
      Interaction: 600,
      Session: 14 * 86_400,
      Grant: 30 * 86_400,
      RefreshToken: 30 * 86_400,
    },
    renderError: (ctx, out) => {
      ctx.type = "html";
      ctx.body = page("That did not work", `<p>${escapeHtml(out.error_description ?? out.error)}</p>`);
    },
    // The library's own fetch refuses private addresses, which is where a local relying party lives.
    fetch: (async (url: URL | string, init?: RequestInit) => {
      const { dispatcher: _refusing, ...rest } = (init ?? {}) as RequestInit & { dispatcher?: unknown };
      return undiciFetch(url, { ...(rest as object), dispatcher: agent });
    }) as NonNullable<Configuration["fetch"]>,
  };
}

const DEVICE_PAGES: NonNullable<NonNullable<Configuration["features"]>["deviceFlow"]> = {
  userCodeInputSource: (ctx, form, _out, error) => {
    const problem =
      error === undefined ? "" : `<p class="problem" role="alert">That code is not right, or it has expired.</p>`;
    ctx.body = page(
      "Enter the code",
      `<p>Enter the code that your terminal shows.</p>${problem}${form}<button type="submit" form="op.deviceInputForm">Continue</button>`,
    );
  },
  userCodeConfirmSource: (ctx, form, _client, _info, userCode) => {
    ctx.body = page(
      "Is this your code?",
      `<p><code>${escapeHtml(userCode)}</code></p><p>Continue only when your own terminal shows it.</p>${form}
<button type="submit" form="op.deviceConfirmForm" autofocus>Continue</button>
<button type="submit" form="op.deviceConfirmForm" class="quiet" name="abort" value="yes">Cancel</button>`,
    );
  },
  successSource: (ctx) => {
    ctx.body = page("Signed in", "<p>You can close this page and go back to your terminal.</p>");
  },
};

function claimsOf(account: Account): ProviderAccount {
  const sub = subjectOf(account);
  return {
    accountId: sub,
    claims: () => ({
      sub,
      preferred_username: account.name,
      name: account.name,
      email: account.email ?? `${account.name}@example.com`,
      email_verified: true,
      groups: account.groups,
    }),
  };
}

/** The provider's signing key and cookie key: made once and kept, so that a restart leaves sessions and tokens valid. */
function keysOf(path: string): { jwk: Record<string, string>; cookieKey: string } {
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const saved = {
      pem: privateKey.export({ format: "pem", type: "pkcs8" }),
      cookieKey: randomBytes(32).toString("base64url"),
    };
    writeFileSync(path, JSON.stringify(saved), { mode: 0o600 });
  }
  const { pem, cookieKey } = JSON.parse(readFileSync(path, "utf8")) as { pem: string; cookieKey: string };
  const jwk = createPrivateKey(pem).export({ format: "jwk" }) as Record<string, string>;
  return { jwk: { ...jwk, use: "sig", alg: "ES256" }, cookieKey };
}

function listen(server: Server, address: string): Promise<number> {
  const at = address.lastIndexOf(":");
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(Number(address.slice(at + 1)), address.slice(0, at).replace(/^\[|\]$/g, ""), () => {
      server.removeListener("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
