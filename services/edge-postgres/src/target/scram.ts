import { createHash, createHmac, pbkdf2 as pbkdf2Callback, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

const pbkdf2 = promisify(pbkdf2Callback);

/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's side (RFC 5802, RFC 7677; PostgreSQL section 54.3.1). The user name
 * is left empty, as PostgreSQL wants it: it takes the one of the startup packet.
 */
export type ChannelBinding =
  /** no TLS, or a server that does not offer -PLUS over plain TCP */
  | { kind: "none" }
  /** TLS, but the server did not offer -PLUS: a server that could would notice that somebody removed it */
  | { kind: "supported" }
  /** `tls-server-end-point` (RFC 5929 section 4): hash of the server's certificate */
  | { kind: "bound"; data: Buffer };

/** The server's iterations are work that we do for it: bounded. PostgreSQL's default is 4096. */
const MAX_ITERATIONS = 1_000_000;
const MAX_MESSAGE = 4096;

export interface ScramExchange {
  readonly mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS";
  readonly clientFirst: string;
  /** Answers server-first with client-final; throws ScramFault on anything that is not RFC 5802. */
  answer(serverFirst: string): Promise<string>;
  /** Checks server-final: the server must know the password too. Throws ScramFault. */
  verify(serverFinal: string): void;
}

export class ScramFault extends Error {
  override readonly name = "ScramFault";
}

export function scram(
  password: string,
  binding: ChannelBinding,
  nonce: string = randomBytes(18).toString("base64"),
): ScramExchange {
  const gs2 = binding.kind === "bound" ? "p=tls-server-end-point,," : binding.kind === "supported" ? "y,," : "n,,";
  const bare = `n=,r=${nonce}`;
  const bound = binding.kind === "bound" ? binding.data : Buffer.alloc(0);
  let expectedSignature: Buffer | undefined;

  async function answer(serverFirst: string): Promise<string> {
    const fields = attributes(serverFirst);
    const combined = fields.get("r") ?? "";
    const salt = Buffer.from(fields.get("s") ?? "", "base64");
    const iterations = Number(fields.get("i") ?? "0");
    if (!combined.startsWith(nonce) || combined.length === nonce.length) throw new ScramFault("nonce is not ours");
    if (salt.length === 0) throw new ScramFault("no salt");
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > MAX_ITERATIONS) {
      throw new ScramFault("iteration count out of bounds");
    }
    // PostgreSQL takes passwords as they are when SASLprep does not apply; NFKC is SASLprep's normalisation.
    const salted = await pbkdf2(password.normalize("NFKC"), salt, iterations, 32, "sha256");
    const channel = Buffer.concat([Buffer.from(gs2), bound]).toString("base64");
    const withoutProof = `c=${channel},r=${combined}`;
    const signed = `${bare},${serverFirst},${withoutProof}`;
    const clientKey = hmac(salted, "Client Key");
    const signature = hmac(createHash("sha256").update(clientKey).digest(), signed);
    expectedSignature = hmac(hmac(salted, "Server Key"), signed);
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] as number)));
    return `${withoutProof},p=${proof.toString("base64")}`;
  }

  function verify(serverFinal: string): void {
    const signature = Buffer.from(attributes(serverFinal).get("v") ?? "", "base64");
    if (expectedSignature === undefined || signature.length !== expectedSignature.length) {
      throw new ScramFault("no server signature");
    }
    if (!timingSafeEqual(signature, expectedSignature)) throw new ScramFault("server signature is wrong");
  }

  const mechanism = binding.kind === "bound" ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
  return { mechanism, clientFirst: gs2 + bare, answer, verify };
}

const hmac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** `a=…,b=…`; a repeated or malformed attribute is refused, and so are extensions that must be understood (`m`). */
function attributes(message: string): Map<string, string> {
  if (message.length > MAX_MESSAGE) throw new ScramFault("message too long");
  const fields = new Map<string, string>();
  for (const part of message.split(",")) {
    if (!/^[a-z]=/i.test(part)) throw new ScramFault("malformed message");
    const name = part.slice(0, 1);
    if (fields.has(name) || name === "m") throw new ScramFault("unexpected attribute");
    fields.set(name, part.slice(2));
  }
  if (fields.has("e")) throw new ScramFault("the server refused");
  return fields;
}
