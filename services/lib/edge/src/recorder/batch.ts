/**
 * A batch from its first record to its acknowledgement. Layout: FrameBatch's fields 1 to 5, then `records` (field 6),
 * each written once, straight into the batch's bytes.
 */
import { hash } from "node:crypto";
import { utf8 } from "./facts.ts";
import type { SessionRecorder } from "./session-recorder.ts";
import { writeBytesField, writeVarintField } from "./wire.ts";

/** FrameBatch, encoded, is at most this long. */
export const BATCH_BYTES = 512 * 1024;
/** What one record may take of a batch, so that it fits behind any head. */
export const RECORD_BYTES = BATCH_BYTES - 1024;

const POOLED = 8;
const CHAIN = 32;
/** Here a batch's head and chains are put behind one another, to be hashed at once. */
let gathered = Buffer.allocUnsafeSlow(16 * 1024);

/** Buffers of acknowledged batches, used again: the lane allocates nothing in steady state. */
export class SlabPool {
  private readonly free: Buffer[] = [];

  take(): Buffer {
    return this.free.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES);
  }

  give(slab: Buffer): void {
    if (this.free.length < POOLED) this.free.push(slab);
  }
}

export interface LaneName {
  edge: string;
  lane: number;
  /** ms since 1970 */
  epoch: number;
}

export class Batch {
  readonly no: number;
  readonly bytes: Buffer;
  /** write position */
  at: number;
  /** where the records begin */
  readonly bodyStart: number;
  records = 0;
  /** somebody waits for it */
  urgent = false;
  /** W3C traceparent of a command in it; empty: none is traced */
  traceparent = "";
  /** how often it was published */
  attempts = 0;
  /** published in the current round */
  sent = false;
  acked = false;
  /** performance.now() of the last publication */
  sentAt = 0;
  /** sessions with records in here; the same index in `lastSeq` and `bytesOf` */
  readonly sessions: SessionRecorder[] = [];
  readonly lastSeq: number[] = [];
  readonly bytesOf: number[] = [];
  /** where each record ends; its chain is the last that stands in it */
  private readonly ends: number[] = [];

  constructor(name: LaneName, no: number, prevHash: Uint8Array, slab: Buffer) {
    this.no = no;
    this.bytes = slab;
    let at = writeBytesField(slab, 0, 0x0a, utf8(name.edge));
    at = writeVarintField(slab, at, 0x10, name.lane);
    at = writeVarintField(slab, at, 0x18, name.epoch);
    at = writeVarintField(slab, at, 0x20, no);
    at = writeBytesField(slab, at, 0x2a, prevHash);
    this.at = at;
    this.bodyStart = at;
  }

  /** A record of `size` bytes has its place from `at` on. Returns where that was. */
  add(size: number): number {
    const start = this.at;
    this.at += size;
    this.records++;
    this.ends.push(this.at);
    return start;
  }

  room(): number {
    return BATCH_BYTES - this.at;
  }

  /** Encoded bytes of records. */
  filled(): number {
    return this.at - this.bodyStart;
  }

  encoded(): Buffer {
    return this.bytes.subarray(0, this.at);
  }

  /**
   * What the next batch's `prev_hash` must say: SHA-256(fields 1 to 5, encoded || chain of each record). A chain stands for its
   * record's bytes already, which are not hashed twice (measured: 4 ms for each MB of a result).
   */
  digest(): Buffer {
    const { bytes, bodyStart, ends } = this;
    const length = bodyStart + ends.length * CHAIN;
    if (length > gathered.length) gathered = Buffer.allocUnsafeSlow(length * 2);
    bytes.copy(gathered, 0, 0, bodyStart);
    let at = bodyStart;
    for (const end of ends) {
      bytes.copy(gathered, at, end - CHAIN, end);
      at += CHAIN;
    }
    return hash("sha256", gathered.subarray(0, length), "buffer");
  }
}
