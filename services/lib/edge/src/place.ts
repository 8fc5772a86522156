import type { Logger } from "@sallyport/runtime";
import type { HourCounts } from "./counts/hour-counts.ts";
import type { EdgeLimits, EdgeOptions } from "./edge.ts";
import type { Leases } from "./leases.ts";
import type { Links } from "./links.ts";
import type { Lane } from "./recorder/lane.ts";
import type { Registry } from "./registry.ts";
import type { EdgeTelemetry } from "./telemetry.ts";

/** What all sessions of an edge worker have in common. */
export interface EdgePlace {
  readonly options: EdgeOptions;
  readonly limits: EdgeLimits;
  readonly links: Links;
  readonly lane: Lane;
  readonly leases: Leases;
  readonly counts: HourCounts;
  readonly registry: Registry;
  readonly telemetry: EdgeTelemetry;
  readonly log: Logger;
}
