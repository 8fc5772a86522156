/** Handlers as plain async functions; what every call needs (peer, deadline, errors, traces) is done around them, once. */
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import {
  context,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { AppError } from "./app-error.ts";
import { toStatus } from "./grpc-status.ts";
import type { Logger } from "./log.ts";
import { extractTrace } from "./trace-context.ts";

/** What a handler may know about its call. */
export interface CallInfo {
  /** `ApprovalService/Use` and the like */
  method: string;
  /** the peer's certificate name (CN) on the internal port; "" on the public one */
  peer: string;
  /** the peer's network address */
  address: string;
  metadata: Metadata;
  /** aborted when the call is cancelled, its deadline has passed, or it has ended */
  signal: AbortSignal;
  /** ms since 1970; Infinity for streams without one */
  deadline: number;
}

type MethodOf<Q, R> = { requestDeserialize(value: Buffer): Q; responseSerialize(value: R): Buffer };
type Handler<M> =
  M extends MethodOf<infer Q, infer R>
    ? M extends { requestStream: false; responseStream: false }
      ? (request: Q, call: CallInfo) => Promise<R> | R
      : M extends { requestStream: false; responseStream: true }
        ? (request: Q, call: CallInfo) => AsyncIterable<R>
        : M extends { requestStream: true; responseStream: true }
          ? (stream: ServerDuplexStream<Q, R>, call: CallInfo) => void | Promise<void>
          : never
    : never;
export type Handlers<D> = { [K in keyof D]: Handler<D[K]> };

/** A service's definition with its handlers, ready for `serve`. */
export interface GrpcService {
  definition: ServiceDefinition;
  handlers: Record<string, unknown>;
}

/** Unary: `async (request, call) => response`; server stream: `async function*`; bidirectional: the raw duplex. */
export function service<D extends object>({
  definition,
  handlers,
}: {
  definition: D;
  handlers: Handlers<D>;
}): GrpcService {
  return { definition: definition as unknown as ServiceDefinition, handlers: handlers };
}

/** What a port demands of its callers. */
export interface Admission {
  /** may a certificate's name call? undefined: the public port, which asks for no certificate */
  allows: ((name: string) => boolean) | undefined;
  log: Logger;
  tracer: Tracer;
}

type AnyCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

export function implement({ definition, handlers }: GrpcService, admission: Admission): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(definition) as Array<[string, MethodDefinition<unknown, unknown>]>) {
    const handler = handlers[name];
    if (typeof handler !== "function") throw new AppError("internal", "runtime.serve", `no handler for ${method.path}`);
    if (method.requestStream) implementation[name] = duplex(method.path.slice(1), handler as never, admission);
    else if (method.responseStream)
      implementation[name] = serverStream(method.path.slice(1), handler as never, admission);
    else implementation[name] = unary(method.path.slice(1), handler as never, admission);
  }
  return implementation;
}

function unary(
  method: string,
  handler: (request: unknown, call: CallInfo) => Promise<unknown>,
  admission: Admission,
): handleUnaryCall<unknown, unknown> {
  return (call, callback) => {
    void run(method, call, admission, async (info) => {
      if (!Number.isFinite(info.deadline)) throw new AppError("invalid-input", method, "the call needs a deadline");
      callback(null, await handler(call.request, info));
    }).then((error) => error !== undefined && callback(toStatus(error)));
  };
}

function serverStream(
  method: string,
  handler: (request: unknown, call: CallInfo) => AsyncIterable<unknown>,
  admission: Admission,
): handleServerStreamingCall<unknown, unknown> {
  return (call) => {
    call.on("error", () => undefined); // a broken stream shows as `cancelled`
    void run(method, call, admission, async (info) => {
      call.sendMetadata(new Metadata());
      for await (const message of handler(call.request, info)) {
        if (info.signal.aborted) return;
        if (!call.write(message)) await drained(call, info.signal);
      }
      call.end();
    }).then((error) => error !== undefined && call.emit("error", toStatus(error)));
  };
}

function duplex(
  method: string,
  handler: (stream: ServerDuplexStream<unknown, unknown>, call: CallInfo) => void | Promise<void>,
  admission: Admission,
): handleBidiStreamingCall<unknown, unknown> {
  return (call) => {
    call.on("error", () => undefined);
    void run(
      method,
      call,
      admission,
      async (info) => {
        // The client's link takes the headers as the sign that someone listens.
        call.sendMetadata(new Metadata());
        await handler(call, info);
      },
      { long: true },
    ).then((error) => error !== undefined && call.emit("error", toStatus(error)));
  };
}

/** Runs one call inside its trace; gives the error to answer with, or undefined when `work` has answered. */
async function run(
  method: string,
  call: AnyCall,
  admission: Admission,
  work: (info: CallInfo) => Promise<void>,
  { long = false } = {},
): Promise<unknown> {
  const controller = new AbortController();
  (call as ServerUnaryCall<unknown, unknown>).on("cancelled", () =>
    controller.abort(new AppError("cancelled", method, "the call was cancelled")),
  );
  let span: Span | undefined;
  let inside: Context = ROOT_CONTEXT;
  try {
    const info = describe(method, call, admission, controller.signal);
    const parent = extractTrace(call.metadata);
    span = admission.tracer.startSpan(method, { kind: SpanKind.SERVER, attributes: { "rpc.system": "grpc" } }, parent);
    inside = trace.setSpan(parent, span);
    await context.with(inside, work, undefined, info);
    return undefined;
  } catch (error) {
    const app = AppError.from(error, method);
    span?.setStatus({ code: SpanStatusCode.ERROR, message: app.code });
    context.with(inside, () => sayFailed(app, method, admission.log));
    return app;
  } finally {
    span?.end();
    if (!long) controller.abort();
  }
}

function sayFailed(error: AppError, method: string, log: Logger): void {
  if (error.code === "internal") log.error({ err: error, method }, "call failed");
  // Without its sentence: that is for the caller alone, and may repeat what the caller sent.
  else log.debug({ method, code: error.code, op: error.op }, "call refused");
}

function describe(method: string, call: AnyCall, admission: Admission, signal: AbortSignal): CallInfo {
  const deadline = call.getDeadline();
  return {
    method,
    peer: admission.allows ? admittedPeer(method, call, admission.allows) : "",
    address: call.getPeer(),
    metadata: call.metadata,
    signal,
    deadline: typeof deadline === "number" ? deadline : deadline.getTime(),
  };
}

/** TLS has checked the certificate's chain; here its one name must be on the service's list. */
function admittedPeer(method: string, call: AnyCall, allows: (name: string) => boolean): string {
  const name: unknown = call.getAuthContext().sslPeerCertificate?.subject?.CN;
  if (typeof name !== "string" || !allows(name))
    throw new AppError("not-permitted", method, "this peer may not call this service");
  return name;
}

function drained(call: ServerWritableStream<unknown, unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.removeListener("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.once("drain", done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
