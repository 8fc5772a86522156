import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

/** What a sealed value is for; each purpose has a key of its own, so that one cannot be passed off as another. */
export type Purpose = "provider-refresh-token" | "login" | "device-login";

const NONCE = 12;
const TAG = 16;
const VERSION = 1;

/**
 *   1 byte: version, 1   12 bytes: nonce   n bytes: AES-256-GCM   16 bytes: tag
 *
 * `context` is authenticated with it: what was sealed for one principal does not open for another.
 */
export class Sealer {
  readonly #key: Buffer;

  /** `key`: 32 bytes */
  constructor(key: Uint8Array) {
    if (key.length !== 32) throw new Error("the sealing key must have 32 bytes");
    this.#key = Buffer.from(key);
  }

  seal(purpose: Purpose, context: string, plain: string): Buffer {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv("aes-256-gcm", this.#keyOf(purpose), nonce).setAAD(Buffer.from(context));
    const body = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
    return Buffer.concat([Buffer.of(VERSION), nonce, body, cipher.getAuthTag()]);
  }

  /** Undefined when it was not sealed with this key, for this purpose and context, or was changed. */
  open(purpose: Purpose, context: string, sealed: Uint8Array): string | undefined {
    if (sealed.length < 1 + NONCE + TAG || sealed[0] !== VERSION) return undefined;
    const nonce = sealed.subarray(1, 1 + NONCE);
    try {
      const decipher = createDecipheriv("aes-256-gcm", this.#keyOf(purpose), nonce, { authTagLength: TAG })
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(-TAG));
      return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE, -TAG)), decipher.final()]).toString("utf8");
    } catch {
      return undefined;
    }
  }

  #keyOf(purpose: Purpose): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#key, Buffer.alloc(0), `sallyport identity ${purpose}`, 32));
  }
}
