/** ApprovalService: what edges ask (mTLS). */
import type { Store } from "@sallyport/decider";
import { ApprovalServiceService } from "@sallyport/proto/approval";
import { AppError, type GrpcService, service } from "@sallyport/runtime";
import { viewOf } from "./approval-view.ts";
import { checkedId, requestedFrom } from "./request-bounds.ts";
import { isOpen, type RequestCommand, type RequestState } from "./request.ts";
import { type Known, known, type Requests } from "./requests.ts";

const maxOpen = 10_000;
const maxOpenOfOne = 100;
const lookAgainMs = 30_000;

export interface EdgeServiceParts {
  requests: Requests;
  store: Store<RequestState, RequestCommand>;
  now: () => number;
}

export function edgeService({ requests, store, now }: EdgeServiceParts): GrpcService {
  async function find(approvalId: string): Promise<Known> {
    const id = checkedId(approvalId);
    const found = requests.get(id) ?? known(id, await store.load(id));
    if (!found) throw new AppError("not-found", "approval", "There is no such request.");
    return found;
  }

  async function run(id: string, command: RequestCommand, cause: string) {
    const handled = await store.handle(id, command, { cause });
    if (handled.kind === "refused") throw new AppError(handled.code, `approval.${command.do}`, handled.message);
    return handled;
  }

  return service({
    definition: ApprovalServiceService,
    handlers: {
      request: async (asked) => {
        const request = requestedFrom(asked, now());
        const principal = request.principal!;
        const gone = requests.withdrawn.cause(principal);
        if (gone !== undefined)
          throw new AppError("failed-precondition", "approval.request", `The request is refused: ${gone}.`);
        refuseTooMany(requests, principal.id);
        const { state } = await run(request.approvalId, { do: "request", request }, principal.id);
        return { approvalId: request.approvalId, expiresAtMs: state!.request.expiresAtMs };
      },

      await: async function* ({ approvalId }, call) {
        const feed = requests.follow(approvalId, call.signal);
        try {
          let state = await find(approvalId);
          yield viewOf(state, "without text");
          while (isOpen(state.request) && !call.signal.aborted) {
            await feed.next(lookAgainMs);
            const next = requests.get(state.id) ?? (await find(state.id));
            if (next.seq === state.seq) continue;
            state = next;
            yield viewOf(state, "without text");
          }
        } finally {
          feed.close();
        }
      },

      use: async ({ approvalId, sessionId, command, digest }) => {
        const { id, request } = await find(approvalId);
        const gone = requests.doomed(id);
        if (gone !== undefined)
          throw new AppError("failed-precondition", "approval.use", `The grant is void: ${gone}.`);
        const use = { do: "use", sessionId, command, digest, nowMs: now() } as const;
        const { seq } = await run(id, use, request.request.principal?.id ?? "");
        return { asOf: seq };
      },

      withdraw: async ({ approvalId, cause }) => {
        const { id, request } = await find(approvalId);
        await run(id, { do: "withdraw", cause: cause.slice(0, 200) }, request.request.principal?.id ?? "");
        return {};
      },
    },
  });
}

/** One requester (or a broken edge) must not fill the approvers' list for the others. */
export function refuseTooMany(requests: Requests, principalId: string): void {
  const { length } = requests.open().filter((one) => one.request.request.principal?.id === principalId);
  if (length >= maxOpenOfOne || requests.openCount() >= maxOpen)
    throw new AppError("exhausted", "approval.request", "Too many requests wait for an answer.");
}
