/** A whole service process, as small as it can be; started by process.int.test.ts. */
import { z } from "zod";
import { baseConfig } from "../src/config.ts";
import { startRuntime } from "../src/runtime.ts";

const runtime = await startRuntime(
  "tiny",
  z.strictObject({ ...baseConfig, crash: z.boolean().default(false), slowStop: z.boolean().default(false) }),
);
await runtime.connectNats();
runtime.onShutdown("slow", () => (runtime.config.slowStop ? new Promise<void>(() => undefined) : undefined));
await runtime.serve({});
runtime.ready();
if (runtime.config.crash) void Promise.reject(new Error("a bug"));
