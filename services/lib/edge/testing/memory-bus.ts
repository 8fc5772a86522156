/** A bus in memory that acknowledges when the test says so, and reads what was published with the generated code. */
import { hash } from "node:crypto";
import { FrameBatch, RecordBody, RecordHeader } from "@sallyport/proto/record";
import type { Answer, BatchPublisher } from "../src/recorder/lane.ts";

export interface Published {
  no: number;
  bytes: Buffer;
}

export interface ReadRecord {
  header: RecordHeader;
  body: RecordBody;
  kind: string;
}

export class MemoryBus implements BatchPublisher {
  onAnswer: (no: number, answer: Answer) => void = () => {};
  onConnection: (connected: boolean) => void = () => {};
  /** every publication, repeats included */
  readonly published: Published[] = [];
  /** of batches with a traced command in them */
  readonly traces: string[] = [];
  /** acknowledges by itself, in the next turn */
  automatic = false;
  private answered = 0;

  publish(no: number, bytes: Buffer, traceparent: string): void {
    if (traceparent !== "") this.traces.push(traceparent);
    this.published.push({ no, bytes: Buffer.from(bytes) });
    if (this.automatic) setImmediate(() => this.ack(no));
  }

  ack(no: number): void {
    this.onAnswer(no, { outcome: "stored" });
  }

  fail(no: number, reason = "full"): void {
    this.onAnswer(no, { outcome: "failed", reason });
  }

  /** Acknowledges, in order, everything that is published and not yet acknowledged here. */
  ackAll(): void {
    while (this.answered < this.published.length) this.ack((this.published[this.answered++] as Published).no);
  }

  close(): void {}

  /** Each batch once, in order. */
  batches(): FrameBatch[] {
    const byNo = new Map<number, Buffer>();
    for (const { no, bytes } of this.published) {
      const known = byNo.get(no);
      if (known !== undefined && !known.equals(bytes)) throw new Error(`batch ${no} was sent again with other bytes`);
      byNo.set(no, bytes);
    }
    return [...byNo].toSorted(([a], [b]) => a - b).map(([, bytes]) => FrameBatch.decode(bytes));
  }

  /** Every record in the order of the lane. */
  records(): ReadRecord[] {
    return this.batches().flatMap((batch) => batch.records.map(readRecord));
  }

  kinds(sessionId?: string): string[] {
    return this.records()
      .filter((record) => sessionId === undefined || record.header.sessionId === sessionId)
      .map((record) => record.kind);
  }
}

export function readRecord(record: { header: Buffer; body: Buffer }): ReadRecord {
  const body = RecordBody.decode(record.body);
  return { header: RecordHeader.decode(record.header), body, kind: body.fact?.$case ?? "" };
}

const sha = (...parts: Uint8Array[]): Buffer => hash("sha256", Buffer.concat(parts), "buffer");

/** What the batch behind this one must name. */
function digestOf(batch: FrameBatch): Buffer {
  const head = FrameBatch.encode({ ...batch, records: [] }).finish();
  return sha(head, ...batch.records.map((record) => record.chain));
}

/** Says what is wrong with batches of one lane, in order: numbers, hashes, sequences, chains. Empty: nothing. */
export function faultsOf(encoded: readonly Buffer[]): string[] {
  const faults: string[] = [];
  let previous: FrameBatch | undefined;
  const sessions = new Map<string, { seq: number; chain: Buffer }>();
  encoded.forEach((bytes, index) => {
    const batch = FrameBatch.decode(bytes);
    if (batch.batchNo !== index + 1) faults.push(`batch ${batch.batchNo} at place ${index + 1}`);
    const expected = previous === undefined ? Buffer.alloc(0) : digestOf(previous);
    if (!expected.equals(batch.prevHash)) faults.push(`prev_hash of batch ${batch.batchNo}`);
    previous = batch;
    for (const record of batch.records) {
      const header = RecordHeader.decode(record.header);
      const last = sessions.get(header.sessionId) ?? { seq: 0, chain: Buffer.alloc(32) };
      if (header.seq !== last.seq + 1) faults.push(`${header.sessionId}: ${header.seq} behind ${last.seq}`);
      if (header.bodyLength !== record.body.length) faults.push(`${header.sessionId}/${header.seq}: body length`);
      const chain = sha(last.chain, record.header, sha(record.body));
      if (!chain.equals(record.chain)) faults.push(`${header.sessionId}/${header.seq}: chain`);
      sessions.set(header.sessionId, { seq: header.seq, chain });
    }
  });
  return faults;
}
