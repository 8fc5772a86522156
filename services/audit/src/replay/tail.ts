import type { ReplayItem } from "@sallyport/proto/audit";
import type { Session } from "../clickhouse/clickhouse.ts";
import type { Reader } from "../reader.ts";
import { itemOf, recordsAfter, recordsOf, type StoredRecord, viewOf } from "./replay.ts";
import type { SessionView } from "./session-view.ts";

/** Sessions followed at once by one reader; the one that was quiet for longest is read again from its beginning. */
const MAX_VIEWS = 200;

/** Tells those who follow the log how far it goes. */
export class Growth {
  #ord = 0;
  readonly #waiting = new Set<() => void>();

  get ord(): number {
    return this.#ord;
  }

  grown(ord: number): void {
    this.#ord = Math.max(this.#ord, ord);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Resolves when the log goes beyond `ord`, or `signal` is aborted. */
  async beyond(ord: number, signal: AbortSignal): Promise<void> {
    while (this.#ord <= ord && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }
}

/** What is ingested from now on, of one session or of all, as the reader may see it. */
export async function* tail(
  session: Session,
  growth: Growth,
  sessionId: string,
  reader: Reader,
  signal: AbortSignal,
): AsyncGenerator<ReplayItem> {
  const views = new Map<string, SessionView>();
  let ord = growth.ord;
  for (;;) {
    await growth.beyond(ord, signal);
    if (signal.aborted) return;
    const upTo = growth.ord;
    for (;;) {
      const records = await recordsAfter(session, ord, upTo, sessionId);
      for (const record of records) {
        if (signal.aborted) return;
        const view = views.get(record.session_id) ?? (await primed(session, record, reader));
        views.delete(record.session_id);
        views.set(record.session_id, view);
        if (views.size > MAX_VIEWS) views.delete(views.keys().next().value as string);
        yield itemOf(record, view);
        ord = record.ord;
        if (record.kind === "session-closed") views.delete(record.session_id);
      }
      if (records.length === 0) break;
    }
    ord = upTo;
  }
}

/** A view that has seen what the session did before the reader came. */
async function primed(session: Session, next: StoredRecord, reader: Reader): Promise<SessionView> {
  const view = await viewOf(next, reader);
  if (next.seq > 1) for await (const record of recordsOf(session, next.session_id, next.seq - 1)) itemOf(record, view);
  return view;
}
