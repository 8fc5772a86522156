import type { CellOutput } from "@sallyport/edge";

const SHORT = 32;

/** Where masked messages are built. A buffer that was taken is never written again: it is on its way to the client. */
export class GrowingOutput implements CellOutput {
  bytes: Buffer;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
  }

  reserve(length: number): void {
    if (this.at + length <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + length));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }

  copy(source: Buffer, start: number, end: number): void {
    const length = end - start;
    this.reserve(length);
    const { bytes, at } = this;
    // A call into the runtime costs more than a few bytes do.
    if (length < SHORT) for (let i = 0; i < length; i++) bytes[at + i] = source[start + i] as number;
    else source.copy(bytes, at, start, end);
    this.at = at + length;
  }

  append(bytes: Buffer): void {
    this.copy(bytes, 0, bytes.length);
  }

  int32(value: number): void {
    this.reserve(4);
    this.putInt32(value, this.at);
    this.at += 4;
  }

  /** Over what stands at `at`. */
  putInt32(value: number, at: number): void {
    const { bytes } = this;
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.at++] = value;
  }

  taken(): Buffer {
    return this.bytes.subarray(0, this.at);
  }
}
