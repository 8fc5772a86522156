import { createHash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

/**
 *   spt_  <43 characters: 32 random bytes, base62>  <6 characters: CRC-32 of those 43, base62>
 *
 * The prefix lets secret scanners find it; the checksum tells a mistyped token from an unknown one without a look-up.
 * Only SHA-256 of the whole is kept: 256 random bits need no slow hash.
 */
export const PERSONAL_PREFIX = "spt_";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BODY_LENGTH = 43;
const CHECK_LENGTH = 6;
const FORM = /^spt_[0-9A-Za-z]{49}$/;

export function newPersonalToken(bytes: Uint8Array = randomBytes(32)): string {
  const body = base62(bytes, BODY_LENGTH);
  return PERSONAL_PREFIX + body + checksum(body);
}

export function isWellFormed(token: string): boolean {
  if (!FORM.test(token)) return false;
  const body = token.slice(PERSONAL_PREFIX.length, -CHECK_LENGTH);
  return token.slice(-CHECK_LENGTH) === checksum(body);
}

export function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** `prefix_` and 22 characters of 16 bytes: an id that says nothing. */
export function newTokenId(prefix: "at" | "pt" | "wt", bytes: Uint8Array = randomBytes(16)): string {
  return `${prefix}_${base62(bytes.subarray(0, 16), 22)}`;
}

function checksum(body: string): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return base62(sum, CHECK_LENGTH);
}

function base62(bytes: Uint8Array, length: number): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  let text = "";
  while (text.length < length) {
    text = ALPHABET.charAt(Number(number % 62n)) + text;
    number /= 62n;
  }
  return text;
}
