/** W3C Trace Context (https://www.w3.org/TR/trace-context/, section 3.2), carried by gRPC metadata, NATS headers and messages. */
import { randomBytes } from "node:crypto";
import {
  context,
  type Context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  trace,
} from "@opentelemetry/api";

const header = "traceparent";
const pattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** gRPC `Metadata` and NATS `MsgHdrs` both fit. */
export interface TraceCarrier {
  set(key: string, value: string): void;
  get(key: string): unknown;
}

/** `00-<trace>-<span>-<flags>` of a context, or "" when it carries no trace. */
export function traceparentOf(from: Context = context.active()): string {
  const span = trace.getSpanContext(from);
  return span && isSpanContextValid(span) ? format(span) : "";
}

/** The active (or given) context goes into the headers. */
export function injectTrace(carrier: TraceCarrier, from: Context = context.active()): void {
  const value = traceparentOf(from);
  if (value) carrier.set(header, value);
}

/** The context that headers carry; without a (valid) one the root context. */
export function extractTrace(carrier: TraceCarrier): Context {
  const found = carrier.get(header);
  const value: unknown = Array.isArray(found) ? found[0] : found;
  return typeof value === "string" ? contextOf(value) : ROOT_CONTEXT;
}

/** A message's `traceparent` field as a context. */
export function contextOf(traceparent: string): Context {
  const match = pattern.exec(traceparent);
  if (!match) return ROOT_CONTEXT;
  const span: SpanContext = {
    traceId: match[1]!,
    spanId: match[2]!,
    traceFlags: Number.parseInt(match[3]!, 16) & 1,
    isRemote: true,
  };
  return isSpanContextValid(span) ? trace.setSpanContext(ROOT_CONTEXT, span) : ROOT_CONTEXT;
}

/** The 32 hex digits that events and records keep, or "". */
export function traceIdOf(from: Context = context.active()): string {
  return trace.getSpanContext(from)?.traceId ?? "";
}

/**
 * A span that always has ids: with telemetry off the tracer's own is empty, and records and logs still want a trace id.
 * Such ids are not sampled, so nobody downstream records spans for them.
 */
export function withIds(span: Span): Span {
  if (isSpanContextValid(span.spanContext())) return span;
  const bytes = randomBytes(24).toString("hex");
  return trace.wrapSpanContext({ traceId: bytes.slice(0, 32), spanId: bytes.slice(32), traceFlags: 0 });
}

function format(span: SpanContext): string {
  return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`;
}
