/** A live session on a bus in memory, with neighbours and a world that the test commands. */
import { type Duplex, PassThrough } from "node:stream";
import type { Tracer } from "@opentelemetry/api";
import { pino } from "pino";
import { Event } from "@sallyport/proto/event";
import type { Principal } from "@sallyport/proto/principal";
import { EDGE_LIMITS, type Edge, type EdgeLimits, type EdgeOptions } from "../src/edge.ts";
import { HourCounts } from "../src/counts/hour-counts.ts";
import { Leases, type EventSource } from "../src/leases.ts";
import type { Links } from "../src/links.ts";
import type { EdgePlace } from "../src/place.ts";
import type { LaneSettings } from "../src/recorder/lane.ts";
import { Registry } from "../src/registry.ts";
import { MaskPlans } from "../src/result-mask.ts";
import { LiveSession } from "../src/session.ts";
import { EdgeTelemetry } from "../src/telemetry.ts";
import type { AdmissionUnit, LiteralLexer } from "../src/unit.ts";
import { noCounts, recordingOnlyLinks, testPrincipal } from "./recording-only.ts";
import { testLane, type TestLane } from "./recording.ts";

/** EVENTS as the test says it. */
export class TestWorld implements EventSource {
  seq = 10;
  fresh = true;
  private onEvent: ((event: Event, seq: number) => void) | undefined;

  follow(onEvent: (event: Event, seq: number) => void): ReturnType<EventSource["follow"]> {
    this.onEvent = onEvent;
    const freshUntil = (): number => (this.fresh ? performance.now() + 500 : performance.now() - 1);
    return Promise.resolve({ baseline: this.seq, freshUntil, stop: () => Promise.resolve() });
  }

  say(fact: NonNullable<Event["fact"]>): number {
    const event = Event.fromPartial({ id: `e-${this.seq + 1}` });
    this.onEvent?.({ ...event, fact }, ++this.seq);
    return this.seq;
  }
}

export interface TestPlace extends TestLane {
  place: EdgePlace;
  world: TestWorld;
  links: Links;
}

export interface TestSettings {
  lane?: Partial<LaneSettings>;
  limits?: Partial<EdgeLimits>;
  links?: Partial<Links>;
  literals?: LiteralLexer;
  tracer?: Tracer;
}

export async function testPlace(settings: TestSettings = {}): Promise<TestPlace> {
  const recording = testLane(settings.lane);
  const world = new TestWorld();
  const registry = new Registry();
  const leases = await Leases.open(world, registry);
  const links = { ...recordingOnlyLinks(new Map()), ...settings.links };
  const telemetry = new EdgeTelemetry(
    settings.tracer === undefined ? {} : { tracer: settings.tracer },
    "test",
    recording.lane,
    () => registry.size,
  );
  const options = { edge: "edge-test-1", protocol: "test", gatewayVersion: "0", durability: "process" } as EdgeOptions;
  if (settings.literals !== undefined) options.literals = settings.literals;
  const limits = { ...EDGE_LIMITS, ...settings.limits };
  const log = pino({ level: "silent" });
  const counts = await HourCounts.open(options.edge, noCounts, log);
  const place: EdgePlace = { options, limits, links, lane: recording.lane, leases, counts, registry, telemetry, log };
  return { ...recording, place, world, links };
}

export interface TestSession extends TestPlace {
  live: LiveSession;
  sink: Duplex;
  maskFor: Edge["maskFor"];
  /** what reached the client so far */
  received(): string;
}

export async function testSession(
  settings: TestSettings & { principal?: Partial<Principal> } = {},
  sink: Duplex = new PassThrough({ highWaterMark: 16 * 1024 }),
): Promise<TestSession> {
  const made = await testPlace(settings);
  const plans = new MaskPlans(made.links.masking);
  const live = openSession(made.place, "s-1", testPrincipal("engineer", settings.principal), sink);
  let received = "";
  return {
    ...made,
    live,
    sink,
    maskFor: (_, shape) => plans.for(live.scope, shape),
    received() {
      received += ((sink.read() as Buffer | null) ?? Buffer.alloc(0)).toString("utf8");
      return received;
    },
  };
}

export function openSession(place: EdgePlace, id: string, principal: Principal, sink: Duplex): LiveSession {
  const live = new LiveSession(
    place,
    {
      id,
      principal,
      connection: "orders",
      database: "orders",
      hiddenClasses: [],
      clientAddress: "192.0.2.1:5000",
      openedAtMs: 0,
      recheckAfterMs: 0,
    },
    sink,
  );
  place.registry.add(live);
  return live;
}

export const textUnit = (text: string): AdmissionUnit => ({ unit: "simple-query", text: Buffer.from(text) });
