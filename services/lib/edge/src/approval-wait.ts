/** Waits for people, over as many breaks of the stream as there are, until the request expires or the client gives up. */
import { ApprovalStatus, type ApprovalState } from "@sallyport/proto/approval";
import type { ApprovalLink } from "./links.ts";

export type Answered =
  | { readonly answer: "granted" }
  | { readonly answer: "denied"; readonly by: string; readonly reason: string }
  | { readonly answer: "expired" }
  /** `signal`, or withdrawn from elsewhere */
  | { readonly answer: "cancelled" };

const RETRY_MS = 200;
/** Clocks differ: the service says when it is over, this only bounds the wait for it to say so. */
const EXPIRY_GRACE_MS = 2000;

export async function awaitAnswer(
  link: ApprovalLink,
  approvalId: string,
  expiresAtMs: number,
  signal: AbortSignal,
): Promise<Answered> {
  const expired = AbortSignal.timeout(Math.max(0, expiresAtMs - Date.now()) + EXPIRY_GRACE_MS);
  const either = AbortSignal.any([signal, expired]);
  while (!either.aborted) {
    try {
      for await (const state of link.await(approvalId, either)) {
        const answered = read(state);
        if (answered !== undefined) return answered;
      }
    } catch {
      // a break: the request itself stands in the service's log, so ask for it again
    }
    if (!either.aborted) await pause(RETRY_MS, either);
  }
  return signal.aborted ? { answer: "cancelled" } : { answer: "expired" };
}

function read(state: ApprovalState): Answered | undefined {
  switch (state.status) {
    case ApprovalStatus.APPROVAL_STATUS_GRANTED:
      return { answer: "granted" };
    case ApprovalStatus.APPROVAL_STATUS_DENIED:
      return { answer: "denied", by: state.deniedBy, reason: state.reason };
    case ApprovalStatus.APPROVAL_STATUS_EXPIRED:
      return { answer: "expired" };
    // used by somebody else than us is not for us
    case ApprovalStatus.APPROVAL_STATUS_USED:
    case ApprovalStatus.APPROVAL_STATUS_WITHDRAWN:
      return { answer: "cancelled" };
    default:
      return undefined;
  }
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
