/** The service, assembled: fold EVENTS, keep requests going, answer edges and people, notify. */
import { openStore } from "@sallyport/decider";
import { IdentityServiceClient } from "@sallyport/proto/identity";
import { PolicyServiceClient } from "@sallyport/proto/policy";
import { eventsOfService } from "@sallyport/proto/subjects";
import {
  type Addresses,
  followEvents,
  gauge,
  openCallers,
  resolveSecret,
  type Runtime,
  tally,
} from "@sallyport/runtime";
import { AccessRequests } from "./access-requests.ts";
import type { ApprovalConfig } from "./approval-config.ts";
import { edgeService } from "./edge-service.ts";
import { peopleService } from "./people-service.ts";
import { requestDecider } from "./request.ts";
import { Requests } from "./requests.ts";
import { Upkeep } from "./upkeep.ts";
import { runWebhook } from "./webhook.ts";

export async function startApproval(
  runtime: Runtime<ApprovalConfig>,
  now: () => number = Date.now,
): Promise<Addresses> {
  const { config, log, meter } = runtime;
  const secret = config.webhook && (await resolveSecret(config.webhook.secret, "webhook.secret"));
  const nc = await runtime.connectNats();
  const requests = new Requests();
  const store = openStore(nc, {
    service: "approval",
    kind: "request",
    decider: requestDecider,
    states: requests.states,
    now,
  });
  const upkeep = new Upkeep({ requests, store, log, now });
  const follower = await followEvents(nc, {
    subjects: [eventsOfService("approval"), eventsOfService("identity")],
    from: 1,
    onEvent: (event, seq) => {
      for (const id of requests.fold(event, seq)) upkeep.look(id);
    },
    log,
  });
  runtime.onShutdown("follower", () => follower.stop());
  // Nothing is answered from half a log.
  await follower.caughtUp;
  upkeep.start();
  runtime.onShutdown("upkeep", () => upkeep.stop());
  gauge(meter, "sallyport.approvals.waiting", () => requests.openCount());
  gauge(meter, "sallyport.events.folded", () => follower.seq());

  if (config.webhook && secret) {
    const deliveries = tally(meter, "sallyport.webhooks", "outcome");
    const running = runWebhook({
      nc,
      config: config.webhook,
      secret,
      requests,
      store,
      log,
      deliveries,
      signal: runtime.signal,
    });
    runtime.onShutdown("webhook", () => running);
  }
  const policy = runtime.client(PolicyServiceClient, "policy");
  const callers = openCallers(runtime.client(IdentityServiceClient, "identity"), policy);
  const access = new AccessRequests({ policy, requests, now });
  const broken = tally(meter, "sallyport.break_glass", "connection");
  const alarm = (what: { connection?: string }): void => {
    broken.add(what.connection ?? "");
    log.warn(what, "somebody broke glass");
  };
  return runtime.serve({
    internal: [edgeService({ requests, store, now })],
    public: [peopleService({ requests, store, callers, access, alarm, now })],
    allow: config.edges,
  });
}
