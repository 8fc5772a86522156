import { isSpanContextValid, trace } from "@opentelemetry/api";
import { pino } from "pino";
import type { BaseConfig } from "./config.ts";

export type Logger = pino.Logger;

/** Keys whose values never reach a log line, at the top or one or two levels down. */
const hidden = [
  "token", "access_token", "refresh_token", "id_token", "subjectToken", "password", "secret", "authorization",
  "cookie", "seed", "privateKey", "text", "parameters", "rows", "cells", "value", "values",
]; // prettier-ignore

const redacted = hidden.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]);

/**
 * Only these fields of an error are logged: drivers and gRPC hang values of the other side on their error objects.
 * A target's error text can hold values too: whoever catches one wraps it in an AppError with a sentence of its own.
 */
function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: typeof error === "string" ? error : typeof error };
  const { code, op } = error as { code?: unknown; op?: unknown };
  return {
    type: error.name,
    ...(typeof code === "string" || typeof code === "number" ? { code } : {}),
    ...(typeof op === "string" ? { op } : {}),
    message: error.message,
    stack: error.stack,
    ...(error.cause !== undefined && depth < 4 ? { cause: errorFields(error.cause, depth + 1) } : {}),
  };
}

export function createLogger(
  config: Pick<BaseConfig, "service" | "instance" | "log">,
  destination?: pino.DestinationStream,
): Logger {
  return pino(
    {
      level: config.log.level,
      base: { service: config.service, instance: config.instance },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redacted, censor: "[hidden]" },
      serializers: { err: (error: unknown) => errorFields(error), error: (error: unknown) => errorFields(error) },
      mixin: traceFields,
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
}

function traceFields(): Record<string, string> {
  const active = trace.getActiveSpan()?.spanContext();
  return active && isSpanContextValid(active) ? { trace_id: active.traceId, span_id: active.spanId } : {};
}
