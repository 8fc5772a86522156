import { createServer, type Server } from "node:http";
import { context, type Meter, metrics, type Tracer, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import type { IMetricReader } from "@opentelemetry/sdk-metrics";
import { AppError } from "./app-error.ts";
import { type BaseConfig, splitHostPort } from "./config.ts";

export interface Telemetry {
  meter: Meter;
  tracer: Tracer;
  /** where Prometheus scrapes, with the port that was taken; empty when it is off */
  prometheus: string;
  stop(): Promise<void>;
}

/**
 * The SDK is loaded only for what is configured: without `prometheus` and `otlp` nothing but the API's no-ops runs,
 * which keeps start-up and the hot path free of it. Trace contexts are carried either way.
 */
export async function startTelemetry(
  config: Pick<BaseConfig, "service" | "instance" | "telemetry">,
): Promise<Telemetry> {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const stops: Array<() => Promise<void>> = [];
  const { prometheus, otlp } = config.telemetry;
  let scraped = "";
  if (prometheus || otlp) {
    const readers: IMetricReader[] = [];
    if (prometheus) {
      const endpoint = await startPrometheus(prometheus);
      readers.push(endpoint.reader);
      scraped = endpoint.address;
      stops.push(endpoint.stop);
    }
    if (otlp) readers.push(await otlpMetrics(otlp));
    stops.push(await startMetrics(config, readers));
  }
  if (otlp) stops.push(await startTracing(config, otlp));
  return {
    meter: metrics.getMeter("sallyport"),
    tracer: trace.getTracer("sallyport"),
    prometheus: scraped,
    stop: async () => {
      await Promise.allSettled(stops.map((stop) => stop()));
    },
  };
}

async function resourceOf(config: Pick<BaseConfig, "service" | "instance">) {
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  return resourceFromAttributes({
    "service.namespace": "sallyport",
    "service.name": config.service,
    "service.instance.id": config.instance,
  });
}

async function startMetrics(config: Pick<BaseConfig, "service" | "instance">, readers: IMetricReader[]) {
  const { MeterProvider } = await import("@opentelemetry/sdk-metrics");
  const provider = new MeterProvider({ resource: await resourceOf(config), readers });
  metrics.setGlobalMeterProvider(provider);
  return () => provider.shutdown({ timeoutMillis: 500 });
}

async function startPrometheus(listen: string) {
  const { PrometheusExporter } = await import("@opentelemetry/exporter-prometheus");
  const reader = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
  const server = createServer((request, response) => {
    if (request.method === "GET" && request.url === "/metrics")
      return reader.getMetricsRequestHandler(request, response);
    response.writeHead(404).end();
  });
  server.requestTimeout = 5_000;
  const address = await listenOn(server, listen);
  server.unref();
  const stop = async () => {
    server.closeAllConnections();
    server.close();
  };
  return { reader, address, stop };
}

function listenOn(server: Server, listen: string): Promise<string> {
  const { host, port } = splitHostPort(listen);
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new AppError(
          "unavailable",
          "runtime.prometheus",
          `cannot listen on ${listen} for metrics: ${(cause as NodeJS.ErrnoException).code ?? "failed"}`,
          { cause },
        ),
      ),
    );
    server.listen(port, host, () => {
      const bound = server.address();
      resolve(`${host}:${typeof bound === "object" && bound ? bound.port : port}`);
    });
  });
}

async function otlpMetrics(url: string): Promise<IMetricReader> {
  const [{ OTLPMetricExporter }, { PeriodicExportingMetricReader }] = await Promise.all([
    import("@opentelemetry/exporter-metrics-otlp-http"),
    import("@opentelemetry/sdk-metrics"),
  ]);
  const exporter = new OTLPMetricExporter({ url: `${url.replace(/\/$/, "")}/v1/metrics`, timeoutMillis: 3_000 });
  return new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 10_000, exportTimeoutMillis: 3_000 });
}

async function startTracing(config: Pick<BaseConfig, "service" | "instance" | "telemetry">, url: string) {
  const [{ OTLPTraceExporter }, sdk] = await Promise.all([
    import("@opentelemetry/exporter-trace-otlp-http"),
    import("@opentelemetry/sdk-trace"),
  ]);
  const exporter = new OTLPTraceExporter({ url: `${url.replace(/\/$/, "")}/v1/traces`, timeoutMillis: 3_000 });
  const provider = new sdk.TracerProvider({
    resource: await resourceOf(config),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(config.telemetry.sampleRatio) }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter })],
  });
  trace.setGlobalTracerProvider(provider);
  return () => provider.shutdown();
}
