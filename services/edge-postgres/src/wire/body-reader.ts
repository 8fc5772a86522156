import { isUtf8 } from "node:buffer";
import { WireFault } from "./fault.ts";

/** NAMEDATALEN - 1 */
const LONGEST_NAME = 63;

/** Reads one message's body, `bytes[at, end)`; every read past `end` is a WireFault that names the message. */
export class BodyReader {
  at: number;
  readonly #what: string;
  readonly #bytes: Buffer;
  readonly #end: number;

  constructor(what: string, bytes: Buffer, at: number, end: number) {
    this.#what = what;
    this.#bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.at;
  }

  byte(): number {
    return this.#bytes[this.#advance(1)] as number;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#advance(2));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4));
  }

  /** A view, not a copy. */
  take(length: number): Buffer {
    const from = this.#advance(length);
    return this.#bytes.subarray(from, from + length);
  }

  /** A number of things of at least `size` bytes each: refused when they cannot all be here. */
  counted(count: number, size: number): number {
    if (count < 0 || count * size > this.left) throw this.fault(`${count} entries do not fit`);
    return count;
  }

  /** A zero-terminated string. */
  text(): string {
    return this.textBytes().toString("utf8");
  }

  /**
   * The name of a statement or portal. The server looks at its first 63 bytes only, so longer ones could mean one thing here
   * and another there: refused.
   */
  name(): string {
    const name = this.textBytes();
    if (name.length > LONGEST_NAME)
      throw new WireFault(`${this.#what}: a name is longer than ${LONGEST_NAME} bytes`, "42622");
    return name.toString("utf8");
  }

  /** The same as a view. Invalid UTF-8 is refused: what we read must be what the server reads. */
  textBytes(): Buffer {
    const zero = this.#bytes.indexOf(0, this.at);
    if (zero < 0 || zero >= this.#end) throw this.fault("string without its end");
    const view = this.#bytes.subarray(this.at, zero);
    this.at = zero + 1;
    if (!isUtf8(view)) throw new WireFault(`${this.#what}: text is not valid UTF-8`, "22021");
    return view;
  }

  done(): void {
    if (this.at !== this.#end) throw this.fault(`${this.left} bytes too many`);
  }

  fault(problem: string): WireFault {
    return new WireFault(`${this.#what}: ${problem}`);
  }

  #advance(n: number): number {
    const from = this.at;
    if (n < 0 || from + n > this.#end) throw this.fault("ends too early");
    this.at = from + n;
    return from;
  }
}
