import { IdentityServiceClient } from "@sallyport/proto/identity";
import { MaskingServiceClient } from "@sallyport/proto/masking";
import { PolicyServiceClient } from "@sallyport/proto/policy";
import { eventsOfKind } from "@sallyport/proto/subjects";
import { openStore } from "@sallyport/decider";
import { AppError, followEvents, gauge, openCallers, startRuntime } from "@sallyport/runtime";
import type { SourceFile } from "@sallyport/proto/catalog";
import type { MaskPlan, PlanResult } from "@sallyport/proto/masking";
import { accessDecider } from "./access-decider.ts";
import { bootstrap } from "./bootstrap.ts";
import { catalogConfig } from "./catalog-config.ts";
import { catalogService } from "./catalog-service.ts";
import { CatalogState } from "./catalog-state.ts";
import { configurationService } from "./configuration-service.ts";
import { checkFiles, type Checked } from "./configuration/check-files.ts";
import { configurationDecider } from "./configuration/configuration-decider.ts";
import { copiesDecider } from "./copies/copies-decider.ts";
import { maskingPlan } from "./explain/masking-plan.ts";
import { Observations } from "./observation/observations.ts";
import { schemaDecider } from "./observation/schema-decider.ts";

const runtime = await startRuntime("catalog", catalogConfig);
const { config, log } = runtime;
const nats = await runtime.connectNats();
const policy = runtime.client(PolicyServiceClient, "policy");
const identity = runtime.client(IdentityServiceClient, "identity");
const callers = openCallers(identity, policy);
const check = (files: readonly SourceFile[], signal?: AbortSignal, deadlineMs = 10_000): Promise<Checked> =>
  checkFiles(files, config, policy, { deadlineMs, ...(signal && { signal }) });

const state = new CatalogState();
const follower = await followEvents(nats, {
  subjects: [eventsOfKind("catalog", "configuration"), eventsOfKind("catalog", "schema")],
  from: 1,
  onEvent: (event) => state.apply(event),
  log,
});
runtime.onShutdown("follower", () => follower.stop());
gauge(runtime.meter, "sallyport.events.folded", () => follower.seq());
await follower.caughtUp;

const configurations = openStore(nats, { service: "catalog", kind: "configuration", decider: configurationDecider });
const schemas = openStore(nats, { service: "catalog", kind: "schema", decider: schemaDecider });
const copies = openStore(nats, { service: "catalog", kind: "copies", decider: copiesDecider });
const access = openStore(nats, { service: "catalog", kind: "access", decider: accessDecider });
const observations = new Observations();
const masking = "masking" in config.peers ? runtime.client(MaskingServiceClient, "masking") : undefined;
const plan = async (request: PlanResult, signal: AbortSignal): Promise<MaskPlan> => {
  if (masking !== undefined) return maskingPlan(masking, request, follower.seq(), signal);
  throw new AppError("failed-precondition", "catalog.plan", "catalog is not configured to reach masking");
};
await runtime.serve({
  internal: [catalogService({ state, follower, schemas, copies, observations })],
  public: [
    configurationService({
      state,
      follower,
      store: configurations,
      callers,
      check,
      explain: { state, callers, policy, identity, plan, access, observations, follower },
      doctor: { state, callers, plan, access, observations },
    }),
  ],
  allow: config.allow,
});
try {
  // policy may still be starting
  if (config.bootstrap)
    await bootstrap(config.bootstrap.folder, configurations, (files) => check(files, runtime.signal, 60_000), log);
  runtime.ready();
} catch (error) {
  const { message } = AppError.from(error, "catalog.bootstrap");
  process.stderr.write(`catalog: ${message}\n`);
  await runtime.stop("bootstrap failed", 78);
}
