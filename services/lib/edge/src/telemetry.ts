/**
 * Metrics and one trace per command. Counts are plain numbers that OpenTelemetry reads when it collects; a trace exists
 * only for the sampled commands, and nothing is called for the others.
 */
import {
  context,
  ROOT_CONTEXT,
  trace as traces,
  type Context,
  type Meter,
  type Span,
  type Tracer,
} from "@opentelemetry/api";
import { gauge, latency, tally, traceIdOf, traceparentOf, type Tally } from "@sallyport/runtime";
import type { Lane } from "./recorder/lane.ts";

/** One in so many goes into a histogram: recording each would cost more than it tells. */
const SAMPLE_EVERY = 8;

export interface TelemetrySettings {
  meter?: Meter;
  /** its sampler says which commands are traced; absent: none, at no cost */
  tracer?: Tracer;
}

/** Spans `decide`, `hold`, `record`, `forward`, `mask` under one `command`. */
export class CommandTrace {
  readonly traceId: Uint8Array;
  readonly traceparent: string;
  private readonly tracer: Tracer;
  private readonly parent: Context;
  private readonly root: Span;
  private step: Span;
  private ended = false;

  constructor(tracer: Tracer, root: Span) {
    this.tracer = tracer;
    this.root = root;
    this.parent = traces.setSpan(ROOT_CONTEXT, this.root);
    this.traceId = Buffer.from(traceIdOf(this.parent), "latin1");
    this.traceparent = traceparentOf(this.parent);
    this.step = tracer.startSpan("decide", {}, this.parent);
  }

  /** Runs a call to another service as part of this trace. */
  during<T>(call: () => T): T {
    return context.with(this.parent, call);
  }

  decided(outcome: "forward" | "hold"): void {
    this.next(outcome === "hold" ? "hold" : "record");
  }

  denied(): void {
    this.end("deny");
  }

  recorded(): void {
    this.step.end();
  }

  forwarded(): void {
    this.next("forward");
  }

  masked(): void {
    this.next("mask");
  }

  completed(status: number): void {
    this.root.setAttribute("sallyport.status", status);
    this.end("forward");
  }

  private end(outcome: string): void {
    if (this.ended) return;
    this.ended = true;
    this.step.end();
    this.root.setAttribute("sallyport.verdict", outcome);
    this.root.end();
  }

  private next(name: string): void {
    this.step.end();
    this.step = this.tracer.startSpan(name, {}, this.parent);
  }
}

type Outcome = "forward" | "hold" | "deny" | "unavailable";

export class EdgeTelemetry {
  private readonly tracer: Tracer | undefined;
  private readonly counters: Record<"commands" | "refused" | "opened", Tally> | undefined;
  private readonly maskedCells: Tally | undefined;
  private readonly wait: { record(seconds: number): void } | undefined;
  private readonly protocol: string;
  private waits = 0;

  constructor(settings: TelemetrySettings, protocol: string, lane: Lane, sessions: () => number) {
    this.protocol = protocol;
    this.tracer = settings.tracer;
    const { meter } = settings;
    if (meter === undefined) return;
    this.counters = {
      commands: tally(meter, "sallyport.commands", "verdict"),
      refused: tally(meter, "sallyport.logins.refused", "reason"),
      opened: tally(meter, "sallyport.sessions.opened", "protocol"),
    };
    this.maskedCells = tally(meter, "sallyport.masked.cells", "action");
    this.wait = latency(meter, "sallyport.command.added_latency");
    const acknowledgement = latency(meter, "sallyport.recorder.acknowledgement");
    let acks = 0;
    lane.observeAck = (ms) => {
      if (acks++ % SAMPLE_EVERY === 0) acknowledgement.record(ms / 1000);
    };
    gauge(meter, "sallyport.sessions", sessions, { protocol });
    gauge(meter, "sallyport.recorder.unacknowledged", () => lane.unackedBytes);
    gauge(meter, "sallyport.recorder.paused", () => lane.pressed);
  }

  /** Undefined for commands that are not traced. */
  beginCommand(): CommandTrace | undefined {
    if (this.tracer === undefined) return undefined;
    const root = this.tracer.startSpan(
      "command",
      { attributes: { "sallyport.protocol": this.protocol } },
      ROOT_CONTEXT,
    );
    return root.isRecording() ? new CommandTrace(this.tracer, root) : undefined;
  }

  decided(outcome: Outcome): void {
    this.counters?.commands.add(outcome);
  }

  forwarded(waitUs: number): void {
    if (this.wait !== undefined && this.waits++ % SAMPLE_EVERY === 0) this.wait.record(waitUs / 1e6);
  }

  masked(cells: number): void {
    this.maskedCells?.add("all", cells);
  }

  loginRefused(code: string): void {
    this.counters?.refused.add(code);
  }

  sessionOpened(): void {
    this.counters?.opened.add(this.protocol);
  }
}
