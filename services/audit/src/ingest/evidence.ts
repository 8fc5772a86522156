/**
 * What ingestion brings to light, said on EVENTS: gaps, sessions that nobody ended, chains that do not hold. Each fact has a
 * subject of its own and is published there only as the first one, so that saying it again after a restart says nothing.
 */
import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import { event as eventSubject } from "@sallyport/proto/subjects";
import type { Logger } from "@sallyport/runtime";
import type { Session } from "../clickhouse/clickhouse.ts";
import { literal } from "../clickhouse/literal.ts";
import type { Gap } from "./lanes.ts";
import type { BatchId } from "./log-block.ts";

/** What ingestion has to say; none of it is waited for. */
export interface EvidenceFacts {
  gap(gap: Gap): void;
  /** An epoch is over: sessions that were open in it have no end. */
  epochClosed(): void;
  brokenBatch(batch: BatchId): void;
  brokenRecord(where: { sessionId: string; seq: number }): void;
  /** Records of a session that should be there and are not, although no batch is missing. */
  missingRecords(where: { sessionId: string; from: number; to: number }): void;
}

type Fact = NonNullable<Event["fact"]>;

/** JetStream's code for: the subject's last sequence is not the expected one. */
const WRONG_LAST_SEQUENCE = 10071;
const RETRY_MS = 1_000;

export interface EvidenceParts {
  nc: NatsConnection;
  session: Session;
  /** resolves when projections hold everything that is in the log now */
  projected(): Promise<void>;
  log: Logger;
  signal: AbortSignal;
}

export class Evidence implements EvidenceFacts {
  readonly #parts: EvidenceParts;
  readonly #said = new Set<string>();
  readonly #saying = new Set<Promise<void>>();
  #sweeping = false;
  #sweepAgain = false;
  /** gaps told since start */
  gaps = 0;

  constructor(parts: EvidenceParts) {
    this.#parts = parts;
  }

  gap(gap: Gap): void {
    this.gaps++;
    void this.#say(`gap-${gap.edge}-${gap.lane}-${gap.epoch}-${gap.from}`, {
      $case: "gapFound",
      value: {
        edge: gap.edge,
        lane: gap.lane,
        epoch: gap.epoch,
        fromBatch: gap.from,
        toBatch: gap.to,
        sessionId: "",
        fromSeq: 0,
        toSeq: 0,
      },
    });
  }

  missingRecords({ sessionId, from, to }: { sessionId: string; from: number; to: number }): void {
    this.gaps++;
    void this.#say(`gap-${sessionId}-${from}`, {
      $case: "gapFound",
      value: { edge: "", lane: 0, epoch: 0, fromBatch: 0, toBatch: 0, sessionId, fromSeq: from, toSeq: to },
    });
  }

  brokenBatch(batch: BatchId): void {
    void this.#say(`broken-${batch.edge}-${batch.lane}-${batch.epoch}-${batch.batchNo}`, {
      $case: "chainBroken",
      value: { ...batch, sessionId: "", seq: 0 },
    });
  }

  brokenRecord({ sessionId, seq }: { sessionId: string; seq: number }): void {
    void this.#say(`broken-${sessionId}-${seq}`, {
      $case: "chainBroken",
      value: { edge: "", lane: 0, epoch: 0, batchNo: 0, sessionId, seq },
    });
  }

  epochClosed(): void {
    this.#sweepAgain = true;
    if (!this.#sweeping) void this.#sweepWhileAsked();
  }

  async #sweepWhileAsked(): Promise<void> {
    this.#sweeping = true;
    while (this.#sweepAgain && !this.#parts.signal.aborted) {
      this.#sweepAgain = false;
      try {
        await this.#parts.projected();
        for (const lost of await lostSessions(this.#parts.session)) {
          void this.#say(lost.sessionId, { $case: "sessionLost", value: lost });
        }
      } catch (error) {
        if (this.#parts.signal.aborted) return;
        this.#parts.log.warn({ err: error }, "lost sessions could not be looked for; trying again");
        this.#sweepAgain = true;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#sweeping = false;
  }

  /** Resolves when all that there was to say is on the bus, or was there before. */
  async said(): Promise<void> {
    await Promise.all(this.#saying);
  }

  #say(id: string, fact: Fact): Promise<void> {
    if (this.#said.has(id)) return Promise.resolve();
    this.#said.add(id);
    const saying = this.#publish(id, fact).finally(() => this.#saying.delete(saying));
    this.#saying.add(saying);
    return saying;
  }

  async #publish(id: string, fact: Fact): Promise<void> {
    const subject = eventSubject("audit", "evidence", id);
    const bytes = encodeEvent(`evidence/${id}`, "", fact);
    for (;;) {
      try {
        await jetstream(this.#parts.nc).publish(subject, bytes, { expect: { lastSubjectSequence: 0 } });
        return;
      } catch (error) {
        if ((error as { code?: number }).code === WRONG_LAST_SEQUENCE) return;
        if (this.#parts.signal.aborted || this.#parts.nc.isClosed()) return;
        this.#parts.log.warn({ err: error, fact: fact.$case }, "evidence could not be published; trying again");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}

/** An event of this service, encoded. */
export function encodeEvent(aggregate: string, cause: string, fact: Fact, traceId = ""): Uint8Array {
  return Event.encode(
    Event.fromPartial({
      id: randomUUID(),
      atMs: Date.now(),
      service: "audit",
      aggregate,
      version: 1,
      cause,
      traceId,
      fact,
    }),
  ).finish();
}

interface Lost {
  sessionId: string;
  edge: string;
  epoch: number;
  lastSeq: number;
  openCommands: number[];
}

/** Open sessions of epochs after which their lane has begun a newer one. */
async function lostSessions(session: Session): Promise<Lost[]> {
  const epochs = "SELECT edge, lane, epoch, max(batch_no) FROM storage.event_log GROUP BY edge, lane, epoch";
  const rows = await session.rows<{ session_id: string; edge: string; epoch: number; open: number[] }>(
    `SELECT s.session_id AS session_id, s.edge AS edge, s.epoch AS epoch, c.open AS open
     FROM (SELECT session_id, edge, lane, epoch FROM storage.session_facts FINAL WHERE closed_at = 0 AND refused_at = 0 AND lost_at = 0 AND edge != '') AS s
     INNER JOIN (SELECT edge, lane, max(epoch) AS newest FROM (${epochs}) GROUP BY edge, lane) AS l ON s.edge = l.edge AND s.lane = l.lane
     LEFT JOIN (SELECT session_id, groupArray(command) AS open FROM storage.command_facts FINAL
                WHERE (admitted_at > 0 OR held_at > 0) AND completed_at = 0 AND denied_at = 0 GROUP BY session_id) AS c ON s.session_id = c.session_id
     WHERE s.epoch < l.newest`,
  );
  if (rows.length === 0) return [];
  const ids = rows.map((row) => literal(row.session_id)).join(", ");
  const last = await session.rows<{ session_id: string; seq: number }>(
    `SELECT session_id, max(seq) AS seq FROM storage.event_log WHERE session_id IN (${ids}) GROUP BY session_id`,
  );
  const lastSeq = new Map(last.map((row) => [row.session_id, row.seq]));
  return rows.map((row) => ({
    sessionId: row.session_id,
    edge: row.edge,
    epoch: row.epoch,
    lastSeq: lastSeq.get(row.session_id) ?? 0,
    openCommands: row.open,
  }));
}
