import { IdentityServiceService, type AuthenticateResponse } from "@sallyport/proto/identity";
import { type GrpcService, service, type Tally } from "@sallyport/runtime";
import type { Authenticated, Authenticator } from "./authenticator.ts";
import type { Freshness } from "./freshness.ts";
import { asAppError, type Refused } from "./refusal.ts";

/** For edges and services: who presents this token? */
export function identityService(authenticator: Authenticator, freshness: Freshness, refusals: Tally): GrpcService {
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
      recheck: async ({ tokenId }) => answer(await authenticator.recheck(tokenId), "identity.recheck"),
    },
  });
}
