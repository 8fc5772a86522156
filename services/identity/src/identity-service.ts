import { IdentityServiceService, type AuthenticateResponse } from "@sallyport/proto/identity";
import { AppError, type GrpcService, service, type Tally } from "@sallyport/runtime";
import { describePrincipal, type Authenticated, type Authenticator } from "./authenticator.ts";
import type { Directory } from "./directory.ts";
import type { Freshness } from "./freshness.ts";
import { asAppError, type Refused } from "./refusal.ts";

/** For edges and services: who presents this token? */
export function identityService(
  authenticator: Authenticator,
  directory: Directory,
  freshness: Freshness,
  refusals: Tally,
): GrpcService {
  const answer = (result: Authenticated | Refused, op: string): AuthenticateResponse => {
    if (result.kind === "refused") {
      refusals.add(result.reason);
      throw asAppError(result, op);
    }
    const { principal, recheckAfterMs } = result;
    return { principal, asOf: freshness.asOf(), recheckAfterMs: Math.max(0, Math.ceil(recheckAfterMs)) };
  };
  return service({
    definition: IdentityServiceService,
    handlers: {
      authenticate: async ({ token, claimedUser }) =>
        answer(await authenticator.authenticate(token, claimedUser), "identity.authenticate"),
      describe: async ({ principalId }) => {
        await freshness.require();
        const described = describePrincipal(principalId, directory);
        if (described !== undefined) return described;
        throw new AppError("not-found", "identity.describe", `nobody named ${principalId} has been seen here`);
      },
      recheck: async ({ tokenId }) => answer(await authenticator.recheck(tokenId), "identity.recheck"),
    },
  });
}
