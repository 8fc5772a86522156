/** Who calls a public port, and may they? Asked of identity and policy; nothing is decided here. */
import { createHash } from "node:crypto";
import { AuthenticateRequest, type IdentityServiceClient } from "@sallyport/proto/identity";
import { AuthorizeRequest, type AuthorizeResponse, type PolicyServiceClient } from "@sallyport/proto/policy";
import type { Principal } from "@sallyport/proto/principal";
import { AppError } from "./app-error.ts";
import { callUnary } from "./grpc-client.ts";
import type { CallInfo } from "./grpc-service.ts";
import { Secret } from "./secret.ts";

export interface Caller {
  principal: Principal;
  token: Secret;
}

export interface Callers {
  /** Throws `unauthenticated` without a valid bearer token (RFC 6750 section 2.1). Answers are kept for at most 1 s. */
  callerOf(call: Pick<CallInfo, "metadata" | "address" | "signal">): Promise<Caller>;
  /**
   * May the principal? For a refusal that is an answer; an error of policy throws. `connection`: for `reveal`, the one that
   * the data came over; without it the answer is what holds on every connection.
   */
  authorize(
    principal: Principal,
    action: string,
    resource: string,
    signal?: AbortSignal,
    connection?: string,
  ): Promise<AuthorizeResponse>;
  /** Throws `not-permitted` with the policy's sentence. `resource`: connection, class, or "" for the gateway. */
  requireAction(caller: Caller, action: string, resource: string, signal?: AbortSignal): Promise<AuthorizeResponse>;
}

const deadlineMs = 3_000;
const keepMs = 1_000;
const maxKept = 1_000;
const maxTokenLength = 16_384;

export function openCallers(identity: IdentityServiceClient, policy: PolicyServiceClient): Callers {
  const kept = new Map<string, { until: number; principal: Promise<Principal> }>();

  async function authenticate(token: string, address: string): Promise<Principal> {
    const request = AuthenticateRequest.fromPartial({ token, clientAddress: address });
    const { principal } = await callUnary(identity, "authenticate", request, { deadlineMs });
    if (!principal?.id) throw new AppError("unauthenticated", "caller", "the token names nobody");
    return principal;
  }

  function authenticated(token: string, address: string): Promise<Principal> {
    const key = createHash("sha256").update(token).digest("base64");
    const now = performance.now();
    const known = kept.get(key);
    if (known && known.until > now) return known.principal;
    const principal = authenticate(token, address);
    kept.delete(key);
    if (kept.size >= maxKept) kept.delete(kept.keys().next().value!);
    kept.set(key, { until: now + keepMs, principal });
    // A refusal is not kept: the next try may bring a peer that answers.
    principal.catch(() => kept.delete(key));
    return principal;
  }

  async function authorize(
    principal: Principal,
    action: string,
    resource: string,
    signal?: AbortSignal,
    connection = "",
  ): Promise<AuthorizeResponse> {
    const request = AuthorizeRequest.fromPartial({ principal, action, resource, connection });
    return callUnary(policy, "authorize", request, { deadlineMs, ...(signal ? { signal } : {}) });
  }

  return {
    callerOf: async (call) => {
      const token = bearerToken(call.metadata.get("authorization"));
      return { principal: await authenticated(token, call.address), token: new Secret(token) };
    },
    authorize,
    requireAction: async (caller, action, resource, signal) => {
      const answer = await authorize(caller.principal, action, resource, signal);
      if (answer.allowed) return answer;
      const where = resource ? ` on ${resource}` : "";
      throw new AppError(
        "not-permitted",
        `caller.${action}`,
        answer.message || `${caller.principal.id} may not ${action}${where}`,
      );
    },
  };
}

function bearerToken(values: ReadonlyArray<string | Buffer>): string {
  const [value] = values;
  const match = values.length === 1 && typeof value === "string" ? /^bearer ([\x21-\x7e]+)$/i.exec(value) : null;
  const token = match?.[1];
  if (!token || token.length > maxTokenLength)
    throw new AppError("unauthenticated", "caller", "a bearer token is needed in `authorization`");
  return token;
}
