import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  credentials,
  Metadata,
} from "@grpc/grpc-js";
import { AppError } from "./app-error.ts";
import { fromStatus } from "./grpc-status.ts";
import { injectTrace } from "./trace-context.ts";

export type ClientConstructor<T extends Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => T;

const channel: ChannelOptions = {
  "grpc.keepalive_time_ms": 5_000,
  "grpc.keepalive_timeout_ms": 2_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.client_idle_timeout_ms": 2_147_483_647,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_http_proxy": 0,
  "grpc.max_receive_message_length": 16 * 1024 * 1024,
  "grpc-node.flow_control_window": 1024 * 1024,
};

export interface ClientIdentity {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/**
 * A client that shows our certificate, and takes only a server whose certificate is for `peer`: the catalog's
 * certificate does not open a door to someone who asked for `policy`.
 */
export function internalClient<T extends Client>(
  ctor: ClientConstructor<T>,
  peer: string,
  address: string,
  identity: ClientIdentity,
): T {
  return new ctor(address, credentials.createSsl(identity.ca, identity.key, identity.cert), {
    ...channel,
    "grpc.ssl_target_name_override": peer,
    "grpc.default_authority": peer,
  });
}

/** A client of a public port: TLS, no certificate; the caller adds `authorization` metadata (`bearer`). */
export function publicClient<T extends Client>(ctor: ClientConstructor<T>, address: string, ca?: Buffer): T {
  // TLS has no server name for an IP address (RFC 6066 section 3); a loopback address is asked for as `localhost`.
  const loopback = /^(127\.[\d.]+|\[::1\]):/.test(address);
  return new ctor(address, credentials.createSsl(ca ?? null), {
    ...channel,
    ...(loopback ? { "grpc.ssl_target_name_override": "localhost" } : {}),
  });
}

/** Metadata that shows a token. */
export function bearer(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

type UnaryMethod<Q, R> = (
  request: Q,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: never, response: R) => void,
) => ClientUnaryCall;
type UnaryName<C> = { [K in keyof C]: C[K] extends (...args: never[]) => ClientUnaryCall ? K : never }[keyof C] &
  string;
/** `infer` takes the last of ts-proto's overloads: (request, metadata, options, callback). */
type ArgumentsOf<M> = M extends (...args: infer A) => ClientUnaryCall ? A : never;
type RequestOf<M> = ArgumentsOf<M>[0];
type ResponseOf<M> =
  ArgumentsOf<M> extends [unknown, unknown, unknown, (error: never, response: infer R) => void] ? R : never;

export interface CallSettings {
  /** from now; the server refuses unary calls without one */
  deadlineMs: number;
  signal?: AbortSignal;
  metadata?: Metadata;
  /**
   * Wait within the deadline for a peer that is away just now (default), so that a restart of it is not an error;
   * false: fail with `unavailable` at once.
   */
  wait?: boolean;
}

/** One unary call. Throws AppError with the peer's code and sentence. */
export function callUnary<C extends Client, K extends UnaryName<C>>(
  client: C,
  method: K,
  request: RequestOf<C[K]>,
  settings: CallSettings,
): Promise<ResponseOf<C[K]>> {
  const { signal, deadlineMs } = settings;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AppError("cancelled", method, "cancelled"));
    const invoke = client[method] as unknown as UnaryMethod<unknown, ResponseOf<C[K]>>;
    const call = invoke.call(client, request, metadataOf(settings), { deadline: Date.now() + deadlineMs }, ((
      error: unknown,
      response: ResponseOf<C[K]>,
    ) => {
      signal?.removeEventListener("abort", cancel);
      if (error) reject(peerError(error, method, signal));
      else resolve(response);
    }) as never);
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel);
  });
}

type StreamMethod<Q, R> = (request: Q, metadata?: Metadata, options?: Partial<CallOptions>) => ClientReadableStream<R>;
type StreamName<C> = {
  [K in keyof C]: C[K] extends (...args: never[]) => ClientReadableStream<unknown> ? K : never;
}[keyof C] &
  string;

/** A server stream as an async iterable. Throws AppError; ends the call when the consumer leaves or `signal` aborts. */
export async function* callStream<C extends Client, K extends StreamName<C>>(
  client: C,
  method: K,
  request: C[K] extends StreamMethod<infer Q, infer _R> ? Q : never,
  settings: Partial<CallSettings> = {},
): AsyncGenerator<C[K] extends StreamMethod<infer _Q, infer R> ? R : never, void, undefined> {
  const { signal, deadlineMs } = settings;
  if (signal?.aborted) throw new AppError("cancelled", method, "cancelled");
  const invoke = client[method] as unknown as StreamMethod<unknown, never>;
  const call = invoke.call(
    client,
    request,
    metadataOf(settings),
    deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
  );
  const cancel = () => call.cancel();
  signal?.addEventListener("abort", cancel);
  try {
    for await (const message of call) yield message as never;
  } catch (error) {
    throw peerError(error, method, signal);
  } finally {
    signal?.removeEventListener("abort", cancel);
    call.on("error", () => undefined);
    call.cancel();
  }
}

/** A call that ends as cancelled though nobody here has cancelled it: the peer is going away. */
function peerError(error: unknown, method: string, signal: AbortSignal | undefined): AppError {
  const app = fromStatus(error, method);
  if (app.code !== "cancelled" || signal?.aborted) return app;
  return new AppError("unavailable", method, `${method}: the service ended the call`, { cause: error });
}

function metadataOf({ metadata, wait = true }: Partial<CallSettings>): Metadata {
  const all = metadata?.clone() ?? new Metadata();
  all.setOptions({ waitForReady: wait });
  injectTrace({ set: (key, value) => all.set(key, value), get: () => undefined });
  return all;
}
