import { startRuntime } from "@sallyport/runtime";
import { configSchema } from "./policy-config.ts";
import { openPolicyService } from "./policy-service.ts";

const runtime = await startRuntime("policy", configSchema);
const nats = await runtime.connectNats();
const policy = await openPolicyService(runtime, nats);
await runtime.serve({ internal: [policy], allow: runtime.config.allow });
runtime.ready();
