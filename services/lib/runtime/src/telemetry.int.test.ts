import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { context, SpanKind, trace } from "@opentelemetry/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createLogger } from "./log.ts";
import { gauge, latency, metricNames, tally } from "./metrics.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";
import { traceIdOf } from "./trace-context.ts";

const received = new Map<string, string>();
const collector = createServer((request, response) => {
  void text(request).then((body) => {
    received.set(request.url!, (received.get(request.url!) ?? "") + body);
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
});
let telemetry: Telemetry;

beforeAll(async () => {
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const { port } = collector.address() as { port: number };
  const config = { prometheus: "127.0.0.1:0", otlp: `http://127.0.0.1:${port}`, sampleRatio: 1 };
  telemetry = await startTelemetry({ service: "policy", instance: "policy-1", telemetry: config });
});
afterAll(() => {
  collector.close();
});

test("metrics are scraped under their names, spans and metrics go to the collector", async () => {
  const commands = tally(telemetry.meter, "sallyport.commands", "verdict");
  commands.add("forward", 3);
  commands.add("deny");
  gauge(telemetry.meter, "sallyport.recorder.unacknowledged", () => 42);
  latency(telemetry.meter, "sallyport.command.added_latency").record(0.0003);
  const scraped = await (await fetch(`http://${telemetry.prometheus}/metrics`)).text();
  expect(scraped).toMatch(/sallyport_commands(_total)?\{[^}]*verdict="forward"[^}]*\} 3/);
  expect(scraped).toMatch(/sallyport_recorder_unacknowledged\S* 42/);
  expect(scraped).toMatch(/sallyport_command_added_latency\S*_bucket\{[^}]*le="0.0005"[^}]*\} 1/);
  expect((await fetch(`http://${telemetry.prometheus}/other`)).status).toBe(404);

  const span = telemetry.tracer.startSpan("policy.check", { kind: SpanKind.SERVER });
  let line = "";
  const log = createLogger(
    { service: "policy", instance: "policy-1", log: { level: "info" } },
    { write: (written: string) => void (line = written) },
  );
  context.with(trace.setSpan(context.active(), span), () => log.info("inside"));
  expect(JSON.parse(line)).toMatchObject({ trace_id: span.spanContext().traceId });
  expect(traceIdOf()).toBe("");
  span.end();
  await telemetry.stop();
  expect(received.get("/v1/traces")).toContain("policy.check");
  expect(received.get("/v1/traces")).toContain("policy-1");
  expect(received.get("/v1/metrics")).toContain("sallyport.commands");
});

test("metric names are of one form", () => {
  for (const [name, [unit, meaning]] of Object.entries(metricNames)) {
    expect(name).toMatch(/^sallyport(\.[a-z_]+)+$/);
    expect(unit.length > 0 && meaning.length > 0).toBe(true);
  }
});
