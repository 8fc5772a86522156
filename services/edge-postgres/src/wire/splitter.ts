import { WireFault } from "./fault.ts";
import type { MessageTable } from "./message-table.ts";

/**
 * Cuts a byte stream into messages (section 54.2.1, "Messages Overview"):
 *
 *     byte    type
 *     int32   length, counting itself but not the type
 *     …       body
 *
 * Input may arrive in any split. Nothing is copied but messages that lie across two chunks. How a type is handed out
 * is its `Handing`; a run is handed out as one stretch of bytes, so rows that nobody looks at cost no allocation.
 *
 * The consumer calls `next()` until it says `more`, then `push()`es the next chunk.
 */
export const Handing = {
  /** One whole message at a time. */
  single: 0,
  /** As many whole messages of this type as lie behind one another in the chunk. */
  run: 1,
  /**
   * As `run`, but a last, incomplete message longer than `wholeUpTo` is handed out in pieces as it arrives: bounded memory
   * for any length.
   */
  flow: 2,
} as const;
export type Handing = (typeof Handing)[keyof typeof Handing];

export type Next = "more" | "message";

const HEADER = 5;
const NOTHING = Buffer.alloc(0);

export class MessageSplitter {
  /** Type byte of what was handed out. */
  type = 0;
  /** The bytes handed out: `bytes.subarray(start, end)`, headers included. Valid until the next `push`. */
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** Where the first message that begins in what was handed out does; before it lies the rest of a flowing one. */
  begins = 0;
  /** Messages that begin in what was handed out: 0 for the continuation of a flowing one. */
  count = 0;
  /** The stretch ends where a message ends. */
  whole = true;

  readonly #table: MessageTable;
  readonly #handing = new Uint8Array(256);
  #chunk: Buffer = NOTHING;
  #at = 0;
  /** A message that lies across chunks: its bytes so far. */
  #carry: Buffer | undefined;
  #carried = 0;
  /** Length of the carried message with its type byte; 0 while its header is incomplete. */
  #carryTotal = 0;
  /** Bytes of the flowing message that are still to come. */
  #flowing = 0;

  readonly #wholeUpTo: number;

  /** `wholeUpTo`: bytes of a flowing message that is still handed out whole, so that little is ever left half said. */
  constructor(table: MessageTable, wholeUpTo = 0) {
    this.#table = table;
    this.#wholeUpTo = wholeUpTo;
  }

  handOut(type: number, handing: Handing): void {
    this.#handing[type] = handing;
  }

  /** Bytes that are held here and were not handed out. */
  get held(): number {
    return this.#carried + (this.#chunk.length - this.#at);
  }

  /** True between messages: nothing of a flowing message is outstanding. */
  get atBoundary(): boolean {
    return this.#flowing === 0;
  }

  push(chunk: Buffer): void {
    if (this.#at < this.#chunk.length) throw new Error("the previous chunk was not used up");
    this.#chunk = chunk;
    this.#at = 0;
  }

  next(): Next {
    if (this.#flowing > 0) return this.#continueFlow();
    if (this.#carried > 0) return this.#fillCarry();
    const available = this.#chunk.length - this.#at;
    if (available < HEADER) return this.#beginCarry(available, 0);
    const type = this.#chunk[this.#at] as number;
    const total = this.#totalOf(this.#chunk, this.#at);
    switch (this.#handing[type]) {
      case Handing.flow:
        if (total > available && total <= this.#wholeUpTo) return this.#beginCarry(available, total);
        return this.#handOutRun(type, this.#at, 0, true);
      case Handing.run:
        if (total > available) return this.#beginCarry(available, total);
        return this.#handOutRun(type, this.#at, 0, false);
      default:
        if (total > available) return this.#beginCarry(available, total);
        this.#at += total;
        return this.#give(type, this.#chunk, this.#at - total, this.#at, 1);
    }
  }

  #give(type: number, bytes: Buffer, start: number, end: number, count: number): Next {
    this.type = type;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.begins = start;
    this.count = count;
    this.whole = true;
    return "message";
  }

  /** From `from` (already in the run) over all messages of `type` that follow. */
  #handOutRun(type: number, from: number, count: number, flow: boolean): Next {
    const chunk = this.#chunk;
    const length = chunk.length;
    let at = this.#at;
    while (at + HEADER <= length && chunk[at] === type) {
      const total = this.#totalOf(chunk, at);
      if (at + total > length) {
        if (!flow || total <= this.#wholeUpTo) break;
        count += 1;
        this.#flowing = at + total - length;
        at = length;
        break;
      }
      count += 1;
      at += total;
    }
    this.#at = at;
    this.#give(type, chunk, from, at, count);
    this.whole = this.#flowing === 0;
    return "message";
  }

  #continueFlow(): Next {
    const available = this.#chunk.length - this.#at;
    if (available === 0) return "more";
    const from = this.#at;
    if (this.#flowing > available) {
      this.#flowing -= available;
      this.#at = this.#chunk.length;
      this.#give(this.type, this.#chunk, from, this.#at, 0);
      this.whole = false;
      return "message";
    }
    this.#at += this.#flowing;
    this.#flowing = 0;
    const begins = this.#at;
    this.#handOutRun(this.type, from, 0, true);
    this.begins = begins;
    return "message";
  }

  #beginCarry(available: number, total: number): Next {
    if (available === 0) return "more";
    // A message of a claimed length is not paid for before its bytes are here.
    const carry = Buffer.allocUnsafe(total === 0 ? HEADER : Math.min(total, Math.max(4096, available * 2)));
    this.#chunk.copy(carry, 0, this.#at);
    this.#carry = carry;
    this.#carried = available;
    this.#carryTotal = total;
    this.#at = this.#chunk.length;
    return "more";
  }

  #fillCarry(): Next {
    let carry = this.#carry as Buffer;
    if (this.#carryTotal === 0) {
      this.#take(carry, HEADER);
      if (this.#carried < HEADER) return "more";
      const type = carry[0] as number;
      const total = this.#totalOf(carry, 0);
      if (this.#handing[type] === Handing.flow && total > this.#wholeUpTo) {
        this.#carry = undefined;
        this.#carried = 0;
        this.#flowing = total - HEADER;
        this.#give(type, carry, 0, HEADER, 1);
        this.whole = this.#flowing === 0;
        return "message";
      }
      this.#carryTotal = total;
    }
    const total = this.#carryTotal;
    while (this.#carried < total) {
      if (this.#at === this.#chunk.length) return "more";
      if (this.#carried === carry.length) carry = this.#grow(carry, total);
      this.#take(carry, Math.min(total, carry.length));
    }
    this.#carry = undefined;
    this.#carried = 0;
    this.#carryTotal = 0;
    return this.#give(carry[0] as number, carry, 0, total, 1);
  }

  #grow(carry: Buffer, total: number): Buffer {
    const incoming = this.#chunk.length - this.#at;
    const grown = Buffer.allocUnsafe(Math.min(total, Math.max(carry.length * 2, this.#carried + incoming)));
    carry.copy(grown, 0, 0, this.#carried);
    this.#carry = grown;
    return grown;
  }

  #take(carry: Buffer, upTo: number): void {
    const n = Math.min(upTo - this.#carried, this.#chunk.length - this.#at);
    this.#chunk.copy(carry, this.#carried, this.#at, this.#at + n);
    this.#carried += n;
    this.#at += n;
  }

  /** Length of the message at `at` with its type byte. Throws WireFault on an unknown type or a length out of bounds. */
  #totalOf(bytes: Buffer, at: number): number {
    const type = this.#table[bytes[at] as number];
    if (type === undefined) throw new WireFault(`unknown message type 0x${(bytes[at] as number).toString(16)}`);
    const length = bytes.readUInt32BE(at + 1);
    if (length < type.min) throw new WireFault(`${type.name}: length ${length} is below ${type.min}`);
    if (length > type.max) {
      throw new WireFault(
        `${type.name}: length ${length} is above ${type.max}`,
        type.min === type.max ? "08P01" : "54000",
      );
    }
    return length + 1;
  }
}
