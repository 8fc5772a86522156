import { createHmac, timingSafeEqual } from "node:crypto";
import { WireReader } from "./wire-reader.ts";

/** Checks what `policy` signed: HMAC-SHA-256 over exactly the bytes of SignedVerdict.verdict (invariant I3). */
export class VerdictKeys {
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #reader = new WireReader();
  /** verdicts whose MAC was wrong or could not be checked */
  invalid = 0;

  /** @param keys by key id */
  constructor(keys: ReadonlyMap<string, Buffer>) {
    this.#keys = keys;
  }

  /**
   * @param start of an encoded VerdictReached in `bytes`
   * @returns its JSON with `mac_valid` added: true, false, or null when the key is not known here
   */
  withCheck(bytes: Buffer, start: number, end: number, json: string): string {
    const valid = this.#check(bytes, start, end);
    if (valid !== true) this.invalid++;
    return `${json.slice(0, -1)}${json === "{}" ? "" : ","}"mac_valid":${valid}}`;
  }

  #check(bytes: Buffer, start: number, end: number): boolean | null {
    const outer = this.#field(bytes, start, end, 1);
    if (outer === undefined) return false;
    const verdict = this.#field(bytes, outer[0], outer[1], 1);
    const mac = this.#field(bytes, outer[0], outer[1], 2);
    const keyId = this.#field(bytes, outer[0], outer[1], 3);
    const key = this.#keys.get(keyId === undefined ? "" : bytes.toString("utf8", keyId[0], keyId[1]));
    if (key === undefined) return null;
    if (verdict === undefined || mac === undefined || mac[1] - mac[0] !== 32) return false;
    const expected = createHmac("sha256", key).update(bytes.subarray(verdict[0], verdict[1])).digest();
    return timingSafeEqual(expected, bytes.subarray(mac[0], mac[1]));
  }

  /** Where the last field of that number, length-delimited, stands. */
  #field(bytes: Buffer, start: number, end: number, number: number): [number, number] | undefined {
    const reader = this.#reader.over(bytes, start, end);
    let found: [number, number] | undefined;
    while (reader.pos < end) {
      const tag = reader.varint();
      if (tag === ((number << 3) | 2)) {
        const length = reader.length();
        found = [reader.pos, reader.pos + length];
        reader.pos += length;
      } else reader.skip(tag & 7);
    }
    return found;
  }
}
