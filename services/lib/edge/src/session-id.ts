/** ULIDs (https://github.com/ulid/spec): time-ordered, unique, 26 characters. Never the same twice in one process. */
import { randomFillSync } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const random = new Uint8Array(16);
let lastMs = 0;

export function newSessionId(): string {
  // never going back, so that ids of this process are in the order of their making
  lastMs = Math.max(lastMs, Date.now());
  let ms = lastMs;
  let time = "";
  for (let i = 0; i < 10; i++) {
    time = (ALPHABET[ms % 32] as string) + time;
    ms = Math.floor(ms / 32);
  }
  randomFillSync(random);
  let rest = "";
  for (const byte of random) rest += ALPHABET[byte & 31] as string;
  return time + rest;
}
