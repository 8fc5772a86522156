/**
 * One insert into `event_log`: whole messages, one partition. It is built while the insert before it runs.
 */
import { Event } from "@sallyport/proto/event";
import { messages } from "../../gen/messages.ts";
import { type FactJson, factJson, messageOf } from "./fact-json.ts";
import type { FrameBatchView } from "./frame-batch.ts";
import { kindOfEvent, kindOfRecord } from "./kinds.ts";
import { type RecordHeaderView, RecordHeaderReader, type SessionPart } from "./record-header.ts";
import {
  blockParts,
  type Column,
  encodedText,
  FixedStringColumn,
  NumberColumn,
  StringArrayColumn,
  StringColumn,
} from "./native-columns.ts";
import { WireError, WireReader } from "./wire-reader.ts";
import type { VerdictKeys } from "./verdict-mac.ts";

/** Where a message stood on the bus. */
export interface BusPosition {
  stream: string;
  /** when the stream was created: a stream made anew starts at 1 again */
  incarnation: string;
  sequence: number;
  /** microseconds since 1970, the bus's clock */
  timeUs: number;
}

export type EvidenceKind = "batch-repeated" | "batch-refused" | "batch-empty" | "message-unreadable";

/** Days since 1970 of the bus's time: the partition of a row. */
export const partitionOf = (timeUs: number): number => Math.floor(timeUs / 86_400e6);

const headers = new RecordHeaderReader();
const facts = new WireReader();
const recordFacts = (messages["RecordBody"] ?? []).map((row) => [row[0], messageOf(row[3])] as const);
const eventFacts = (messages["Event"] ?? [])
  .filter((row) => row[2] === "message")
  .map((row) => [row[0], messageOf(row[3])] as const);
const recordFact = new Map(recordFacts);
const eventFact = new Map(eventFacts);

const NONE = Buffer.alloc(0);
const EDGE = encodedText("edge");
const EMPTY = encodedText("");

/** `event_log` as it is inserted. */
function eventLogColumns() {
  return {
    stream: new StringColumn("stream"),
    incarnation: new StringColumn("incarnation"),
    streamSeq: new NumberColumn("stream_seq", "UInt64"),
    busTime: new NumberColumn("bus_time", "DateTime64(6, 'UTC')"),
    edge: new StringColumn("edge"),
    lane: new NumberColumn("lane", "UInt32"),
    epoch: new NumberColumn("epoch", "UInt64"),
    batchNo: new NumberColumn("batch_no", "UInt64"),
    batchHash: new StringColumn("batch_hash"),
    ord: new NumberColumn("ord", "UInt64"),
    idx: new NumberColumn("idx", "UInt32"),
    sessionId: new StringColumn("session_id"),
    principal: new StringColumn("principal"),
    actors: new StringArrayColumn("actors"),
    connection: new StringColumn("connection"),
    protocol: new StringColumn("protocol"),
    seq: new NumberColumn("seq", "UInt64"),
    at: new NumberColumn("at", "DateTime64(6, 'UTC')"),
    kind: new StringColumn("kind"),
    command: new NumberColumn("command", "UInt64"),
    service: new StringColumn("service"),
    aggregate: new StringColumn("aggregate"),
    eventId: new StringColumn("event_id"),
    data: new StringColumn("data"),
    sensitive: new StringColumn("sensitive"),
    header: new StringColumn("header"),
    body: new StringColumn("body"),
    chain: new FixedStringColumn("chain", 32),
  };
}

export class LogBlock {
  readonly #verdictKeys: VerdictKeys;
  readonly #columns = eventLogColumns();
  readonly #all: Column[] = Object.values(this.#columns);
  #partition = -1;
  rows = 0;
  messages = 0;
  /** of what was added, before columns are made of it */
  bytes = 0;
  /** bus time of the first and the newest message, microseconds */
  firstTimeUs = 0;
  lastTimeUs = 0;
  /** last sequence of each stream */
  readonly last = new Map<string, number>();
  /** kinds in the block, so that projections that need none of them are not run */
  readonly kinds = new Set<string>();

  constructor(verdictKeys: VerdictKeys) {
    this.#verdictKeys = verdictKeys;
  }

  /** The block in Native format. */
  parts(): Buffer[] {
    return blockParts(this.#all, this.rows);
  }

  /** Names of the columns, as an INSERT lists them. */
  columnNames(): string {
    return this.#all.map((column) => column.name).join(", ");
  }

  /** An insert touches one partition, so that it is one part: all of it or nothing. */
  fits(timeUs: number): boolean {
    return this.#partition < 0 || this.#partition === partitionOf(timeUs);
  }

  clear(): void {
    for (const column of this.#all) column.clear();
    this.#partition = -1;
    this.rows = this.messages = this.bytes = this.firstTimeUs = this.lastTimeUs = 0;
    this.last.clear();
    this.kinds.clear();
  }

  /**
   * @param hash `digestOf` the message
   * @param nextOrd order number of the first row
   * @returns how many rows were added
   * @throws WireError when a record is unreadable; nothing of the batch is in the block then
   */
  addBatch(position: BusPosition, bytes: Buffer, batch: FrameBatchView, hash: string, nextOrd: number): number {
    this.#all.forEach((column) => column.mark());
    try {
      for (let i = 0; i < batch.records; i++) this.#addRecord(bytes, batch.spans, i, nextOrd + i);
    } catch (error) {
      this.#all.forEach((column) => column.rollback());
      throw error;
    }
    const c = this.#columns;
    c.service.repeat(EDGE, batch.records);
    c.aggregate.repeat(EMPTY, batch.records);
    c.eventId.repeat(EMPTY, batch.records);
    this.#addMessage(
      position,
      { edge: batch.edge, lane: batch.lane, epoch: batch.epoch, batchNo: batch.batchNo },
      hash,
      batch.records,
    );
    return this.#added(position, batch.records, bytes.length);
  }

  #addMessage(position: BusPosition, batch: BatchId, hash: string, rows: number): void {
    const c = this.#columns;
    c.stream.repeat(encodedText(position.stream), rows);
    c.incarnation.repeat(encodedText(position.incarnation), rows);
    c.streamSeq.repeat(position.sequence, rows);
    c.busTime.repeat(position.timeUs, rows);
    c.edge.repeat(encodedText(batch.edge), rows);
    c.lane.repeat(batch.lane, rows);
    c.epoch.repeat(batch.epoch, rows);
    c.batchNo.repeat(batch.batchNo, rows);
    c.batchHash.repeat(encodedText(hash), rows);
  }

  #addRecord(bytes: Buffer, spans: Int32Array, i: number, ord: number): void {
    const at = i * 6;
    const bodyStart = spans[at + 2] as number;
    const bodyEnd = spans[at + 3] as number;
    const header = headers.read(bytes, spans[at] as number, spans[at + 1] as number);
    const fact = this.#readFact(bytes, bodyStart, bodyEnd, header);
    const session = sessionColumns(header.session);
    const c = this.#columns;
    c.ord.add(ord);
    c.idx.add(i);
    c.sessionId.encoded(session.sessionId);
    c.principal.encoded(session.principal);
    c.actors.add(session.actors);
    c.connection.encoded(session.connection);
    c.protocol.encoded(session.protocol);
    c.seq.add(header.seq);
    c.at.add(header.atUs);
    this.#addKind(kindOfRecord(header.kind));
    c.command.add(fact.command);
    c.data.text(fact.data);
    c.sensitive.text(fact.sensitive);
    c.header.slice(bytes, spans[at] as number, spans[at + 1] as number);
    c.body.slice(bytes, bodyStart, bodyEnd);
    c.chain.slice(bytes, spans[at + 4] as number, spans[at + 5] as number);
  }

  #addKind(kind: string): void {
    this.kinds.add(kind);
    let encoded = encodedKinds.get(kind);
    if (encoded === undefined) encodedKinds.set(kind, (encoded = encodedText(kind)));
    this.#columns.kind.encoded(encoded);
  }

  #readFact(bytes: Buffer, start: number, end: number, header: RecordHeaderView): FactJson {
    if (end - start !== header.bodyLength) throw new WireError("body is not as long as its header says");
    const reader = facts.over(bytes, start, end);
    const tag = reader.varint();
    const length = reader.length();
    if (tag !== ((header.kind << 3) | 2) || reader.pos + length !== end)
      throw new WireError("body is not of its header's kind");
    const message = recordFact.get(header.kind);
    // a kind that a newer edge knows: stored as it is, shown without content
    if (message === undefined) return { data: "{}", sensitive: "", command: 0 };
    const from = reader.pos;
    const fact = factJson(message, bytes, from, end);
    if (message.name === "VerdictReached") fact.data = this.#verdictKeys.withCheck(bytes, from, end, fact.data);
    return fact;
  }

  /** @throws WireError when the bytes are no Event; nothing is in the block then */
  addEvent(position: BusPosition, bytes: Buffer, ord: number): number {
    const event = decodeEvent(bytes);
    const c = this.#columns;
    c.ord.add(ord);
    c.principal.text(event.cause);
    c.seq.add(position.sequence);
    c.at.add(event.atMs * 1000);
    this.#addKind(event.kind);
    c.command.add(event.command);
    c.service.text(event.service);
    c.aggregate.text(event.aggregate);
    c.eventId.text(event.id);
    c.data.text(event.data);
    c.sensitive.text(event.sensitive);
    c.body.slice(bytes, 0, bytes.length);
    return this.#addWithoutSession(position, NO_BATCH, "", bytes.length);
  }

  /** A message that is not ingested as records, and why: so that every position on the bus is accounted for. */
  addEvidence(
    position: BusPosition,
    kind: EvidenceKind,
    data: Readonly<Record<string, unknown>>,
    body: Buffer,
    ord: number,
  ): number {
    return this.#addNote(position, kind, NO_BATCH, "", data, body, ord);
  }

  /** A batch without records still has a number that must not be missed. */
  addEmptyBatch(position: BusPosition, batch: BatchId, hash: string, ord: number): number {
    return this.#addNote(position, "batch-empty", batch, hash, {}, NONE, ord);
  }

  #addNote(
    position: BusPosition,
    kind: EvidenceKind,
    batch: BatchId,
    hash: string,
    data: object,
    body: Buffer,
    ord: number,
  ): number {
    const c = this.#columns;
    c.ord.add(ord);
    c.principal.addEmpty();
    c.seq.add(0);
    c.at.add(position.timeUs);
    this.#addKind(kind);
    c.command.add(0);
    c.service.text("audit");
    c.aggregate.addEmpty();
    c.eventId.addEmpty();
    c.data.text(JSON.stringify(data));
    c.sensitive.addEmpty();
    c.body.slice(body, 0, body.length);
    return this.#addWithoutSession(position, batch, hash, body.length);
  }

  #addWithoutSession(position: BusPosition, batch: BatchId, hash: string, bytes: number): number {
    const c = this.#columns;
    c.idx.add(0);
    c.sessionId.addEmpty();
    c.actors.add([]);
    c.connection.addEmpty();
    c.protocol.addEmpty();
    c.header.addEmpty();
    c.chain.slice(NONE, 0, 0);
    this.#addMessage(position, batch, hash, 1);
    return this.#added(position, 1, bytes);
  }

  #added(position: BusPosition, rows: number, bytes: number): number {
    this.#partition = partitionOf(position.timeUs);
    this.rows += rows;
    this.bytes += bytes;
    this.messages++;
    if (this.firstTimeUs === 0) this.firstTimeUs = position.timeUs;
    this.lastTimeUs = Math.max(this.lastTimeUs, position.timeUs);
    this.last.set(position.stream, position.sequence);
    return rows;
  }
}

export interface BatchId {
  edge: string;
  lane: number;
  epoch: number;
  batchNo: number;
}
const NO_BATCH: BatchId = { edge: "", lane: 0, epoch: 0, batchNo: 0 };

const encodedKinds = new Map<string, Buffer>();

interface SessionColumns {
  sessionId: Buffer;
  principal: Buffer;
  actors: Buffer[];
  connection: Buffer;
  protocol: Buffer;
}

const encodedSessions = new WeakMap<SessionPart, SessionColumns>();

function sessionColumns(session: SessionPart): SessionColumns {
  let columns = encodedSessions.get(session);
  if (columns === undefined) {
    columns = {
      sessionId: encodedText(session.sessionId),
      principal: encodedText(session.principalId),
      actors: session.actors.map(encodedText),
      connection: encodedText(session.connection),
      protocol: encodedText(session.protocol),
    };
    encodedSessions.set(session, columns);
  }
  return columns;
}

interface DecodedEvent {
  id: string;
  atMs: number;
  service: string;
  aggregate: string;
  cause: string;
  kind: string;
  command: number;
  data: string;
  sensitive: string;
}

function decodeEvent(bytes: Buffer): DecodedEvent {
  let event: Event;
  try {
    event = Event.decode(bytes);
  } catch (error) {
    throw new WireError(`no event: ${error instanceof Error ? error.message : String(error)}`);
  }
  let fact: FactJson = { data: "{}", sensitive: "", command: 0 };
  let number = 0;
  const reader = facts.over(bytes, 0, bytes.length);
  while (reader.pos < reader.end) {
    const tag = reader.varint();
    const message = eventFact.get(tag >>> 3);
    if (message === undefined || (tag & 7) !== 2) {
      // the fact of a kind that a newer service knows still has its number
      if ((tag & 7) === 2 && tag >>> 3 >= FIRST_FACT) number = tag >>> 3;
      reader.skip(tag & 7);
      continue;
    }
    const length = reader.length();
    const from = reader.pos;
    number = tag >>> 3;
    fact = factJson(message, bytes, from, from + length);
    reader.over(bytes, from + length, bytes.length);
  }
  return {
    id: event.id,
    atMs: event.atMs,
    service: event.service,
    aggregate: event.aggregate,
    cause: event.cause,
    kind: kindOfEvent(number),
    command: fact.command,
    data: fact.data,
    sensitive: fact.sensitive,
  };
}

const FIRST_FACT = 20;
