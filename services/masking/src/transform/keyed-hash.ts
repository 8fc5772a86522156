import { createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

const INFO = "sallyport/masking/keyed-hash/v1\0";
const TOKEN_BYTES = 16;
/** Below this the key could be searched for, and every token with it. */
const MINIMUM_KEY_BYTES = 32;

/**
 * `hash`: equal values become equal tokens within one connection, and tokens of different connections cannot be compared.
 *
 * token = prefix ‖ hex(first 16 bytes of HMAC-SHA-256(K, cell bytes)),
 * K = HKDF-SHA-256(master key, salt empty, info "sallyport/masking/keyed-hash/v1\0" ‖ connection, 32 bytes) (RFC 5869).
 */
export class KeyedHash {
  readonly #master: Uint8Array;
  readonly #keys = new Map<string, KeyObject>();

  /** Throws on a key of less than 32 bytes. */
  constructor(master: Uint8Array) {
    if (master.length < MINIMUM_KEY_BYTES)
      throw new RangeError(`the masking key must have at least ${MINIMUM_KEY_BYTES} bytes`);
    this.#master = master;
  }

  token(connection: string, prefix: string, value: Uint8Array): string {
    const mac = createHmac("sha256", this.#keyOf(connection)).update(value).digest("hex");
    return prefix + mac.slice(0, 2 * TOKEN_BYTES);
  }

  #keyOf(connection: string): KeyObject {
    let key = this.#keys.get(connection);
    if (!key) {
      key = createSecretKey(Buffer.from(hkdfSync("sha256", this.#master, new Uint8Array(), INFO + connection, 32)));
      this.#keys.set(connection, key);
    }
    return key;
  }
}
