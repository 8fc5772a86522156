import "./threads.ts";
import { IdentityServiceClient } from "@sallyport/proto/identity";
import { PolicyServiceClient } from "@sallyport/proto/policy";
import { AppError, openCallers, startRuntime } from "@sallyport/runtime";
import { openAudit } from "./audit.ts";
import { configSchema } from "./config.ts";
import { giveWay } from "./priority.ts";

const args = process.argv.slice(2);
if (args.length > 1 || (args.length === 1 && args[0] !== "rebuild")) {
  process.stderr.write(
    `audit: there is no command ${args.join(" ")}. Without one it serves; \`rebuild\` folds the log again.\n`,
  );
  process.exit(64);
}
const runtime = await startRuntime("audit", configSchema);
try {
  giveWay(runtime.config.ingest.priority);
} catch (error) {
  runtime.log.warn({ err: error }, "the process keeps its priority");
}
const callers = (): ReturnType<typeof openCallers> =>
  openCallers(runtime.client(IdentityServiceClient, "identity"), runtime.client(PolicyServiceClient, "policy"));
try {
  await openAudit(runtime, callers, args[0] === "rebuild" ? "rebuild" : "serve");
} catch (error) {
  // what an operator can mend: one line with the way out
  if (!(error instanceof AppError) || error.code === "internal") throw error;
  runtime.log.fatal({ err: error }, error.message);
  await runtime.stop("it cannot start", 1);
}
