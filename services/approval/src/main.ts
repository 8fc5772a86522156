import { startRuntime } from "@sallyport/runtime";
import { startApproval } from "./approval.ts";
import { approvalConfig } from "./approval-config.ts";

const runtime = await startRuntime("approval", approvalConfig);
await startApproval(runtime);
runtime.ready();
