/** A runtime inside the test's own process: real gRPC with mTLS on free ports, real NATS when given. */
import { z } from "zod";
import { baseConfig } from "../src/config.ts";
import { createLogger } from "../src/log.ts";
import { createRuntime, type Runtime } from "../src/runtime.ts";
import { createShutdown } from "../src/shutdown.ts";
import type { TestPki } from "./pki.ts";

export interface TestRuntimeOptions {
  pki: TestPki;
  nats?: string;
  peers?: Record<string, string>;
  /** of the internal port, e.g. to come back on the same one; default a free one */
  listen?: string;
  instance?: string;
  logLevel?: string;
}

/** `stop()` ends it in order, as a signal would, and leaves the process alone. */
export async function startTestRuntime(service: string, options: TestRuntimeOptions): Promise<Runtime> {
  const files = await options.pki.issue(service);
  const config = z.strictObject(baseConfig).parse({
    service,
    instance: options.instance ?? service,
    log: { level: options.logLevel ?? "silent" },
    nats: { servers: [options.nats ?? "nats://127.0.0.1:1"] },
    grpc: {
      internal: { listen: options.listen ?? "127.0.0.1:0", ...files },
      public: { listen: "127.0.0.1:0", cert: files.cert, key: files.key },
      client: files,
    },
    peers: options.peers ?? {},
  });
  const log = createLogger(config);
  return createRuntime({ config, log, shutdown: createShutdown({ log, exit: () => undefined }) });
}
