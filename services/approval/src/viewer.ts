/** What one caller may see of a request. Policy is asked once per action and connection, and again after a second. */
import type { Caller, Callers } from "@sallyport/runtime";
import { ApprovalState } from "@sallyport/proto/approval";
import { viewOf } from "./approval-view.ts";
import { type Approver, holdsOf, objectionTo } from "./request.ts";
import type { Known } from "./requests.ts";

const keepMs = 1_000;

export class Viewer {
  readonly caller: Caller;
  readonly #callers: Callers;
  readonly #asked = new Map<string, { until: number; answer: Promise<{ allowed: boolean; message: string }> }>();

  constructor(caller: Caller, callers: Callers) {
    this.caller = caller;
    this.#callers = callers;
  }

  /** The caller as an approver on a connection, with policy's answer. */
  async approver(connection: string): Promise<Approver> {
    const { allowed, message } = await this.#may("approve", connection);
    return { principal: this.caller.principal, authorized: allowed, message };
  }

  /**
   * Full text for the requester and for who may answer; the normalized text for others who may approve on the connection,
   * are in a hold's group, or may audit; for everyone else the request does not exist.
   */
  async see(known: Known): Promise<ApprovalState | undefined> {
    const { request } = known.request;
    const { principal } = this.caller;
    if (request.principal?.id === principal.id) return viewOf(known, "with text");
    const approver = await this.approver(request.connection);
    if (objectionTo(request, approver) === undefined) return viewOf(known, "with text");
    const concerned =
      approver.authorized || holdsOf(request, principal).length > 0 || (await this.#may("audit", "")).allowed;
    return concerned ? viewOf(known, "without text") : undefined;
  }

  #may(action: string, resource: string) {
    const key = `${action} ${resource}`;
    const now = performance.now();
    const kept = this.#asked.get(key);
    if (kept && kept.until > now) return kept.answer;
    const answer = this.#callers.authorize(this.caller.principal, action, resource);
    this.#asked.set(key, { until: now + keepMs, answer });
    return answer;
  }
}
