/** Verdicts as `policy` signs them: HMAC-SHA-256 over exactly the encoded bytes (I3). */

import { createHmac } from "node:crypto";
import { SignedVerdict, Verdict } from "@sallyport/proto/verdict";

export interface VerdictKey {
  id: string;
  /** 32 bytes */
  secret: Buffer;
}

export function signVerdict(verdict: Verdict, key: VerdictKey): SignedVerdict {
  const bytes = Buffer.from(Verdict.encode(verdict).finish());
  return { verdict: bytes, mac: createHmac("sha256", key.secret).update(bytes).digest(), keyId: key.id };
}
