/**
 * The only place that spells a NATS subject, stream or bucket.
 *
 * FRAMES_<n>  frames.<n>.<edge>.<lane>                      FrameBatch
 * EVENTS      events.<service>.<aggregate kind>.<id>        Event, one aggregate per subject
 * COUNTS      counts.<edge>.<principal and connection>      HourCounts, the last one of each subject
 * (core)      control.<edge>                                cancel requests that reached another edge
 */

/** A token of a subject: letters, digits, `-` and `_`. Anything else is percent-like encoded with `=XX`. */
export function subjectToken(text: string): string {
  if (text.length === 0) return "=";
  return text.replace(/[^A-Za-z0-9_-]/g, (c) =>
    [...new TextEncoder().encode(c)].map((b) => `=${b.toString(16).padStart(2, "0")}`).join(""),
  );
}

export const EVENTS_STREAM = "EVENTS";
export const EVENTS_ALL = "events.>";
export const SNAPSHOT_BUCKET = "SNAPSHOTS";

export const framesStream = (partition: number): string => `FRAMES_${partition}`;
export const framesAll = (partition: number): string => `frames.${partition}.>`;
export const frames = (partition: number, edge: string, lane: number): string =>
  `frames.${partition}.${subjectToken(edge)}.${lane}`;
/** Everything that one edge instance may publish on FRAMES. */
export const framesOfEdge = (edge: string): string => `frames.*.${subjectToken(edge)}.*`;

export const COUNTS_STREAM = "COUNTS";
export const COUNTS_ALL = "counts.>";
/** Everything that one edge instance may say there. */
export const countsOfEdge = (edge: string): string => `counts.${subjectToken(edge)}.*`;
/** `key`: a hash of whose counts they are. */
export const counts = (edge: string, key: string): string => `counts.${subjectToken(edge)}.${subjectToken(key)}`;

export type EventService = "identity" | "catalog" | "approval" | "audit";
/** Aggregate kinds by the service that owns them. */
export type AggregateKind =
  | "principal"
  | "token"
  | "configuration"
  | "schema"
  | "copies"
  | "request"
  | "access"
  | "evidence";

export const eventsOfService = (service: EventService): string => `events.${service}.>`;
export const eventsOfKind = (service: EventService, kind: AggregateKind): string => `events.${service}.${kind}.*`;
export const event = (service: EventService, kind: AggregateKind, id: string): string =>
  `events.${service}.${kind}.${subjectToken(id)}`;

export const control = (edge: string): string => `control.${subjectToken(edge)}`;
/** A connection's private inbox: permissions are given on it, so that nobody reads another's replies. */
export const inboxPrefix = (instance: string): string => `_INBOX_${subjectToken(instance)}`;
