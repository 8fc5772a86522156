/** The names of what the gateway measures. A metric that is not here does not exist for dashboards and alarms. */
import type { Attributes, Meter } from "@opentelemetry/api";

/** name → unit (UCUM) and meaning. Labels are named in the meaning; none of them may carry a value of a person or target. */
export const metricNames = {
  "sallyport.sessions": ["{session}", "open sessions, by protocol"],
  "sallyport.sessions.opened": ["{session}", "sessions opened since start, by protocol"],
  "sallyport.logins.refused": ["{login}", "logins refused, by reason"],
  "sallyport.commands": ["{command}", "commands, by verdict (forward, deny, hold)"],
  "sallyport.command.added_latency": ["s", "time that the gateway added before a command went to the target"],
  "sallyport.recorder.unacknowledged": ["By", "bytes recorded that the bus has not acknowledged yet"],
  "sallyport.recorder.acknowledgement": ["s", "time from publishing a batch to its acknowledgement"],
  "sallyport.recorder.paused": ["{session}", "sessions paused because the bus lags"],
  "sallyport.audit.ingest_lag": ["s", "age of the newest record that is in ClickHouse, measured when records wait"],
  "sallyport.audit.position": ["{message}", "sequence of the newest message that is in ClickHouse, by stream"],
  "sallyport.audit.records": ["{record}", "records ingested"],
  "sallyport.checks": ["{check}", "policy checks, by outcome and whether cached"],
  "sallyport.check.duration": ["s", "time to decide one check"],
  "sallyport.masked.cells": ["{cell}", "cells masked, by action"],
  "sallyport.approvals": ["{request}", "approval requests, by outcome"],
  "sallyport.approvals.waiting": ["{request}", "approval requests that wait for a person"],
  "sallyport.webhooks": ["{delivery}", "webhook deliveries, by outcome"],
  "sallyport.break_glass": ["{use}", "times that somebody broke glass, by connection"],
  "sallyport.events.folded": ["{event}", "sequence in EVENTS that this process has folded"],
  "sallyport.lease.age": ["s", "age of the freshest proof that EVENTS was folded up to its end"],
} as const satisfies Record<string, readonly [unit: string, meaning: string]>;
export type MetricName = keyof typeof metricNames;

const options = (name: MetricName) => ({ unit: metricNames[name][0], description: metricNames[name][1] });

/** Seconds; from 50 µs to 10 s, fine where the gateway's own cost lies. */
const latencyBuckets = [
  0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Counts in plain numbers and tells OpenTelemetry only when it collects: an increment costs nanoseconds on the hot path. */
export interface Tally {
  add(label: string, amount?: number): void;
}

/** A counter with one label. `label` values must come from a closed list. */
export function tally(meter: Meter, name: MetricName, label: string): Tally {
  const counts = new Map<string, number>();
  meter.createObservableCounter(name, options(name)).addCallback((result) => {
    for (const [value, count] of counts) result.observe(count, { [label]: value });
  });
  return { add: (value, amount = 1) => void counts.set(value, (counts.get(value) ?? 0) + amount) };
}

/** A gauge that is read when someone collects. */
export function gauge(meter: Meter, name: MetricName, read: () => number, attributes: Attributes = {}): void {
  meter.createObservableGauge(name, options(name)).addCallback((result) => result.observe(read(), attributes));
}

/** A latency histogram; record seconds. */
export function latency(meter: Meter, name: MetricName): { record(seconds: number, attributes?: Attributes): void } {
  return meter.createHistogram(name, { ...options(name), advice: { explicitBucketBoundaries: latencyBuckets } });
}
