/** The service's parts put together, for main.ts and for tests. */

import type { NatsConnection } from "@nats-io/transport-node";
import { PolicyServiceService } from "@sallyport/proto/policy";
import { eventsOfService } from "@sallyport/proto/subjects";
import { AppError, followEvents, latency, leaseMs, service, tally } from "@sallyport/runtime";
import type { GrpcService, Runtime } from "@sallyport/runtime";
import { authorize } from "./authorize.ts";
import { checkStream } from "./check/check-stream.ts";
import { Judge } from "./check/judge.ts";
import type { PolicyConfig } from "./policy-config.ts";
import { loadVerdictKey } from "./policy-config.ts";
import { Analyser } from "./sql/analyser.ts";
import { State } from "./state.ts";
import { Validator } from "./validator.ts";

/** How long `authorize` waits for a proof that it has seen everything: a busy machine is late, a partition stays. */
const FRESH_WAIT_MS = 2_000;

/** Opens the fold, waits until it has caught up, and gives the gRPC service that answers from it. */
export async function openPolicyService(
  runtime: Pick<Runtime<PolicyConfig>, "config" | "log" | "meter" | "tracer" | "onShutdown">,
  nats: NatsConnection,
): Promise<GrpcService> {
  const { config, log, meter, tracer } = runtime;
  const key = await loadVerdictKey(config);
  const analyser = await Analyser.open(config.analysis);
  runtime.onShutdown("analyser", () => analyser.close());
  const validator = new Validator();
  validator.warm();
  runtime.onShutdown("validator", () => validator.close());
  const state = new State({ onBroken: (problem) => log.error({ problem }, "the published policies do not load") });
  const follower = await followEvents(nats, {
    subjects: [eventsOfService("catalog"), eventsOfService("approval")],
    from: 1,
    onEvent: (event) => state.apply(event),
    log,
  });
  runtime.onShutdown("follower", () => follower.stop());
  await follower.caughtUp;

  const { timeZone } = config;
  const parts = { state, analyser, asOf: () => follower.seq(), now: Date.now, timeZone };
  const judge = new Judge(parts);
  const explainer = new Judge({ ...parts, followAll: true });
  const checks = tally(meter, "sallyport.checks", "outcome");
  const durations = latency(meter, "sallyport.check.duration");
  return service({
    definition: PolicyServiceService,
    handlers: {
      check: (stream) =>
        checkStream(stream, {
          judge: (request) => judge.judge(request),
          waitFor: (sequence, deadlineMs) => follower.waitFor(sequence, deadlineMs),
          folded: () => follower.seq(),
          key,
          tracer,
          log,
          measured: (outcome, seconds) => {
            checks.add(outcome);
            durations.record(seconds);
          },
        }),
      authorize: async (request) => {
        // These callers have no lease of their own: an answer from a stale fold would be one (I7).
        if (!(await follower.provenSince(performance.now() - leaseMs, FRESH_WAIT_MS))) {
          throw new AppError("unavailable", "policy.authorize", "the policy service has lost touch with the event log");
        }
        return authorize(request, { published: state.published, nowMs: Date.now(), timeZone });
      },
      explain: async (request) => {
        await follower.waitFor(request.minAsOf, FRESH_WAIT_MS);
        if (!(await follower.provenSince(performance.now() - leaseMs, FRESH_WAIT_MS))) {
          throw new AppError("unavailable", "policy.explain", "the policy service has lost touch with the event log");
        }
        // Not a decision: it has no id to be referred to, and nobody signs it.
        return { ...(await explainer.judge(request)), id: "", inputs: Buffer.alloc(0) };
      },
      validate: async ({ configuration }) => {
        if (configuration !== undefined) return await validator.validate(configuration);
        throw new AppError("invalid-input", "policy.validate", "there is no configuration to validate");
      },
    },
  });
}
