import { jetstream, JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import { type AggregateKind, event as eventSubject, type EventService } from "@sallyport/proto/subjects";
import { AppError, contextOf, injectTrace, traceIdOf } from "@sallyport/runtime";
import { context } from "@opentelemetry/api";
import { randomUUID } from "node:crypto";
import type { Decider, Fact, Refusal } from "./decider.ts";
import { readSnapshot, type SnapshotFormat, writeSnapshot } from "./snapshots.ts";
import { StateCache, type Versioned } from "./state-cache.ts";
import { lastEvent, readSubject } from "./subject-reader.ts";

export interface StoreOptions<State, Command> {
  service: EventService;
  kind: AggregateKind;
  decider: Decider<State, Command>;
  /**
   * States that an EventFollower keeps current (`states.fold`); decisions then need no read. Default: a cache of the
   * 1,000 states used last.
   */
  states?: StateCache<State>;
  /** for long aggregates: a snapshot after every so many events */
  snapshots?: SnapshotFormat<State> & { every: number };
  now?: () => number;
  newId?: () => string;
  /** told when a snapshot could not be written; it is tried again later */
  onSnapshotError?: (error: unknown) => void;
}

export interface HandleContext {
  /** the principal on whose request it happens; "" for the service itself */
  cause: string;
  /** default: the active trace */
  traceparent?: string;
}

export type Handled<State> = ({ kind: "done"; events: Event[] } & Versioned<State>) | Refusal;

export interface Store<State, Command> {
  /**
   * Decides on the aggregate's current state and publishes what was decided; when somebody else was faster, it decides
   * again. `done` means acknowledged by JetStream. Throws `unavailable` when the bus does not answer (the facts may or may
   * not have been stored) and `conflict` after too many conflicts.
   */
  handle(id: string, command: Command, context: HandleContext): Promise<Handled<State>>;
  /** The state as the stream has it now. */
  load(id: string): Promise<Versioned<State>>;
}

const maxTries = 10;
/** For each try: a message that was lost with its connection is soon sent again. */
const publishTimeoutsMs = [500, 1_000, 2_000, 2_000];

export function openStore<State, Command>(
  nc: NatsConnection,
  options: StoreOptions<State, Command>,
): Store<State, Command> {
  return new EventStore(nc, options);
}

class EventStore<State, Command> implements Store<State, Command> {
  readonly #nc: NatsConnection;
  readonly #options: StoreOptions<State, Command>;
  readonly #states: StateCache<State>;
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #snapshotted = new Map<string, number>();

  constructor(nc: NatsConnection, options: StoreOptions<State, Command>) {
    this.#nc = nc;
    this.#options = options;
    this.#states = options.states ?? new StateCache(options.decider, 1_000);
  }

  load(id: string): Promise<Versioned<State>> {
    return this.#read(id);
  }

  /** Commands of one aggregate wait for each other here, so that they do not conflict on the stream. */
  handle(id: string, command: Command, where: HandleContext): Promise<Handled<State>> {
    const before = this.#queues.get(id);
    const mine = before ? before.then(() => this.#handle(id, command, where)) : this.#handle(id, command, where);
    const settled: Promise<void> = mine
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => {
        if (this.#queues.get(id) === settled) this.#queues.delete(id);
      });
    this.#queues.set(id, settled);
    return mine;
  }

  async #handle(id: string, command: Command, where: HandleContext): Promise<Handled<State>> {
    const { decider } = this.#options;
    let known = this.#states.get(id);
    let current = known !== undefined;
    for (let attempt = 0; attempt < maxTries; attempt++) {
      known ??= await this.#read(id);
      const decision = decider.decide(command, known.state);
      if (decision.kind === "refused") {
        // A refusal must not come from a state that somebody has changed meanwhile.
        if (!current) return decision;
        current = false;
        known = undefined;
        continue;
      }
      const done = await this.#publish(id, known, decision.events, where);
      if (done !== "conflict") return done;
      current = false;
      known = undefined;
    }
    throw new AppError("conflict", "decider.handle", "the aggregate is changed by too many at once");
  }

  async #publish(
    id: string,
    from: Versioned<State>,
    facts: readonly Fact[],
    where: HandleContext,
  ): Promise<Handled<State> | "conflict"> {
    const published: Event[] = [];
    let at = from;
    for (const fact of facts) {
      const event = this.#envelope(id, at.version + 1, fact, where);
      const seq = await this.#append(id, event, at.seq, where);
      if (seq === "conflict") {
        if (published.length === 0) return "conflict";
        throw new AppError("conflict", "decider.handle", "somebody else changed the aggregate in between");
      }
      at = { state: this.#options.decider.evolve(at.state, event), seq, version: event.version };
      published.push(event);
    }
    if (published.length > 0) this.#remember(id, at);
    this.#snapshot(id, at, published.at(-1));
    return { kind: "done", events: published, ...at };
  }

  #envelope(id: string, version: number, fact: Fact, where: HandleContext): Event {
    const { service, kind, now = Date.now, newId = randomUUID } = this.#options;
    const trace = where.traceparent === undefined ? context.active() : contextOf(where.traceparent);
    return {
      id: newId(),
      atMs: now(),
      service,
      aggregate: `${kind}/${id}`,
      version,
      cause: where.cause,
      traceId: traceIdOf(trace),
      fact,
    };
  }

  /** The sequence that the event got, or `conflict` when the subject has moved on. */
  async #append(
    id: string,
    event: Event,
    lastSubjectSequence: number,
    where: HandleContext,
  ): Promise<number | "conflict"> {
    const subject = this.#subject(id);
    const carried = headers();
    injectTrace(carried, where.traceparent === undefined ? context.active() : contextOf(where.traceparent));
    const bytes = Event.encode(event).finish();
    let lost: unknown;
    for (const timeout of publishTimeoutsMs) {
      try {
        // The message id makes a repetition after a lost acknowledgement harmless.
        const options = {
          msgID: event.id,
          expect: { lastSubjectSequence },
          timeout,
          headers: carried,
        };
        return (await jetstream(this.#nc).publish(subject, bytes, options)).seq;
      } catch (error) {
        if (!isWrongLastSequence(error)) lost = error;
        else {
          const last = await lastEvent(this.#nc, subject);
          return last?.event?.id === event.id ? last.seq : "conflict";
        }
      }
    }
    throw new AppError("unavailable", "decider.handle", "the event bus does not answer", { cause: lost });
  }

  async #read(id: string): Promise<Versioned<State>> {
    const { decider, snapshots, service, kind } = this.#options;
    const subject = this.#subject(id);
    const last = await lastEvent(this.#nc, subject);
    if (!last) return { state: decider.initial(), seq: 0, version: 0 };
    const known = this.#states.get(id);
    if (known && known.seq >= last.seq) return known;
    const snapshot =
      !known && snapshots && (last.event?.version ?? Number.POSITIVE_INFINITY) > snapshots.every
        ? await readSnapshot(this.#nc, { service, kind, id, subject }, snapshots)
        : undefined;
    let at: Versioned<State> = known ?? snapshot ?? { state: decider.initial(), seq: 0, version: 0 };
    for (const { event, seq } of await readSubject(this.#nc, subject, { after: at.seq, last })) {
      if (event === undefined || event.version <= at.version) {
        // Not this aggregate's, or one of its events again: it changes nothing, but the next one comes after it.
        at = { ...at, seq };
        continue;
      }
      if (event.version !== at.version + 1)
        throw new AppError("internal", "decider.load", `${subject}: version ${event.version} follows ${at.version}`);
      at = { state: decider.evolve(at.state, event), seq, version: event.version };
    }
    if (snapshot) this.#snapshotted.set(id, snapshot.version);
    this.#remember(id, at);
    return at;
  }

  #remember(id: string, at: Versioned<State>): void {
    const known = this.#states.get(id);
    if (!known || known.seq < at.seq) this.#states.put(id, at);
  }

  #snapshot(id: string, at: Versioned<State>, last: Event | undefined): void {
    const { snapshots, service, kind, onSnapshotError } = this.#options;
    if (!snapshots || !last || at.version - (this.#snapshotted.get(id) ?? 0) < snapshots.every) return;
    this.#snapshotted.set(id, at.version);
    writeSnapshot(this.#nc, { service, kind, id }, at, last.id, snapshots).catch((error: unknown) =>
      onSnapshotError?.(error),
    );
  }

  #subject(id: string): string {
    return eventSubject(this.#options.service, this.#options.kind, id);
  }
}

function isWrongLastSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence;
}
