/**
 * What waits between its record's acknowledgement and the client: mask → record → **release**. Bytes leave in order, only
 * when acknowledged, and only as fast as the client takes them.
 */
import type { SessionRecorder } from "./recorder/session-recorder.ts";
import type { Sink } from "./gate-interface.ts";

type Item = Buffer | (() => void);

export class Outbox {
  /** handed to the client's socket */
  bytesReleased = 0;
  private readonly recorder: SessionRecorder;
  private readonly sink: Sink;
  private readonly items: (Item | undefined)[] = [];
  private readonly seqs: number[] = [];
  private head = 0;
  /** items before this index are acknowledged */
  private acked = 0;
  /** the client has not taken what it was given: what is acknowledged meanwhile counts against the session's bound */
  private blocked = false;
  private corked = false;
  private closed = false;

  constructor(recorder: SessionRecorder, sink: Sink) {
    this.recorder = recorder;
    this.sink = sink;
  }

  /** The record of `item` is the last one appended. */
  push(item: Item): void {
    if (this.closed) return;
    this.items.push(item);
    this.seqs.push(this.recorder.seq);
    this.recorder.whenAcked(this.onAcked);
  }

  /** Nothing more leaves. */
  close(): void {
    this.closed = true;
    this.items.length = 0;
    this.seqs.length = 0;
    this.uncork();
  }

  private readonly onAcked = (): void => {
    if (this.closed) return;
    const item = this.items[this.acked++] as Item;
    if (this.blocked) {
      if (item instanceof Buffer) this.recorder.hold(item.length);
      return;
    }
    // the next one is acknowledged by the same batch: both share one write to the socket
    if (this.acked < this.seqs.length && (this.seqs[this.acked] as number) <= this.recorder.ackedSeq) this.cork();
    else if (this.corked) {
      this.next();
      this.uncork();
      this.compact();
      return;
    }
    this.next();
    this.compact();
  };

  private next(): void {
    const item = this.items[this.head] as Item;
    this.items[this.head++] = undefined;
    if (typeof item === "function") return item();
    if (this.sink.destroyed) return;
    this.bytesReleased += item.length;
    if (!this.sink.write(item)) this.block();
  }

  private block(): void {
    this.blocked = true;
    // corked it would never drain
    this.uncork();
    this.sink.once("drain", () => this.drained());
  }

  private drained(): void {
    if (this.closed) return;
    this.blocked = false;
    let released = 0;
    this.cork();
    while (this.head < this.acked && !this.blocked) {
      const item = this.items[this.head] as Item;
      if (item instanceof Buffer) released += item.length;
      this.next();
      if (this.closed) return;
    }
    this.uncork();
    this.compact();
    if (released > 0) this.recorder.hold(-released);
  }

  private cork(): void {
    if (this.corked) return;
    this.corked = true;
    this.sink.cork();
  }

  private uncork(): void {
    if (!this.corked) return;
    this.corked = false;
    this.sink.uncork();
  }

  private compact(): void {
    if (this.head === this.items.length) {
      if (this.head === 0) return;
      this.items.length = 0;
      this.seqs.length = 0;
      this.head = 0;
      this.acked = 0;
    } else if (this.head > 512) {
      this.items.splice(0, this.head);
      this.seqs.splice(0, this.head);
      this.acked -= this.head;
      this.head = 0;
    }
  }
}
