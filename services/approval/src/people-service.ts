/** ApprovalsService: what people see and answer (TLS, bearer token). */
import type { Store } from "@sallyport/decider";
import { ApprovalState, ApprovalsServiceService } from "@sallyport/proto/approval";
import { AppError, type Callers, type CallInfo, type GrpcService, service } from "@sallyport/runtime";
import type { AccessRequests } from "./access-requests.ts";
import { checkedId, checkedReason } from "./request-bounds.ts";
import type { RequestCommand, RequestState } from "./request.ts";
import { type Known, known, type Requests } from "./requests.ts";
import { Viewer } from "./viewer.ts";

const maxListed = 500;
const maxListedBytes = 8 * 1024 * 1024;
/** A stream whose token was withdrawn ends at the latest then; it shows nothing new before that either. */
const recheckMs = 1_000;

export interface PeopleServiceParts {
  requests: Requests;
  store: Store<RequestState, RequestCommand>;
  callers: Callers;
  access: AccessRequests;
  /** somebody has broken glass */
  alarm: (what: object) => void;
  now: () => number;
}

export function peopleService({ requests, store, callers, access, alarm, now }: PeopleServiceParts): GrpcService {
  const viewerOf = async (call: CallInfo) => new Viewer(await callers.callerOf(call), callers);
  const nothing = () => new AppError("not-found", "approval", "There is no such request.");

  async function visible(viewer: Viewer, all: readonly Known[]): Promise<ApprovalState[]> {
    const seen: ApprovalState[] = [];
    let bytes = 0;
    for (const one of all) {
      const state = await viewer.see(one);
      if (!state) continue;
      bytes += ApprovalState.encode(state).finish().length;
      if (seen.length >= maxListed || bytes > maxListedBytes) break;
      seen.push(state);
    }
    return seen;
  }

  async function ran(viewer: Viewer, id: string, command: RequestCommand): Promise<ApprovalState | undefined> {
    const handled = await store.handle(id, command, { cause: viewer.caller.principal.id });
    if (handled.kind === "refused") throw new AppError(handled.code, `approval.${command.do}`, handled.message);
    const after = known(id, handled);
    return after && (await viewer.see(after));
  }

  return service({
    definition: ApprovalsServiceService,
    handlers: {
      list: async ({ all }, call) => {
        const newest = [...(all ? requests.over() : []), ...requests.open()].toSorted(
          (a, b) => b.request.requestedAtMs - a.request.requestedAtMs,
        );
        return { approvals: await visible(await viewerOf(call), newest) };
      },

      watch: async function* (_, call) {
        const feed = requests.follow(undefined, call.signal);
        try {
          let viewer = await viewerOf(call);
          yield* await visible(viewer, requests.open());
          while (!call.signal.aborted) {
            const ids = await feed.next(recheckMs);
            // Asked again for each change: a token that was withdrawn meanwhile sees nothing more.
            const { principal } = await callers.callerOf(call);
            if (principal.groups.join() !== viewer.caller.principal.groups.join()) viewer = await viewerOf(call);
            yield* await visible(
              viewer,
              ids.map((id) => requests.get(id)).filter((one) => one !== undefined),
            );
          }
        } finally {
          feed.close();
        }
      },

      decide: async ({ approvalId, grant, reason }, call) => {
        const viewer = await viewerOf(call);
        const id = checkedId(approvalId);
        const found = requests.get(id) ?? known(id, await store.load(id));
        if (!found || !(await viewer.see(found))) throw nothing();
        const approver = await viewer.approver(found.request.request.connection);
        const gone = requests.doomed(id);
        if (gone !== undefined)
          throw new AppError("failed-precondition", "approval.decide", `The request is void: ${gone}.`);
        const said = checkedReason(reason);
        const command: RequestCommand = grant
          ? { do: "grant", approver, comment: said, nowMs: now() }
          : { do: "deny", approver, reason: said, nowMs: now() };
        return { state: await ran(viewer, id, command) };
      },

      requestWindow: async (asked, call) => {
        const viewer = await viewerOf(call);
        const request = await access.window(asked, viewer.caller.principal, call);
        return { state: await ran(viewer, request.approvalId, { do: "request", request }) };
      },

      breakGlass: async (asked, call) => {
        const viewer = await viewerOf(call);
        const used = await access.glass(asked, viewer.caller.principal, call);
        const state = await ran(viewer, used.approvalId, { do: "break-glass", used });
        // The alarm: whoever watches the log or the metric hears of it, as the webhook's receiver does.
        alarm({ approval: used.approvalId, ...used.window });
        return { state };
      },
    },
  });
}
