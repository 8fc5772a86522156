/** identity and policy as the approval service meets them: real gRPC servers with answers that a test sets. */
import { AuthenticateResponse, IdentityServiceService } from "@sallyport/proto/identity";
import { AuthorizeResponse, PolicyServiceService } from "@sallyport/proto/policy";
import type { Principal } from "@sallyport/proto/principal";
import type { Hold } from "@sallyport/proto/verdict";
import { AppError, service } from "@sallyport/runtime";
import { startTestRuntime, type TestPki } from "@sallyport/runtime/testing";

export interface TestPeers {
  peers: Record<string, string>;
  /** token → who it is; remove one to revoke it */
  tokens: Map<string, Principal>;
  /** `<principal> <action> <resource>` that policy allows */
  allowed: Set<string>;
  /** what holds `connect`, and what `break-glass` lifts */
  holds: Map<string, Hold[]>;
  stop(): Promise<void>;
}

export async function startPeers(pki: TestPki): Promise<TestPeers> {
  const tokens = new Map<string, Principal>();
  const allowed = new Set<string>();
  const holds = new Map<string, Hold[]>();
  const unused = () => {
    throw new AppError("internal", "test", "not played here");
  };
  const identity = service({
    definition: IdentityServiceService,
    handlers: {
      authenticate: ({ token }) => {
        const principal = tokens.get(token);
        if (!principal) throw new AppError("unauthenticated", "identity.authenticate", "The token is not valid.");
        return AuthenticateResponse.fromPartial({ principal });
      },
      recheck: unused,
      describe: unused,
    },
  });
  const policy = service({
    definition: PolicyServiceService,
    handlers: {
      authorize: ({ principal, action, resource, session }) => {
        const ok = allowed.has(`${principal?.id} ${action} ${resource}`);
        const database = session?.database || resource;
        const access = session && ok ? { access: { holds: holds.get(action) ?? [], database } } : {};
        return AuthorizeResponse.fromPartial({ allowed: ok, message: ok ? "" : "Policy says no.", ...access });
      },
      check: unused,
      validate: unused,
      explain: unused,
    },
  });
  const runtimes = await Promise.all(["identity", "policy"].map((name) => startTestRuntime(name, { pki })));
  const [first, second] = await Promise.all([
    runtimes[0]!.serve({ internal: [identity], allow: ["approval"] }),
    runtimes[1]!.serve({ internal: [policy], allow: ["approval"] }),
  ]);
  return {
    peers: { identity: first.internal!, policy: second.internal! },
    tokens,
    allowed,
    holds,
    stop: async () => void (await Promise.all(runtimes.map((runtime) => runtime.stop("end of test")))),
  };
}
