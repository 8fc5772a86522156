/** A runtime inside the test's own process: real gRPC with mTLS on free ports, real NATS when given. */
import { z } from "zod";
import { type BaseConfig, baseConfig } from "../src/config.ts";
import { createLogger } from "../src/log.ts";
import { createRuntime, type Runtime } from "../src/runtime.ts";
import { createShutdown } from "../src/shutdown.ts";
import type { TestPki } from "./pki.ts";

export interface TestRuntimeOptions<C extends BaseConfig = BaseConfig> {
  pki: TestPki;
  nats?: string;
  peers?: Record<string, string>;
  /** of the internal port, e.g. to come back on the same one; default a free one */
  listen?: string;
  publicListen?: string;
  instance?: string;
  logLevel?: string;
  /** the service's own schema, and what its file has beside the base */
  schema?: z.ZodType<C>;
  extra?: object;
}

/** `stop()` ends it in order, as a signal would, and leaves the process alone. */
export async function startTestRuntime<C extends BaseConfig = BaseConfig>(
  service: string,
  options: TestRuntimeOptions<C>,
): Promise<Runtime<C>> {
  const files = await options.pki.issue(service);
  const schema = options.schema ?? (z.strictObject(baseConfig) as unknown as z.ZodType<C>);
  const config = schema.parse({
    service,
    instance: options.instance ?? service,
    log: { level: options.logLevel ?? "silent" },
    nats: { servers: [options.nats ?? "nats://127.0.0.1:1"] },
    grpc: {
      internal: { listen: options.listen ?? "127.0.0.1:0", ...files },
      public: { listen: options.publicListen ?? "127.0.0.1:0", cert: files.cert, key: files.key },
      client: files,
    },
    peers: options.peers ?? {},
    ...options.extra,
  });
  const log = createLogger(config);
  return createRuntime({ config, log, shutdown: createShutdown({ log, exit: () => undefined }) });
}
