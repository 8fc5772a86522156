/**
 * Is a message on EVENTS what a service said there, and said now? The bus lets only services publish on EVENTS; this is the
 * second line. What it refuses is skipped, not fatal, and the follower stays fresh: nothing that a service says is ever
 * unreadable, on another's subject or of a version that was there before, so nothing said is lost by skipping it. To stop
 * would hand whoever gets one message in the means to end everybody's access, again after every restart: EVENTS keeps it.
 */
import { Event } from "@sallyport/proto/event";
import { type AggregateKind, event as eventSubject, type EventService } from "@sallyport/proto/subjects";

export type Guarded =
  | { kind: "said"; event: Event }
  | { kind: "refused"; why: "unreadable" | "misplaced" | "repeated" };

/** Of so many aggregates the newest version is known; past that, those that were silent for longest are forgotten. */
const MAX_AGGREGATES = 500_000;

/** undefined: these bytes are no event */
export function readEvent(bytes: Uint8Array): Event | undefined {
  try {
    return Event.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Does the event belong on this subject? */
export function belongsOn({ service, aggregate }: Event, subject: string): boolean {
  const at = aggregate.indexOf("/");
  if (at <= 0) return false;
  const [kind, id] = [aggregate.slice(0, at), aggregate.slice(at + 1)];
  return subject === eventSubject(service as EventService, kind as AggregateKind, id);
}

export class EventGuard {
  readonly #max: number;
  readonly #versions = new Map<string, number>();

  constructor(max = MAX_AGGREGATES) {
    this.#max = max;
  }

  /** Asked once for each message, in the stream's order. */
  read(bytes: Uint8Array, subject: string): Guarded {
    const event = readEvent(bytes);
    if (event === undefined) return { kind: "refused", why: "unreadable" };
    if (!belongsOn(event, subject)) return { kind: "refused", why: "misplaced" };
    // Appended again, it has the version that it had. (A gap is no sign of that: who begins in the middle meets one.)
    if (event.version <= (this.#versions.get(subject) ?? 0)) return { kind: "refused", why: "repeated" };
    this.#versions.delete(subject);
    this.#versions.set(subject, event.version);
    if (this.#versions.size > this.#max) this.#versions.delete(this.#versions.keys().next().value!);
    return { kind: "said", event };
  }
}
