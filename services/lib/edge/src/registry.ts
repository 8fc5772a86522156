/** Who is connected just now: for quotas, and so that a withdrawal finds everybody whom it concerns. */
import type { Principal } from "@sallyport/proto/principal";
import { type AccessChange, concerns, endsSession, type LeaseListener, type Withdrawal } from "./leases.ts";
import type { EndCause } from "./outcome.ts";

/** A session, or a login that is not yet one. */
export interface Present {
  readonly principal: Principal;
  end(cause: EndCause, message: string): void;
  /** what identity says of it may have changed */
  reread(): void;
  /** whether it may be connected may have changed */
  reconnect(): void;
  /** it may be there, or have something running, by that access */
  accessChanged(change: AccessChange): void;
}

export class Registry implements LeaseListener {
  private readonly present = new Set<Present>();
  private waiting: (() => void)[] = [];

  add(present: Present): void {
    this.present.add(present);
  }

  delete(present: Present): void {
    this.present.delete(present);
    if (this.present.size === 0) for (const then of this.waiting.splice(0)) then();
  }

  get size(): number {
    return this.present.size;
  }

  all(): Iterable<Present> {
    return this.present.values();
  }

  /** Resolves when nobody is left. */
  empty(): Promise<void> {
    if (this.present.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  withdrawn(withdrawal: Withdrawal): void {
    for (const one of this.present) {
      if (endsSession(withdrawal, one.principal)) one.end("revoked", "Your access has been withdrawn.");
      else if (concerns(withdrawal, one.principal)) one.reread();
    }
  }

  groupsChanged(principalId: string): void {
    for (const one of this.present) if (one.principal.id === principalId) one.reread();
  }

  rulesChanged(): void {
    for (const one of this.present) one.reconnect();
  }

  accessChanged(change: AccessChange): void {
    for (const one of this.present) if (one.principal.id === change.principalId) one.accessChanged(change);
  }
}
