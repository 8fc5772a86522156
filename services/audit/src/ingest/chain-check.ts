/**
 * Checks every session's chain (invariant I8), in the engine and behind ingestion: hashing on the main thread would cost as
 * much as all the rest of ingestion.
 *
 *   chain = SHA-256(previous chain || header || SHA-256(body)); before the first stand 32 zero bytes
 */
import type { Logger } from "@sallyport/runtime";
import type { Session } from "../clickhouse/clickhouse.ts";
import { literal } from "../clickhouse/literal.ts";
import { gaveWay, type GiveWay, rested } from "../pace.ts";
import type { EvidenceFacts } from "./evidence.ts";

/** Records checked by one statement, at most. */
const STEP_ROWS = 100_000;
/** As the projector: most of the time is left to others. */
const REST_FACTOR = 9;
const MIN_REST_MS = 1_000;
const RETRY_MS = 2_000;

export interface ChainCheckParts {
  session: Session;
  evidence: EvidenceFacts;
  log: Logger;
  /** how long a missing record may still come, ms */
  gapWaitMs: number;
}

/** Over window `w`, in a session's order. FixedString keeps its zero bytes in `concat`; as String it would lose them. */
const CHAIN_HOLDS = "chain = SHA256(concat(lagInFrame(chain, 1, toFixedString('', 32)) OVER w, header, digest))";
/** What a check needs of a record: bodies are hashed where they are read, not carried about. */
const RECORD = "SELECT session_id, seq, header, chain, SHA256(body) AS digest";

/** A record whose predecessor was not there when it was looked at. */
interface Pending {
  sessionId: string;
  seq: number;
  since: number;
}

export class ChainCheck {
  readonly #parts: ChainCheckParts;
  #ord = 0;
  #target = 0;
  #wake: (() => void) | undefined;
  #pending: Pending[] = [];
  /** records whose chain does not hold, since start */
  broken = 0;

  constructor(parts: ChainCheckParts) {
    this.#parts = parts;
  }

  /** Goes on where it stood; what was pending then is looked at again. */
  async open(): Promise<void> {
    const [row] = await this.#parts.session.rows<{ ord: number }>(
      "SELECT max(ord) AS ord FROM storage.projection_positions WHERE name = 'chains'",
    );
    this.#ord = row?.ord ?? 0;
    const [log] = await this.#parts.session.rows<{ ord: number }>("SELECT max(ord) AS ord FROM storage.event_log");
    this.#target = log?.ord ?? 0;
  }

  checked(): number {
    return this.#ord;
  }

  grown(ord: number): void {
    this.#target = Math.max(this.#target, ord);
    this.#wake?.();
  }

  async run(signal: AbortSignal, giveWay: GiveWay = () => false): Promise<void> {
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
    while (!signal.aborted) {
      if (this.#ord >= this.#target && this.#pending.length === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
        continue;
      }
      await gaveWay(giveWay, signal);
      const started = performance.now();
      let rest = RETRY_MS;
      try {
        await this.step();
        rest = Math.max(MIN_REST_MS, (performance.now() - started) * REST_FACTOR);
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.log.error({ err: error }, "chains could not be checked; trying again");
      }
      await rested(rest, signal);
    }
  }

  /** Checks the next part of the log, and what was pending. */
  async step(): Promise<void> {
    const { session } = this.#parts;
    const from = this.#ord;
    const to = Math.min(this.#target, from + STEP_ROWS);
    if (to > from) {
      await this.#judge(`ord > ${from} AND ord <= ${to} AND session_id != ''`);
      this.#ord = to;
      await session.run(`INSERT INTO storage.projection_positions VALUES ('chains', ${to})`);
    }
    await this.#judgePending();
  }

  /** Judges the records of a window; one behind it is judged too when what stands before it is in the window. */
  async #judge(window: string): Promise<void> {
    const { session } = this.#parts;
    const runs = await session.rows<{ session_id: string; first: number; last: number }>(
      `SELECT session_id, min(seq) AS first, max(seq) AS last FROM
         (SELECT session_id, seq, seq - row_number() OVER (PARTITION BY session_id ORDER BY seq) AS run FROM storage.event_log WHERE ${window})
       GROUP BY session_id, run`,
    );
    if (runs.length === 0) return;
    const neighbours = runs.flatMap(({ session_id: id, first, last }) =>
      [first - 1, last + 1].map((seq) => `(${literal(id)}, ${seq})`),
    );
    const found = await session.rows<{ session_id: string; seq: number; before: number }>(
      `SELECT session_id, seq, before FROM
       (
         SELECT session_id, seq, inside, ${CHAIN_HOLDS} AS holds,
           lagInFrame(seq, 1, toUInt64(0)) OVER w AS before, lagInFrame(inside, 1, 0) OVER w AS before_inside
         FROM
         (
           ${RECORD}, 1 AS inside FROM storage.event_log WHERE ${window}
           UNION ALL
           ${RECORD}, 0 AS inside FROM storage.event_log WHERE (session_id, seq) IN (${neighbours.join(", ")})
         )
         WINDOW w AS (PARTITION BY session_id ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
       )
       WHERE (inside AND (before + 1 != seq OR NOT holds)) OR (before_inside AND before + 1 = seq AND NOT holds)
       LIMIT 10000`,
    );
    for (const { session_id: sessionId, seq, before } of found) {
      if (before + 1 === seq) this.#tell(sessionId, seq);
      else if (before !== seq) this.#pending.push({ sessionId, seq, since: Date.now() });
    }
  }

  #tell(sessionId: string, seq: number): void {
    this.broken++;
    this.#parts.log.error({ sessionId, seq }, "a record does not follow from the one before it");
    this.#parts.evidence.brokenRecord({ sessionId, seq });
  }

  async #judgePending(): Promise<void> {
    const now = Date.now();
    const pending = this.#pending.splice(0, 1000);
    for (const item of pending) {
      const rows = await this.#parts.session.rows<{ seq: number; ok: number }>(
        `SELECT seq, ${CHAIN_HOLDS} AS ok FROM (${RECORD} FROM storage.event_log WHERE session_id = ${literal(item.sessionId)} AND seq IN (${item.seq - 1}, ${item.seq}))
         WINDOW w AS (ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) ORDER BY seq`,
      );
      const [first, second] = rows;
      if (second !== undefined && first?.seq === item.seq - 1) {
        if (second.ok !== 1) this.#tell(item.sessionId, item.seq);
      } else if (item.seq === 1) {
        if (first?.ok !== 1) this.#tell(item.sessionId, 1);
      } else if (now - item.since < this.#parts.gapWaitMs) this.#pending.push(item);
      else await this.#tellMissing(item);
    }
  }

  async #tellMissing({ sessionId, seq }: Pending): Promise<void> {
    const [row] = await this.#parts.session.rows<{ before: number }>(
      `SELECT max(seq) AS before FROM storage.event_log WHERE session_id = ${literal(sessionId)} AND seq < ${seq}`,
    );
    this.#parts.log.error({ sessionId, from: (row?.before ?? 0) + 1, to: seq - 1 }, "records are missing");
    this.#parts.evidence.missingRecords({ sessionId, from: (row?.before ?? 0) + 1, to: seq - 1 });
  }
}
