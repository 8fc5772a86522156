import { Frontend } from "./message-table.ts";

const HEADER = 5;

/**
 * CopyData messages of any length, in pieces: a message that is not all here goes on as several that are (section 54.2.7: where
 * a message ends means nothing). So whatever is sent ends where a message ends, and may be dropped from there on.
 */
export class CopyPieces {
  /** What was taken, as whole messages. */
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  /** of the message that has begun, still to come */
  #missing = 0;

  /** `bytes[start, end)`: CopyData as it came; it begins where the stretch before ended. */
  take(bytes: Buffer, start: number, end: number): void {
    const parts: Buffer[] = [];
    let at = start;
    if (this.#missing > 0) {
      at = Math.min(end, start + this.#missing);
      this.#missing -= at - start;
      parts.push(headerOf(at - start), bytes.subarray(start, at));
    }
    const from = at;
    let missing = 0;
    while (at < end) {
      const next = at + 1 + bytes.readUInt32BE(at + 1);
      if (next > end) {
        missing = next - end;
        break;
      }
      at = next;
    }
    if (parts.length === 0 && missing === 0) return this.#give(bytes, start, end);
    if (at > from) parts.push(bytes.subarray(from, at));
    if (missing > 0) {
      this.#missing = missing;
      if (at + HEADER < end) parts.push(headerOf(end - at - HEADER), bytes.subarray(at + HEADER, end));
    }
    const whole = Buffer.concat(parts);
    this.#give(whole, 0, whole.length);
  }

  #give(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }
}

function headerOf(length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header[0] = Frontend.copyData;
  header.writeUInt32BE(length + 4, 1);
  return header;
}
