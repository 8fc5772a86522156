import "./threads.ts";
import { setPriority } from "node:os";
import { IdentityServiceClient } from "@sallyport/proto/identity";
import { PolicyServiceClient } from "@sallyport/proto/policy";
import { openCallers, startRuntime } from "@sallyport/runtime";
import { openAudit } from "./audit.ts";
import { configSchema } from "./config.ts";

const runtime = await startRuntime("audit", configSchema);
try {
  setPriority(runtime.config.ingest.priority);
} catch (error) {
  runtime.log.warn({ err: error }, "the process keeps its priority");
}
const callers = (): ReturnType<typeof openCallers> =>
  openCallers(runtime.client(IdentityServiceClient, "identity"), runtime.client(PolicyServiceClient, "policy"));
await openAudit(runtime, callers, process.argv.slice(2));
