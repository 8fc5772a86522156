/**
 * One session's records: numbers them, chains them, writes them where the lane says, and runs what waits for their
 * acknowledgement. chain = SHA-256(previous chain || header || SHA-256(body)).
 */
import { hash } from "node:crypto";
import { ColumnClass, RecordHeader, RecordKind } from "@sallyport/proto/record";
import type { Batch } from "./batch.ts";
import { nowUs } from "./clock.ts";
import {
  admittedSize,
  completedSize,
  forwardedSize,
  frameSize,
  writeAdmitted,
  writeCompleted,
  writeForwarded,
  writeFrame,
  type AdmittedFact,
  type CompletedFact,
} from "./facts.ts";
import type { Lane } from "./lane.ts";
import { varintFieldSize, varintSize, writeVarint, writeVarintField } from "./wire.ts";

/** A frame's data is cut at this length, so that no record fills a batch and memory is given back in steps. */
export const FRAME_BYTES = 64 * 1024;

const CHAIN = 32;

/** A digest, as `hash` gives it out fastest, into `out`. */
function writeLatin1(out: Buffer, digest: string, at: number): void {
  (out as Buffer & { latin1Write(text: string, at: number, length: number): void }).latin1Write(digest, at, CHAIN);
}
const NO_COLUMNS = new Uint8Array(0);

/** What every record of a session repeats. */
export interface RecordedSession {
  sessionId: string;
  principalId: string;
  actors: readonly string[];
  connection: string;
  protocol: string;
}

/** What the owner of a recorder is told. Called from the lane's own turn: must not throw. */
export interface RecorderOwner {
  /** `pressed` has become false */
  relieved(): void;
  /** the bus made no progress for too long: nothing more will be acknowledged to this session */
  busFailed(): void;
  /** what waited for an acknowledgement threw: nothing else that waits will run */
  fault(error: unknown): void;
}

const encodedColumns = new WeakMap<readonly ColumnClass[], Uint8Array>();

/** FrameToClient.columns (field 3), tags included. Kept as long as the array, which comes once per statement. */
function encodeColumns(columns: readonly ColumnClass[]): Uint8Array {
  if (columns.length === 0) return NO_COLUMNS;
  const known = encodedColumns.get(columns);
  if (known !== undefined) return known;
  const parts: Uint8Array[] = [];
  for (const column of columns) {
    const inner = ColumnClass.encode(column).finish();
    const head = new Uint8Array(1 + varintSize(inner.length));
    head[0] = 0x1a;
    writeVarint(head, 1, inner.length);
    parts.push(head, inner);
  }
  const bytes = Buffer.concat(parts);
  encodedColumns.set(columns, bytes);
  return bytes;
}

export class SessionRecorder {
  readonly owner: RecorderOwner;
  /** of the last record appended */
  seq = 0;
  /** of the last record acknowledged, with all before it */
  ackedSeq = 0;
  /** encoded and not acknowledged */
  unackedBytes = 0;
  /** bytes that the owner holds besides (acknowledged, not yet taken by the client) */
  heldBytes = 0;
  pressed = false;
  /** the lane has given up on this session */
  failed = false;

  /** the batch that the last direct record went into, and this session's index there */
  batch: Batch | undefined;
  batchIndex = 0;

  /** encoded records that wait for their turn, with their sequence */
  readonly queue: Buffer[] = [];
  readonly queueSeq: number[] = [];
  queueHead = 0;

  private readonly lane: Lane;
  /** previous chain || header || SHA-256(body); the constant part of the header stands there already */
  private readonly scratch: Buffer;
  private readonly headerConstant: number;
  private chainInput: Buffer;
  private lastAt = 0;

  private readonly waitSeq: number[] = [];
  private readonly waitFor: (() => void)[] = [];
  private waitHead = 0;

  private out: Buffer;
  private outAt = 0;
  private bodyStart = 0;

  constructor(lane: Lane, session: RecordedSession, owner: RecorderOwner) {
    this.lane = lane;
    this.owner = owner;
    const constant = RecordHeader.encode(
      RecordHeader.fromPartial({ ...session, actors: [...session.actors] }),
    ).finish();
    this.headerConstant = constant.length;
    this.scratch = Buffer.alloc(CHAIN + constant.length + 40 + CHAIN);
    this.scratch.set(constant, CHAIN);
    this.chainInput = this.scratch;
    this.out = this.scratch;
  }

  /** CommandAdmitted. Everything appended before it is acknowledged no later. */
  admitted(fact: AdmittedFact): void {
    const at = this.begin(RecordKind.RECORD_KIND_COMMAND_ADMITTED, admittedSize(fact));
    this.finish(writeAdmitted(this.out, at, fact), true);
  }

  /** CommandForwarded. Nobody waits for it: it may travel with the next batch, some milliseconds later. */
  forwarded(command: number): void {
    const at = this.begin(RecordKind.RECORD_KIND_COMMAND_FORWARDED, forwardedSize(command));
    this.finish(writeForwarded(this.out, at, command), false);
  }

  completed(fact: CompletedFact): void {
    const at = this.begin(RecordKind.RECORD_KIND_COMMAND_COMPLETED, completedSize(fact));
    this.finish(writeCompleted(this.out, at, fact), false);
  }

  /** FrameToClient; `data` at most FRAME_BYTES. */
  frameToClient(command: number, data: Uint8Array, columns: readonly ColumnClass[] | undefined): void {
    const encoded = columns === undefined ? NO_COLUMNS : encodeColumns(columns);
    const at = this.begin(RecordKind.RECORD_KIND_FRAME_TO_CLIENT, frameSize(command, data.length, encoded));
    this.finish(writeFrame(this.out, at, command, data, encoded), true);
  }

  /** FrameFromClient; `data` at most FRAME_BYTES. */
  frameFromClient(command: number, data: Uint8Array): void {
    const at = this.begin(RecordKind.RECORD_KIND_FRAME_FROM_CLIENT, frameSize(command, data.length, NO_COLUMNS));
    this.finish(writeFrame(this.out, at, command, data, NO_COLUMNS), true);
  }

  /** Any other fact, encoded by the generated code. `urgent`: somebody waits for it. */
  append(kind: RecordKind, fact: Uint8Array, urgent: boolean): void {
    const at = this.begin(kind, fact.length);
    this.out.set(fact, at);
    this.finish(at + fact.length, urgent);
  }

  /** The batch that is being formed carries this trace (W3C traceparent) to whoever reads it, unless it has one already. */
  traced(traceparent: string): void {
    this.lane.trace(traceparent);
  }

  /** Runs `then` when everything appended so far is acknowledged; at once when it is. In order. */
  whenAcked(then: () => void): void {
    if (this.ackedSeq >= this.seq && this.waitHead === this.waitFor.length) {
      then();
      return;
    }
    this.waitSeq.push(this.seq);
    this.waitFor.push(then);
  }

  /** The lane: everything up to `seq` is acknowledged. */
  acknowledge(seq: number, bytes: number): void {
    this.ackedSeq = seq;
    this.unackedBytes -= bytes;
    if (this.failed) return;
    try {
      while (this.waitHead < this.waitFor.length && (this.waitSeq[this.waitHead] as number) <= seq) {
        const then = this.waitFor[this.waitHead] as () => void;
        this.waitHead++;
        then();
      }
    } catch (error) {
      // a fault in one session's code is that session's own (I9)
      this.drop();
      this.owner.fault(error);
      return;
    }
    if (this.waitHead === this.waitFor.length) {
      this.waitHead = 0;
      this.waitFor.length = 0;
      this.waitSeq.length = 0;
    } else if (this.waitHead > 1024) {
      this.waitFor.splice(0, this.waitHead);
      this.waitSeq.splice(0, this.waitHead);
      this.waitHead = 0;
    }
  }

  /** Nothing that waits will run any more. Records may still be appended (the session's end). */
  drop(): void {
    this.failed = true;
    this.waitHead = 0;
    this.waitFor.length = 0;
    this.waitSeq.length = 0;
  }

  /** Tells the lane that `bytes` more (or less) are held for the client. */
  hold(bytes: number): void {
    this.heldBytes += bytes;
    this.lane.press(this);
  }

  /** Writes everything before the fact; returns where the fact is to be written. */
  private begin(kind: RecordKind, factSize: number): number {
    // a body's field number is its kind
    const bodyLength = 1 + varintSize(factSize) + factSize;
    const seq = this.seq + 1;
    const now = nowUs();
    const at = now > this.lastAt ? now : this.lastAt;
    const headerLength =
      this.headerConstant + 2 + varintFieldSize(seq) + varintFieldSize(at) + varintFieldSize(bodyLength);
    const recordLength = 2 + varintSize(headerLength) + headerLength + varintSize(bodyLength) + bodyLength + 2 + CHAIN;
    // throws when it is too long: nothing may have changed by then
    const out = this.lane.reserve(this, seq, 1 + varintSize(recordLength) + recordLength);
    this.seq = seq;
    this.lastAt = at;
    this.out = out;

    const scratch = this.scratch;
    let tail = CHAIN + this.headerConstant;
    tail = writeVarintField(scratch, tail, 0x30, seq);
    tail = writeVarintField(scratch, tail, 0x38, at);
    scratch[tail++] = 0x40;
    scratch[tail++] = kind;
    tail = writeVarintField(scratch, tail, 0x48, bodyLength);
    if (this.chainInput.length !== tail + CHAIN) this.chainInput = scratch.subarray(0, tail + CHAIN);

    let position = this.lane.reservedAt;
    out[position] = 0x32;
    position = writeVarint(out, position + 1, recordLength);
    out[position] = 0x0a;
    position = writeVarint(out, position + 1, headerLength);
    scratch.copy(out, position, CHAIN, tail);
    position += headerLength;
    out[position] = 0x12;
    position = writeVarint(out, position + 1, bodyLength);
    this.bodyStart = position;
    out[position] = (kind << 3) | 2;
    this.outAt = writeVarint(out, position + 1, factSize);
    return this.outAt;
  }

  private finish(end: number, urgent: boolean): void {
    const { out, scratch, chainInput } = this;
    const bodyHash = hash("sha256", out.subarray(this.bodyStart, end), "latin1");
    writeLatin1(scratch, bodyHash, chainInput.length - CHAIN);
    const chain = hash("sha256", chainInput, "latin1");
    writeLatin1(scratch, chain, 0);
    out[end] = 0x1a;
    out[end + 1] = CHAIN;
    writeLatin1(out, chain, end + 2);
    this.lane.appended(urgent);
  }
}
