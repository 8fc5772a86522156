/**
 * From the bus into `event_log`, exactly once: whole messages, one insert at a time, and after any failure on from where
 * the table says. What the records mean is nobody's business here.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AppError, type Logger } from "@sallyport/runtime";
import type { ClickHouse } from "../clickhouse/clickhouse.ts";
import type { EvidenceFacts } from "./evidence.ts";
import { digestOf, readFrameBatch } from "./frame-batch.ts";
import { type ClosedEpoch, type Gap, Lanes } from "./lanes.ts";
import { type BatchId, type BusPosition, type EvidenceKind, LogBlock } from "./log-block.ts";
import { gapsOfClosedEpochs, lastOrd, restoreLanes, streamStart } from "./position.ts";
import type { BusMessage, MessageSource } from "./source.ts";
import type { VerdictKeys } from "./verdict-mac.ts";
import { WireError } from "./wire-reader.ts";

export interface IngestSettings {
  /** how long a message waits for company before it is inserted, at least */
  flushMs: number;
  /** an insert is at most about this large */
  blockBytes: number;
  blockRows: number;
  /** how long a missing batch may still come before it is told */
  gapWaitMs: number;
}

export const defaultIngestSettings: IngestSettings = {
  flushMs: 100,
  blockBytes: 24 * 1024 * 1024,
  blockRows: 200_000,
  gapWaitMs: 10_000,
};

/** What was inserted, told after it is in the table. */
export interface Committed {
  /** order number of the last row */
  ord: number;
  /** last sequence of each stream that is in the table now */
  reached: ReadonlyMap<string, number>;
  rows: number;
  kinds: ReadonlySet<string>;
  /** bus time of the last message, microseconds */
  busTimeUs: number;
  /** traced messages of the block: from when they were read (ms since 1970) to now they were on their way in */
  traces: readonly { traceparent: string; readAtMs: number }[];
}

export interface IngestParts {
  clickhouse: ClickHouse;
  source: MessageSource;
  evidence: EvidenceFacts;
  verdictKeys: VerdictKeys;
  settings: IngestSettings;
  log: Logger;
  /** Where a stream stands in the table when ingestion begins. */
  positioned(stream: string, sequence: number): void;
  committed(block: Committed): void;
}

/** Work on the main thread is cut into turns of this length, so that questions are answered meanwhile. */
const TURN_MS = 8;
const RETRY_MS = 500;
/**
 * An insert has its price however few rows it has (a part, and its merges): under steady traffic the next one waits so many
 * times as long as the last one took, but no longer than `MAX_REST_MS`.
 */
const REST_FACTOR = 12;
const MAX_REST_MS = 400;
/** What is worth its price at once: there is more to come. */
const WORTH_ROWS = 20_000;
const WORTH_BYTES = 16 * 1024 * 1024;
const CATCHING_UP_SECONDS = 1;
/** Traced messages of a block that get a span. */
const MAX_TRACES = 100;

export class Ingester {
  readonly #parts: IngestParts;
  #filling: LogBlock;
  #spare: LogBlock;
  #lanes: Lanes;
  #ord = 0;
  #inserting: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #traces: { traceparent: string; readAtMs: number }[] = [];
  #turnStart = 0;
  /** performance.now() before which no small insert begins */
  #restUntil = 0;
  #failure: unknown;
  #stop: AbortController | undefined;
  /** what the block brought to light; told once it is in the table */
  #toTell: { gaps: Gap[]; closed: ClosedEpoch[] } = { gaps: [], closed: [] };
  /** bus time of the oldest message that was read and is not in the table, microseconds; 0: none */
  #oldestWaitingUs = 0;
  /** since start */
  readonly counts = { records: 0, events: 0, repeats: 0, refused: 0, unreadable: 0, brokenBatchChains: 0 };

  constructor(parts: IngestParts) {
    this.#parts = parts;
    this.#filling = new LogBlock(parts.verdictKeys);
    this.#spare = new LogBlock(parts.verdictKeys);
    this.#lanes = new Lanes(parts.settings.gapWaitMs);
  }

  /** Age of the oldest message that has been read and is not in the table yet. */
  lagSeconds(): number {
    return this.#oldestWaitingUs === 0 ? 0 : Math.max(0, Date.now() / 1e3 - this.#oldestWaitingUs / 1e6);
  }

  /** The bus is well ahead of the log: whatever can wait leaves the machine to ingestion. */
  get catchingUp(): boolean {
    return this.lagSeconds() > CATCHING_UP_SECONDS;
  }

  /** Ingests until `signal` is aborted; then the last block is in the table, or is read again after the next start. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#runOnce(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.log.error({ err: error }, "ingestion stopped; it goes on from where the table says");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async #runOnce(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    const both = AbortSignal.any([signal, stop.signal]);
    await this.#open();
    const streams = await this.#parts.source.streams();
    const overdue = setInterval(() => this.#tellOverdue(), Math.min(1000, this.#parts.settings.gapWaitMs));
    try {
      await Promise.all(
        streams.map(async (stream) => {
          const start = await streamStart(this.#parts.clickhouse.ingest, stream);
          if (start.lost > 0) {
            this.#parts.log.error(
              { stream: stream.name, lost: start.lost },
              "the bus has lost messages that the log has: it was restored, or lost power",
            );
          }
          this.#parts.positioned(stream.name, start.from - 1);
          for await (const message of this.#parts.source.read(stream.name, start.from, both)) {
            await this.#take(message, start.incarnation);
            if (both.aborted) break;
          }
        }),
      );
    } finally {
      clearInterval(overdue);
      stop.abort();
      if (this.#failure === undefined) await this.#flushAll();
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (!signal.aborted) throw new AppError("unavailable", "audit.ingest", "the bus has ended a stream's consumer");
  }

  async #open(): Promise<void> {
    const { clickhouse, settings, evidence } = this.#parts;
    await this.#inserting?.catch(() => undefined);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#failure = undefined;
    this.#toTell = { gaps: [], closed: [] };
    this.#traces = [];
    this.#oldestWaitingUs = this.#restUntil = 0;
    this.#filling.clear();
    this.#spare.clear();
    this.#lanes = new Lanes(settings.gapWaitMs);
    this.#ord = await lastOrd(clickhouse.ingest);
    await restoreLanes(clickhouse.ingest, this.#lanes, Date.now());
    for (const gap of await gapsOfClosedEpochs(clickhouse.ingest)) evidence.gap(gap);
    evidence.epochClosed();
  }

  async #take(message: BusMessage, incarnation: string): Promise<void> {
    await this.#room(message.timeUs);
    const position: BusPosition = {
      stream: message.stream,
      incarnation,
      sequence: message.sequence,
      timeUs: message.timeUs,
    };
    if (message.traceparent !== "" && this.#traces.length < MAX_TRACES) {
      this.#traces.push({ traceparent: message.traceparent, readAtMs: Date.now() });
    }
    if (this.#oldestWaitingUs === 0) this.#oldestWaitingUs = message.timeUs;
    this.#ord += message.isEvent ? this.#takeEvent(position, message.data) : this.#takeBatch(position, message);
    this.#schedule();
    if (performance.now() - this.#turnStart > TURN_MS) {
      await nextTurn();
      this.#turnStart = performance.now();
    }
  }

  /** Waits until a message of that time may go into the block that is being filled. */
  async #room(timeUs: number): Promise<void> {
    const { blockBytes, blockRows } = this.#parts.settings;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const block = this.#filling;
      if (block.fits(timeUs) && block.bytes < blockBytes && block.rows < blockRows) return;
      if (this.#inserting === undefined) this.#flush();
      else await this.#inserting;
    }
  }

  #takeEvent(position: BusPosition, data: Buffer): number {
    try {
      const rows = this.#filling.addEvent(position, data, this.#ord + 1);
      this.counts.events++;
      return rows;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return this.#keep(position, "message-unreadable", { why: error.message }, data);
    }
  }

  #takeBatch(position: BusPosition, message: BusMessage): number {
    const { data } = message;
    try {
      const batch = readFrameBatch(data);
      const name: BatchId = { edge: batch.edge, lane: batch.lane, epoch: batch.epoch, batchNo: batch.batchNo };
      if (!message.mayCarry(batch.edge, batch.lane)) {
        return this.#keep(position, "batch-refused", { why: "wrong-subject", ...name }, data);
      }
      const hex = digestOf(data, batch);
      const arrival = this.#lanes.judge(name, hex);
      if (arrival.kind === "repeat") return this.#keep(position, "batch-repeated", { ...name }, NOTHING);
      if (arrival.kind === "refuse") {
        this.#toTell.gaps.push({
          edge: name.edge,
          lane: name.lane,
          epoch: name.epoch,
          from: name.batchNo,
          to: name.batchNo,
        });
        return this.#keep(position, "batch-refused", { why: arrival.why, ...name }, data);
      }
      const before = this.#lanes.predecessorHash(name);
      const rows =
        batch.records === 0
          ? this.#filling.addEmptyBatch(position, name, hex, this.#ord + 1)
          : this.#filling.addBatch(position, data, batch, hex, this.#ord + 1);
      // only now: a batch that turned out unreadable is as if it had not come, and shows as a gap
      const { closed, gaps } = this.#lanes.accept(name, hex, Date.now());
      if (before !== undefined && before !== batch.prevHash) this.#brokenBatch(name);
      this.#toTell.gaps.push(...gaps);
      if (closed !== undefined) this.#toTell.closed.push(closed);
      this.counts.records += batch.records;
      return rows;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return this.#keep(position, "message-unreadable", { why: error.message }, data);
    }
  }

  #brokenBatch(name: BatchId): void {
    this.counts.brokenBatchChains++;
    this.#parts.log.error({ ...name }, "a batch does not name the one before it");
    this.#parts.evidence.brokenBatch(name);
  }

  #keep(position: BusPosition, kind: EvidenceKind, data: Record<string, unknown>, body: Buffer): number {
    if (kind === "batch-repeated") this.counts.repeats++;
    else {
      if (kind === "batch-refused") this.counts.refused++;
      else this.counts.unreadable++;
      this.#parts.log.warn(
        { stream: position.stream, sequence: position.sequence, kind, ...data },
        "a message was not ingested as records",
      );
    }
    return this.#filling.addEvidence(position, kind, data, body, this.#ord + 1);
  }

  #schedule(): void {
    const { flushMs, blockBytes, blockRows } = this.#parts.settings;
    if (this.#inserting !== undefined) return;
    const { bytes, rows } = this.#filling;
    if (bytes >= Math.min(blockBytes, WORTH_BYTES) || rows >= Math.min(blockRows, WORTH_ROWS)) this.#flush();
    else if (this.#timer === undefined) {
      const wait = Math.max(flushMs, this.#restUntil - performance.now());
      this.#timer = setTimeout(() => this.#flush(), wait);
    }
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#filling.rows === 0 || this.#failure !== undefined) return;
    const block = this.#filling;
    this.#filling = this.#spare;
    this.#spare = block;
    const told = this.#toTell;
    this.#toTell = { gaps: [], closed: [] };
    const traces = this.#traces;
    this.#traces = [];
    const committed: Committed = {
      ord: this.#ord,
      reached: new Map(block.last),
      rows: block.rows,
      kinds: new Set(block.kinds),
      traces,
      busTimeUs: block.lastTimeUs,
    };
    const started = performance.now();
    this.#inserting = this.#parts.clickhouse.ingest
      .insertNative("storage.event_log", block.columnNames(), block.parts())
      .then(
        () => {
          const now = performance.now();
          this.#restUntil = now + Math.min(MAX_REST_MS, (now - started) * REST_FACTOR);
          block.clear();
          this.#oldestWaitingUs = this.#filling.firstTimeUs;
          this.#parts.committed(committed);
          for (const gap of told.gaps) this.#parts.evidence.gap(gap);
          if (told.closed.length > 0) this.#parts.evidence.epochClosed();
        },
        (error: unknown) => {
          // whether it is in the table is not known: the table is asked
          this.#failure = error;
          this.#stop?.abort();
        },
      )
      .finally(() => {
        this.#inserting = undefined;
        if (this.#filling.rows > 0 && this.#failure === undefined) this.#schedule();
      });
  }

  async #flushAll(): Promise<void> {
    while (this.#inserting !== undefined || (this.#filling.rows > 0 && this.#failure === undefined)) {
      if (this.#inserting === undefined) this.#flush();
      await this.#inserting;
    }
  }

  #tellOverdue(): void {
    for (const gap of this.#lanes.overdue(Date.now())) {
      this.#parts.log.warn({ ...gap }, "batches are missing");
      this.#parts.evidence.gap(gap);
    }
  }
}

const NOTHING = Buffer.alloc(0);
