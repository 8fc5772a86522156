import { Metadata } from "@grpc/grpc-js";
import { headers } from "@nats-io/transport-node";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { contextOf, extractTrace, injectTrace, traceIdOf, traceparentOf, withIds } from "./trace-context.ts";

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test.each([
  ["gRPC metadata", new Metadata()],
  ["NATS headers", headers()],
])("a trace goes through %s", (_, carrier) => {
  injectTrace(carrier, contextOf(parent));
  expect(traceparentOf(extractTrace(carrier))).toBe(parent);
});

test.each(["", "00-short", `01-${"a".repeat(32)}-${"b".repeat(16)}-01`, `00-${"0".repeat(32)}-${"b".repeat(16)}-01`])(
  "a bad traceparent is no trace: %s",
  (text) => {
    expect(traceIdOf(contextOf(text))).toBe("");
    expect(traceparentOf(contextOf(text))).toBe("");
  },
);

test("with telemetry off a span still has ids, unsampled", () => {
  const span = withIds(trace.getTracer("off").startSpan("x"));
  expect(traceparentOf(trace.setSpan(ROOT_CONTEXT, span))).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
});
