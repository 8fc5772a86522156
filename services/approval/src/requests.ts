/** All requests as EVENTS has them: open ones, the latest that are over, and who waits for a change of them. */
import { aggregateId, StateCache, type Versioned } from "@sallyport/decider";
import type { Event } from "@sallyport/proto/event";
import { type ApprovalRequest, isOpen, requestDecider, type RequestState } from "./request.ts";
import { type Cause, Withdrawn } from "./withdrawn.ts";

const maxOver = 2_000;

export interface Known {
  id: string;
  request: ApprovalRequest;
  seq: number;
}

/** A reader of changes: ids that changed since the last look, each once. */
export interface Feed {
  /** Resolves with at least one id, or with none after `ms` or when the signal aborts. */
  next(ms: number): Promise<string[]>;
  close(): void;
}

export class Requests {
  readonly states = new StateCache<RequestState>(requestDecider);
  readonly withdrawn = new Withdrawn();
  readonly #open = new Set<string>();
  readonly #over = new Set<string>();
  /** open requests whose requester has lost access, and why */
  readonly #doomed = new Map<string, string>();
  readonly #feeds = new Set<{ dirty: Set<string>; wake: () => void; only: string | undefined }>();

  /** Folds one event of approval or identity. Gives the ids that someone has to look after. */
  fold(event: Event, seq: number): string[] {
    if (event.service !== "approval") return this.#foldIdentity(event);
    const id = aggregateId(event);
    const folded = this.states.fold(id, event, seq);
    if (!folded?.state) return [];
    this.#place(id, folded.state);
    this.#tell(id);
    return [id];
  }

  get(id: string): Known | undefined {
    return known(id, this.states.get(id));
  }

  /** Open ones, oldest first. */
  open(): Known[] {
    return [...this.#open].map((id) => this.get(id)).filter((one) => one !== undefined);
  }

  /** The latest that are over, oldest first. */
  over(): Known[] {
    return [...this.#over].map((id) => this.get(id)).filter((one) => one !== undefined);
  }

  openCount(): number {
    return this.#open.size;
  }

  doomed(id: string): string | undefined {
    return this.#doomed.get(id);
  }

  /** Changes of one request, or of all. */
  follow(only: string | undefined, signal: AbortSignal): Feed {
    let waiting: (() => void) | undefined;
    const reader = { dirty: new Set<string>(), only, wake: () => waiting?.() };
    this.#feeds.add(reader);
    const take = () => {
      const ids = [...reader.dirty];
      reader.dirty.clear();
      return ids;
    };
    return {
      next: async (ms) => {
        if (reader.dirty.size > 0 || signal.aborted) return take();
        await new Promise<void>((resolve) => {
          const timer = setTimeout(() => waiting?.(), ms);
          waiting = () => {
            waiting = undefined;
            clearTimeout(timer);
            signal.removeEventListener("abort", reader.wake);
            resolve();
          };
          signal.addEventListener("abort", reader.wake);
        });
        return take();
      },
      close: () => void this.#feeds.delete(reader),
    };
  }

  #foldIdentity(event: Event): string[] {
    const cause = this.withdrawn.fold(event);
    return cause ? this.open().flatMap((one) => this.#doom(one.id, one.request, cause)) : [];
  }

  #doom(id: string, request: ApprovalRequest, cause: Cause): string[] {
    const requester = request.request.principal;
    // Access for a time is a person's, whichever token it was asked for with: signing out does not end it.
    const why = request.window ? this.#offboarded(requester?.id) : requester && cause(requester);
    const approver = request.grants.find((grant) => this.withdrawn.isOffboarded(grant.approver))?.approver;
    if (why !== undefined) this.#doomed.set(id, why);
    else if (approver !== undefined) this.#doomed.set(id, `${approver}, who had granted it, was offboarded`);
    return this.#doomed.has(id) ? [id] : [];
  }

  #offboarded(id = ""): string | undefined {
    return this.withdrawn.isOffboarded(id) ? `${id} was offboarded` : undefined;
  }

  #place(id: string, request: ApprovalRequest): void {
    if (isOpen(request)) {
      this.#open.add(id);
      // Access may have ended between the check and the event.
      this.#doom(id, request, (principal) => this.withdrawn.cause(principal));
      return;
    }
    this.#doomed.delete(id);
    this.#open.delete(id);
    this.#over.add(id);
    if (this.#over.size <= maxOver) return;
    const oldest = this.#over.keys().next().value!;
    this.#over.delete(oldest);
    this.states.forget(oldest);
  }

  #tell(id: string): void {
    for (const reader of this.#feeds) {
      if (reader.only !== undefined && reader.only !== id) continue;
      reader.dirty.add(id);
      reader.wake();
    }
  }
}

export function known(id: string, versioned: Versioned<RequestState> | undefined): Known | undefined {
  return versioned?.state && { id, request: versioned.state, seq: versioned.seq };
}
