import { hash } from "node:crypto";
import { WireError, WireReader } from "./wire-reader.ts";

/**
 * A FrameBatch taken apart in place: no record becomes an object. `spans` has six numbers for each record: start and end
 * of header, body and chain in the message.
 */
export interface FrameBatchView {
  edge: string;
  lane: number;
  epoch: number;
  batchNo: number;
  /** `digestOf` the batch before; empty for the first */
  prevHash: string;
  /** where the records begin */
  headEnd: number;
  records: number;
  spans: Int32Array;
}

/** A batch of the contract's size holds no more: the smallest record takes some 40 bytes. */
const MAX_RECORDS = 65_536;
const CHAIN_BYTES = 32;

const batchReader = new WireReader();
const recordReader = new WireReader();

/**
 * @returns a view into `bytes`, valid as long as they are
 * @throws WireError when the bytes are no FrameBatch
 */
export function readFrameBatch(bytes: Buffer): FrameBatchView {
  const batch: FrameBatchView = {
    edge: "",
    lane: 0,
    epoch: 0,
    batchNo: 0,
    prevHash: "",
    headEnd: bytes.length,
    records: 0,
    spans: new Int32Array(192),
  };
  const reader = batchReader.over(bytes, 0, bytes.length);
  while (reader.pos < reader.end) {
    const tag = reader.varint();
    // `digestOf` covers what stands before the records
    if (batch.records > 0 && tag !== ((6 << 3) | 2)) throw new WireError("something stands behind the records");
    switch (tag) {
      case (1 << 3) | 2:
        batch.edge = text(reader);
        break;
      case (2 << 3) | 0:
        batch.lane = reader.varint();
        break;
      case (3 << 3) | 0:
        batch.epoch = reader.varint();
        break;
      case (4 << 3) | 0:
        batch.batchNo = reader.varint();
        break;
      case (5 << 3) | 2: {
        const length = reader.length();
        batch.prevHash = bytes.toString("hex", reader.pos, reader.pos + length);
        reader.pos += length;
        break;
      }
      case (6 << 3) | 2: {
        // of one byte, as the field's number is below 16
        if (batch.records === 0) batch.headEnd = reader.pos - 1;
        const length = reader.length();
        readRecord(batch, bytes, reader.pos, reader.pos + length);
        reader.pos += length;
        break;
      }
      default:
        reader.skip(tag & 7);
    }
  }
  if (batch.edge === "" || batch.epoch === 0 || batch.batchNo === 0)
    throw new WireError("batch without edge, epoch or number");
  return batch;
}

/** SHA-256(what stands before the records || chain of each record), hex: what the batch behind it must name. */
export function digestOf(bytes: Buffer, batch: FrameBatchView): string {
  const parts = [bytes.subarray(0, batch.headEnd)];
  for (let i = 0; i < batch.records; i++) parts.push(bytes.subarray(batch.spans[i * 6 + 4], batch.spans[i * 6 + 5]));
  return hash("sha256", Buffer.concat(parts), "hex");
}

function readRecord(batch: FrameBatchView, bytes: Buffer, start: number, end: number): void {
  if (batch.records === MAX_RECORDS) throw new WireError(`more than ${MAX_RECORDS} records in a batch`);
  if ((batch.records + 1) * 6 > batch.spans.length) {
    const larger = new Int32Array(batch.spans.length * 2);
    larger.set(batch.spans);
    batch.spans = larger;
  }
  const at = batch.records++ * 6;
  // absent parts are empty at the record's end
  batch.spans.fill(end, at, at + 6);
  const reader = recordReader.over(bytes, start, end);
  while (reader.pos < end) {
    const tag = reader.varint();
    const part = tag === 10 ? 0 : tag === 18 ? 2 : tag === 26 ? 4 : -1;
    if (part < 0) {
      reader.skip(tag & 7);
      continue;
    }
    const length = reader.length();
    batch.spans[at + part] = reader.pos;
    reader.pos += length;
    batch.spans[at + part + 1] = reader.pos;
  }
  if ((batch.spans[at + 5] as number) - (batch.spans[at + 4] as number) !== CHAIN_BYTES) {
    throw new WireError("record without a chain of 32 bytes");
  }
}

function text(reader: WireReader): string {
  const length = reader.length();
  const value = reader.bytes.toString("utf8", reader.pos, reader.pos + length);
  reader.pos += length;
  return value;
}
