/**
 * The edge's own view of EVENTS: whether it is fresh (the lease of I7), which sequence a decision must at least have seen,
 * and who has been withdrawn. Holds no policy and no list of people: only who has just lost something.
 */
import { followEvents, type Logger } from "@sallyport/runtime";
import type { NatsConnection } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Event } from "@sallyport/proto/event";
import type { Principal } from "@sallyport/proto/principal";
import type { AccessWindow } from "@sallyport/proto/verdict";
import { EVENTS_STREAM, eventsOfService } from "@sallyport/proto/subjects";

/** Where events come from. `followEventStream` is the real one. */
export interface EventSource {
  /** Calls `onEvent` for every event behind `baseline`, in order. */
  follow(onEvent: (event: Event, seq: number) => void): Promise<FollowedEvents>;
}

export interface FollowedEvents {
  /** what was there before: whoever decides must have seen it */
  readonly baseline: number;
  /** performance.now() up to which the state counts as fresh */
  freshUntil(): number;
  stop(): Promise<void>;
}

/** What a live session asks of the leases. `newest` rises when something happened that its verdicts depend on. */
export interface Scope {
  readonly connection: string;
  readonly database: string;
  readonly principalId: string;
  newest: number;
}

/** What a withdrawal names. */
export interface Withdrawal {
  readonly principalId: string;
  readonly tokenIds: readonly string[];
  /** `tokenIds` only (false), or the principal and everything it created (true) */
  readonly everything: boolean;
  /** tokens that were asked for with these may not be named: whoever could hold one is to be asked about */
  readonly withDescendants: boolean;
}

/** Access for a time that has begun or ended. */
export interface AccessChange {
  readonly approvalId: string;
  readonly principalId: string;
  readonly connection: string;
  readonly database: string;
  readonly ended: boolean;
}

export interface LeaseListener {
  withdrawn(withdrawal: Withdrawal): void;
  groupsChanged(principalId: string): void;
  /** policies, or what they speak of */
  rulesChanged(): void;
  accessChanged(change: AccessChange): void;
}

/** Withdrawals are remembered for logins that are under way just then. */
const REMEMBERED = 10_000;
const POLL_MS = 10;

export class Leases {
  private source: FollowedEvents | undefined;
  private everything = 0;
  private readonly schemas = new Map<string, number>();
  private readonly groups = new Map<string, number>();
  private readonly access = new Map<string, number>();
  private readonly principalsWithdrawn = new Map<string, number>();
  private readonly tokensWithdrawn = new Map<string, number>();
  private readonly scopes = new Set<Scope>();
  private readonly listener: LeaseListener;

  private constructor(listener: LeaseListener) {
    this.listener = listener;
  }

  static async open(source: EventSource, listener: LeaseListener): Promise<Leases> {
    const leases = new Leases(listener);
    leases.source = await source.follow((event, seq) => leases.fold(event, seq));
    leases.everything = Math.max(leases.everything, leases.source.baseline);
    return leases;
  }

  /** Is there a lease? Nothing is admitted without one. */
  valid(): boolean {
    return this.source !== undefined && performance.now() < this.source.freshUntil();
  }

  /** ms for which the present lease is still good; negative: none */
  remainingMs(): number {
    return this.source === undefined ? -1 : this.source.freshUntil() - performance.now();
  }

  /** Waits for a lease, at most `deadlineMs`. */
  async whenValid(deadlineMs: number): Promise<boolean> {
    const deadline = performance.now() + deadlineMs;
    while (!this.valid()) {
      if (performance.now() >= deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
  }

  /** The newest sequence that a decision in this place must have seen. */
  newest(connection: string, database: string, principalId: string): number {
    return Math.max(
      this.everything,
      this.schemas.get(schemaKey(connection, database)) ?? 0,
      this.groups.get(principalId) ?? 0,
      this.access.get(accessKey({ connection, database, principalId })) ?? 0,
    );
  }

  scope(connection: string, database: string, principalId: string): Scope {
    const scope = { connection, database, principalId, newest: this.newest(connection, database, principalId) };
    this.scopes.add(scope);
    return scope;
  }

  release(scope: Scope): void {
    this.scopes.delete(scope);
  }

  /** The newest sequence at which a principal's groups changed, as far as we have seen. */
  groupsChangedAt(principalId: string): number {
    return this.groups.get(principalId) ?? 0;
  }

  /** Was the principal, its token, or whoever created it, withdrawn after `asOf`? */
  withdrawnSince(principal: Principal, asOf: number): boolean {
    const after = (seq: number | undefined): boolean => seq !== undefined && seq > asOf;
    return (
      after(this.tokensWithdrawn.get(principal.tokenId)) ||
      after(this.principalsWithdrawn.get(principal.id)) ||
      principal.createdBy.some((creator) => after(this.principalsWithdrawn.get(creator))) ||
      principal.actors.some((actor) => after(this.principalsWithdrawn.get(actor.id)))
    );
  }

  stop(): Promise<void> {
    return this.source?.stop() ?? Promise.resolve();
  }

  private fold(event: Event, seq: number): void {
    const fact = event.fact;
    switch (fact?.$case) {
      case "configurationApplied":
        this.everything = Math.max(this.everything, seq);
        for (const scope of this.scopes) scope.newest = Math.max(scope.newest, seq);
        this.listener.rulesChanged();
        return;
      case "columnsCopied":
        // Another connection may lead to the same database.
        this.everything = Math.max(this.everything, seq);
        for (const scope of this.scopes) scope.newest = Math.max(scope.newest, seq);
        return;
      case "schemaObserved": {
        const { connection, database } = fact.value;
        this.schemas.set(schemaKey(connection, database), seq);
        for (const scope of this.scopes) {
          if (scope.connection === connection && scope.database === database) scope.newest = seq;
        }
        return;
      }
      case "principalGroupsChanged": {
        const { principalId } = fact.value;
        this.groups.set(principalId, seq);
        for (const scope of this.scopes) if (scope.principalId === principalId) scope.newest = seq;
        this.listener.groupsChanged(principalId);
        return;
      }
      case "tokenRevoked": {
        const { tokenId, principalId, withDescendants } = fact.value;
        this.withdraw({ principalId, tokenIds: [tokenId], everything: false, withDescendants }, seq);
        return;
      }
      case "providerSessionEnded": {
        const { tokenIds, principalId } = fact.value;
        this.withdraw({ principalId, tokenIds, everything: false, withDescendants: false }, seq);
        return;
      }
      case "principalOffboarded": {
        const { tokenIds, principalId } = fact.value;
        this.withdraw({ principalId, tokenIds, everything: true, withDescendants: true }, seq);
        return;
      }
      case "breakGlassUsed":
      case "approvalGranted":
        // granted by some, and not by all yet: nothing has begun
        if (fact.value.window?.untilMs) this.changeAccess(fact.value.approvalId, fact.value.window, false, seq);
        return;
      case "approvalExpired":
      case "approvalWithdrawn":
        if (fact.value.window !== undefined) this.changeAccess(fact.value.approvalId, fact.value.window, true, seq);
        return;
      default:
        return;
    }
  }

  private changeAccess(approvalId: string, window: AccessWindow, ended: boolean, seq: number): void {
    const { principalId, connection, database } = window;
    const key = accessKey(window);
    remember(this.access, key, seq);
    for (const scope of this.scopes) if (accessKey(scope) === key) scope.newest = Math.max(scope.newest, seq);
    this.listener.accessChanged({ approvalId, principalId, connection, database, ended });
  }

  private withdraw(withdrawal: Withdrawal, seq: number): void {
    for (const tokenId of withdrawal.tokenIds) remember(this.tokensWithdrawn, tokenId, seq);
    if (withdrawal.everything) remember(this.principalsWithdrawn, withdrawal.principalId, seq);
    this.listener.withdrawn(withdrawal);
  }
}

/** Does a withdrawal end a session of this principal? */
export function endsSession(withdrawal: Withdrawal, principal: Principal): boolean {
  if (withdrawal.tokenIds.includes(principal.tokenId)) return true;
  if (!withdrawal.everything) return false;
  const id = withdrawal.principalId;
  return principal.id === id || principal.createdBy.includes(id) || principal.actors.some((actor) => actor.id === id);
}

/** Could a withdrawal concern this principal without naming its token? */
export function concerns(withdrawal: Withdrawal, principal: Principal): boolean {
  if (!withdrawal.withDescendants) return false;
  return principal.id === withdrawal.principalId || principal.createdBy.includes(withdrawal.principalId);
}

function schemaKey(connection: string, database: string): string {
  return `${connection}\0${database}`;
}

function accessKey({ principalId, connection, database }: Omit<AccessChange, "approvalId" | "ended">): string {
  return `${principalId}\0${schemaKey(connection, database)}`;
}

function remember(map: Map<string, number>, key: string, seq: number): void {
  map.delete(key);
  map.set(key, seq);
  if (map.size > REMEMBERED) map.delete(map.keys().next().value as string);
}

/** EVENTS from now on. What was there before counts as one: a decision must have seen all of it. */
export function followEventStream(nats: NatsConnection, log: Logger): EventSource {
  return {
    async follow(onEvent) {
      const manager = await jetstreamManager(nats, { checkAPI: false });
      const info = await manager.streams.info(EVENTS_STREAM);
      const baseline = info.state.last_seq;
      const follower = await followEvents(nats, {
        subjects: [eventsOfService("identity"), eventsOfService("catalog"), eventsOfService("approval")],
        from: baseline + 1,
        onEvent,
        log,
      });
      return { baseline, freshUntil: () => follower.freshUntil(), stop: () => follower.stop() };
    },
  };
}
