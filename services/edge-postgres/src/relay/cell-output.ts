import type { CellOutput } from "@sallyport/edge";

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
    this.reserve(end - start);
    source.copy(this.bytes, this.at, start, end);
    this.at += end - start;
  }

  append(bytes: Buffer): void {
    this.copy(bytes, 0, bytes.length);
  }

  int32(value: number): void {
    this.reserve(4);
    this.bytes.writeInt32BE(value, this.at);
    this.at += 4;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.at++] = value;
  }

  taken(): Buffer {
    return this.bytes.subarray(0, this.at);
  }
}
