/**
 * The protobuf wire format (https://protobuf.dev/programming-guides/encoding/), read without making objects.
 *
 *   tag     = varint (field number << 3 | wire type)
 *   type 0  varint · type 1  8 bytes · type 2  length varint, bytes · type 5  4 bytes
 *
 * One cursor per module instance would be hidden state; a reader is made once and moved over many buffers instead.
 */
export class WireReader {
  bytes: Buffer = Buffer.alloc(0);
  pos = 0;
  end = 0;

  /** Points at [start, end) of `bytes`. */
  over(bytes: Buffer, start: number, end: number): this {
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
    return this;
  }

  /** An unsigned varint as a number: exact up to 2^53 - 1, refused beyond. */
  varint(): number {
    const { bytes, end } = this;
    let value = 0;
    let factor = 1;
    for (let n = 0; n < 10; n++) {
      if (this.pos >= end) throw new WireError("truncated varint");
      const byte = bytes[this.pos++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw new WireError("number beyond 2^53");
        return value;
      }
      factor *= 128;
    }
    throw new WireError("varint longer than 10 bytes");
  }

  /** A two's complement varint (int32, int64). */
  signedVarint(): number {
    const { bytes, end } = this;
    let value = 0n;
    let small = 0;
    for (let n = 0; n < 10; n++) {
      if (this.pos >= end) throw new WireError("truncated varint");
      const byte = bytes[this.pos++] as number;
      if (n < 4) small |= (byte & 0x7f) << (7 * n);
      value |= BigInt(byte & 0x7f) << BigInt(7 * n);
      if (byte < 0x80) return n < 4 ? small : Number(BigInt.asIntN(64, value));
    }
    throw new WireError("varint longer than 10 bytes");
  }

  /** Length of a length-delimited field; the cursor stands at its first byte afterwards. */
  length(): number {
    const length = this.varint();
    if (length > this.end - this.pos) throw new WireError("field longer than what holds it");
    return length;
  }

  /** Steps over a field that is not known here. */
  skip(wireType: number): void {
    if (wireType === 0) this.varint();
    else if (wireType === 2) {
      // `this.pos += this.length()` would add to the position from before the length was read
      const length = this.length();
      this.pos += length;
    } else if (wireType === 1 || wireType === 5) {
      const size = wireType === 1 ? 8 : 4;
      if (size > this.end - this.pos) throw new WireError("truncated number");
      this.pos += size;
    } else throw new WireError(`wire type ${wireType}`);
  }
}

/** The bytes are not what the contract says. Expected of hostile input: callers turn it into evidence. */
export class WireError extends Error {
  override name = "WireError";
}
