import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { AppError, type ErrorCode, type Logger, splitHostPort } from "@sallyport/runtime";
import type { AccessTokens } from "./access-token.ts";
import type { BackchannelLogout } from "./backchannel-logout.ts";
import type { Exchange } from "./exchange.ts";

const MAX_BODY_BYTES = 64 * 1024;
const MAX_CONNECTIONS = 512;
const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const ISSUED_TYPE = "urn:ietf:params:oauth:token-type:access_token";

export interface HttpsParts {
  readonly accessTokens: AccessTokens;
  readonly exchange: Exchange;
  readonly backchannelLogout: BackchannelLogout;
  readonly issuer: string;
  readonly log: Logger;
  readonly now: () => number;
}

interface Answer {
  readonly status: number;
  readonly body?: object;
  readonly cacheSeconds?: number;
}

/**
 * What is said over plain HTTPS: keys (RFC 7517), metadata (RFC 8414), token exchange for jobs that have only curl
 * (RFC 8693), and the provider's back-channel logout. Bodies, headers, times and connections are bounded.
 */
export async function listenHttps(
  at: { listen: string; cert: string; key: string },
  parts: HttpsParts,
): Promise<{ address: string; close: () => Promise<void> }> {
  const [cert, key] = await Promise.all([readFile(at.cert), readFile(at.key)]);
  const server = createServer({
    cert,
    key,
    minVersion: "TLSv1.2",
    requestTimeout: 10_000,
    headersTimeout: 5_000,
    keepAliveTimeout: 5_000,
    handshakeTimeout: 5_000,
    maxHeaderSize: 16 * 1024,
    connectionsCheckingInterval: 1_000,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("request", (request, response) => void respond(request, response, parts));
  const { host, port } = splitHostPort(at.listen);
  await listen(server, host, port);
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()));
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 500).unref();
      await closed;
    },
  };
}

async function respond(request: IncomingMessage, response: ServerResponse, parts: HttpsParts): Promise<void> {
  let answer: Answer;
  try {
    answer = await route(request, parts);
  } catch (error) {
    const app = AppError.from(error, "identity.https");
    if (app.code === "internal") parts.log.error({ err: app }, "https request failed");
    answer = { status: app.code === "unavailable" ? 503 : 500, body: { error: "temporarily_unavailable" } };
  }
  const text = answer.body === undefined ? "" : JSON.stringify(answer.body);
  response.writeHead(answer.status, {
    ...(text === "" ? {} : { "content-type": "application/json" }),
    "content-length": Buffer.byteLength(text),
    "cache-control": answer.cacheSeconds === undefined ? "no-store" : `public, max-age=${answer.cacheSeconds}`,
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000",
    // What was not read of a body must not become the next request.
    ...(request.complete ? {} : { connection: "close" }),
  });
  response.end(text);
}

async function route(request: IncomingMessage, parts: HttpsParts): Promise<Answer> {
  const path = (request.url ?? "").split("?")[0];
  const { method } = request;
  switch (path) {
    case "/.well-known/jwks.json":
      return method === "GET" ? { status: 200, body: parts.accessTokens.jwks(), cacheSeconds: 300 } : { status: 405 };
    case "/.well-known/oauth-authorization-server":
      return method === "GET" ? { status: 200, body: metadata(parts.issuer), cacheSeconds: 300 } : { status: 405 };
    case "/token":
      return method === "POST" ? token(request, parts) : { status: 405 };
    case "/backchannel-logout":
      return method === "POST" ? logout(request, parts) : { status: 405 };
    default:
      return { status: 404 };
  }
}

/** RFC 8414 */
function metadata(issuer: string): object {
  return {
    issuer,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    grant_types_supported: [GRANT],
    token_endpoint_auth_methods_supported: ["none"],
    response_types_supported: [],
  };
}

async function token(request: IncomingMessage, { exchange, now }: HttpsParts): Promise<Answer> {
  const form = await readForm(request);
  if (form === undefined) return oauthError("invalid_request", "a form of at most 64 KiB, each field once, is needed");
  if (form.get("grant_type") !== GRANT) return oauthError("unsupported_grant_type", `only ${GRANT} is supported`);
  const requested = form.get("requested_token_type") ?? ISSUED_TYPE;
  if (requested !== ISSUED_TYPE && requested !== "urn:ietf:params:oauth:token-type:jwt") {
    return oauthError("invalid_request", "the requested token type is not supported");
  }
  try {
    const { issued } = await exchange.exchange({
      subjectToken: form.get("subject_token") ?? "",
      subjectTokenType: form.get("subject_token_type") ?? "",
      actorToken: form.get("actor_token") ?? "",
      actorTokenType: form.get("actor_token_type") ?? "",
    });
    return {
      status: 200,
      body: {
        access_token: issued.token,
        issued_token_type: requested,
        token_type: "Bearer",
        expires_in: Math.floor((issued.expiresAtMs - now()) / 1000),
      },
    };
  } catch (error) {
    const { code, message } = AppError.from(error, "identity.token");
    if (code === "internal" || code === "unavailable" || code === "deadline") throw error;
    return oauthError(OAUTH_ERROR[code] ?? "invalid_request", message);
  }
}

/** RFC 8693 section 2.2.2: a token that is not accepted is `invalid_request`. */
const OAUTH_ERROR: Partial<Record<ErrorCode, string>> = { "not-permitted": "unauthorized_client" };

function oauthError(error: string, description: string): Answer {
  return { status: 400, body: { error, error_description: description } };
}

async function logout(request: IncomingMessage, { backchannelLogout }: HttpsParts): Promise<Answer> {
  const form = await readForm(request);
  const logoutToken = form?.get("logout_token") ?? "";
  if (logoutToken === "") return oauthError("invalid_request", "a logout token is needed");
  const outcome = await backchannelLogout.handle(logoutToken);
  return outcome.kind === "done" ? { status: 200 } : oauthError("invalid_request", outcome.why);
}

/** Undefined when it is too long, not a form, or says one field twice (RFC 6749 section 3.2). */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const type = (request.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  const form = new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
  const names = [...form.keys()];
  return new Set(names).size === names.length ? form : undefined;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new AppError("unavailable", "identity.https", `cannot listen on ${host}:${port}: is the port taken?`, {
          cause,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}
