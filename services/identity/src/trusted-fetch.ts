import { Agent, fetch } from "undici";

const MAX_RESPONSE_BYTES = 1024 * 1024;

/** `fetch` as openid-client and jose take it, towards servers whose certificate `ca` (PEM) vouches for; default: public CAs. */
export type TrustedFetch = (url: string, init: object) => Promise<Response>;

/** Answers are bounded in size and time; redirects are the caller's to refuse. */
export function trustedFetch(ca: string | undefined, timeoutMs: number): TrustedFetch {
  const agent = new Agent({
    connect: { timeout: timeoutMs, ...(ca === undefined ? {} : { ca }) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: MAX_RESPONSE_BYTES,
    keepAliveTimeout: 10_000,
  });
  return (url, init) => fetch(url, { ...init, dispatcher: agent });
}
