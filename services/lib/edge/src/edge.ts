/** An edge worker: one lane, one view of the events, and the sessions on them. */
import type { Meter, Tracer } from "@opentelemetry/api";
import type { NatsConnection } from "@nats-io/transport-node";
import type { ErrorCode, Logger } from "@sallyport/runtime";
import type { Event } from "@sallyport/proto/event";
import { frames, framesStream, inboxPrefix } from "@sallyport/proto/subjects";
import { cancelControl, type CancelControl } from "./cancel-control.ts";
import { type CountsBus, natsCounts } from "./counts/counts-bus.ts";
import { HourCounts } from "./counts/hour-counts.ts";
import { followEventStream, Leases, type EventSource } from "./leases.ts";
import type { Links } from "./links.ts";
import type { Accepted, Handshake, LoginRequest, Refused, Stranger } from "./login-interface.ts";
import { logIn, turnAway } from "./login.ts";
import type { EdgePlace } from "./place.ts";
import { Lane, LANE_DEFAULTS, type LaneSettings } from "./recorder/lane.ts";
import { natsPublisher } from "./recorder/nats-publisher.ts";
import { Registry } from "./registry.ts";
import { MaskPlans, type ResultMask, type ResultShape } from "./result-mask.ts";
import type { EdgeSession } from "./session-interface.ts";
import { LiveSession } from "./session.ts";
import { EdgeTelemetry } from "./telemetry.ts";
import type { LiteralLexer } from "./unit.ts";

export interface EdgeLimits {
  /** live sessions, logins under way included; default 2,000 */
  sessions: number;
  /** connections that have not logged in yet; default 512 */
  handshakes: number;
  /** of one admission unit's text; default 256 KiB */
  textBytes: number;
  /** of one admission unit with its parameters; default 16 MiB */
  unitBytes: number;
  /** recorded and not acknowledged, or acknowledged and not read by the client, of one session; default 1 MiB */
  sessionBytes: number;
  /** recorded and not acknowledged, of the lane; default 32 MiB */
  laneBytes: number;
}

export const EDGE_LIMITS: EdgeLimits = {
  sessions: 2000,
  handshakes: 512,
  textBytes: 256 * 1024,
  unitBytes: 16 * 1024 * 1024,
  sessionBytes: LANE_DEFAULTS.sessionBytes,
  laneBytes: LANE_DEFAULTS.laneBytes,
};

export interface EdgeOptions {
  /** this edge instance, as in its NATS subjects */
  edge: string;
  /** the other edges, whose cancel keys are passed on */
  siblings?: readonly string[];
  /** `postgresql` */
  protocol: string;
  /** partition of FRAMES */
  partition: number;
  lane: number;
  gatewayVersion: string;
  nats: NatsConnection;
  links: Links;
  log: Logger;
  /** default: the EVENTS stream */
  events?: EventSource;
  /** told of events of identity and catalog, each after the edge has taken it in; must not throw */
  onEvent?: (event: Event) => void;
  /** default: the COUNTS stream */
  counts?: CountsBus;
  literals?: LiteralLexer;
  limits?: Partial<EdgeLimits>;
  recorder?: Partial<Omit<LaneSettings, "sessionBytes" | "laneBytes">>;
  /** what an acknowledgement survives */
  durability: "process" | "power-loss";
  meter?: Meter;
  /** absent: no traces, at no cost */
  tracer?: Tracer;
}

export interface Edge {
  /** A place for a connection that has not logged in; undefined: too many, close it at once. */
  handshake(): Handshake | undefined;
  login(request: LoginRequest, handshake: Handshake): Promise<Accepted | Refused>;
  /**
   * Somebody is turned away before any token was shown: a handshake that breaks the protocol, or takes too long. Recorded,
   * and not waited for; of a flood some, and all of it is counted. `message` is public.
   */
  turnAway(who: Stranger, code: ErrorCode, message: string): void;
  readonly cancels: CancelControl;
  /** live sessions */
  sessions(): Iterable<EdgeSession>;
  /**
   * The plan for a result, ready to be executed. Asked for once per verdict and shape, then given out again synchronously
   * (any number of times) until the epoch moves. Also when nothing is hidden: it says which classes were seen in clear.
   * Rejects with AppError when masking cannot be reached: the result must not be shown.
   */
  maskFor(session: EdgeSession, shape: ResultShape): ResultMask | Promise<ResultMask>;
  /** What the recorder has done so far, for benchmarks. */
  recorderStats(): Readonly<Lane["stats"]>;
  /** Ends every session with cause `shutdown` and resolves when the lane is empty, or after `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

/** Of those who are turned away without a token, so many are recorded in a second: noise must not fill the log. */
const STRANGERS_PER_SECOND = 100;

/** Throws AppError or a NATS error when EVENTS or COUNTS cannot be read. */
export async function openEdge(options: EdgeOptions): Promise<Edge> {
  const { edge, partition, lane: number, nats, log } = options;
  const limits = { ...EDGE_LIMITS, ...options.limits };
  const epoch = Date.now();
  const publisher = natsPublisher({
    nats,
    subject: frames(partition, edge, number),
    stream: framesStream(partition),
    idPrefix: `${edge}-${number}-${epoch}`,
    inboxPrefix: inboxPrefix(edge),
  });
  const { sessionBytes, laneBytes } = limits;
  const settings = { ...options.recorder, sessionBytes, laneBytes };
  const lane = new Lane({ edge, lane: number, epoch }, publisher, settings, (state, reason) => {
    if (state === "failed") log.error({ lane: number, reason }, "the bus makes no progress: sessions are ended");
    else log.info({ lane: number }, "the bus goes on");
  });
  const registry = new Registry();
  const events = options.events ?? followEventStream(nats, log);
  const leases = await Leases.open(options.onEvent ? overheard(events, options.onEvent) : events, registry);
  const counts = await HourCounts.open(edge, options.counts ?? natsCounts(nats, log), log);
  const telemetry = new EdgeTelemetry(options, options.protocol, lane, () => registry.size);
  const place: EdgePlace = { options, limits, links: options.links, lane, leases, counts, registry, telemetry, log };
  const plans = new MaskPlans(options.links.masking);
  const cancels = cancelControl(nats, edge, options.siblings ?? []);
  let handshakes = 0;
  let closed = false;
  let strangers = 0;
  let second = 0;

  return {
    cancels,
    handshake() {
      if (closed || handshakes >= limits.handshakes) return undefined;
      handshakes++;
      let held = true;
      return {
        done() {
          if (held) handshakes--;
          held = false;
        },
      };
    },
    async login(request, handshake) {
      try {
        return await logIn(place, request);
      } finally {
        handshake.done();
      }
    },
    turnAway(who, code, message) {
      const now = Math.floor(performance.now() / 1000);
      if (now !== second) strangers = 0;
      second = now;
      if (strangers++ < STRANGERS_PER_SECOND) turnAway(place, who, code, message);
      else telemetry.loginRefused(code);
    },
    *sessions() {
      for (const one of registry.all()) if (one instanceof LiveSession) yield one;
    },
    maskFor: (session, shape) => plans.for((session as LiveSession).scope, shape),
    recorderStats: () => lane.stats,
    async close(deadlineMs) {
      closed = true;
      const until = performance.now() + deadlineMs;
      for (const one of registry.all()) one.end("shutdown", "The gateway is being shut down.");
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, deadlineMs * 0.7)));
      await Promise.race([registry.empty(), late]);
      clearTimeout(timer);
      await lane.drained(Math.max(50, until - performance.now()));
      cancels.close();
      lane.close();
      await Promise.all([counts.stop(), leases.stop()]);
    },
  };
}

function overheard(source: EventSource, listen: (event: Event) => void): EventSource {
  return {
    follow: (onEvent) =>
      source.follow((event, seq) => {
        onEvent(event, seq);
        listen(event);
      }),
  };
}
