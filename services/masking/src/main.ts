import { MaskingServiceService } from "@sallyport/proto/masking";
import { eventsOfKind } from "@sallyport/proto/subjects";
import { followEvents, gauge, resolveSecret, service, startRuntime, tally } from "@sallyport/runtime";
import { serveMask, type MaskingParts } from "./mask-stream.ts";
import { maskingConfig } from "./masking-config.ts";
import { MaskingState } from "./masking-state.ts";
import { PlanStore } from "./plan/plan-store.ts";
import { detectorSet } from "./scan/detector-set.ts";
import { KeyedHash } from "./transform/keyed-hash.ts";
import { Turns } from "./turns.ts";

const runtime = await startRuntime("masking", maskingConfig);
const { config } = runtime;
const hashKey = await resolveSecret(config.hashKey, "hashKey");

const turns = new Turns();
const state = new MaskingState(turns);
const follower = await followEvents(await runtime.connectNats(), {
  subjects: (["configuration", "schema", "copies"] as const).map((kind) => eventsOfKind("catalog", kind)),
  from: 1,
  onEvent: (event) => state.apply(event),
  log: runtime.log,
});
runtime.onShutdown("follower", () => follower.stop());
gauge(runtime.meter, "sallyport.events.folded", () => follower.seq());
await follower.caughtUp;

const parts: MaskingParts = {
  state,
  plans: new PlanStore(),
  follower,
  tools: {
    find: detectorSet(config.phoneRegions),
    hash: new KeyedHash(hashKey.exposeBytes()),
    maxScanBytes: config.maxScanBytes,
  },
  turns,
  waitMs: config.waitMs,
  masked: tally(runtime.meter, "sallyport.masked.cells", "action"),
  tracer: runtime.tracer,
};
const mask = service({ definition: MaskingServiceService, handlers: { mask: (stream) => serveMask(stream, parts) } });
await runtime.serve({ internal: [mask], allow: config.allow });
runtime.ready();
