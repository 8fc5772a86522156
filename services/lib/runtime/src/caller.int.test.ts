import { Metadata } from "@grpc/grpc-js";
import { AuthenticateResponse, IdentityServiceClient, IdentityServiceService } from "@sallyport/proto/identity";
import { AuthorizeResponse, PolicyServiceClient, PolicyServiceService } from "@sallyport/proto/policy";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createPki, startTestRuntime } from "../testing/index.ts";
import { AppError } from "./app-error.ts";
import { type Callers, openCallers } from "./caller.ts";
import { service } from "./grpc-service.ts";
import type { Runtime } from "./runtime.ts";

const running: Runtime[] = [];
let callers: Callers;
let asked = 0;
let tokens = new Set(["spt_good"]);
const unused = () => {
  throw new AppError("internal", "test", "unused");
};

beforeAll(async () => {
  const pki = await createPki();
  const [identity, policy] = [await startTestRuntime("identity", { pki }), await startTestRuntime("policy", { pki })];
  const first = await identity.serve({
    allow: ["audit"],
    internal: [
      service({
        definition: IdentityServiceService,
        handlers: {
          recheck: unused,
          describe: unused,
          authenticate: ({ token }) => {
            asked++;
            if (!tokens.has(token)) throw new AppError("unauthenticated", "identity", "The token is not valid.");
            return AuthenticateResponse.fromPartial({ principal: { id: "user:dba" } });
          },
        },
      }),
    ],
  });
  const second = await policy.serve({
    allow: ["audit"],
    internal: [
      service({
        definition: PolicyServiceService,
        handlers: {
          check: unused,
          validate: unused,
          explain: unused,
          authorize: ({ action }) => AuthorizeResponse.fromPartial({ allowed: action === "audit" }),
        },
      }),
    ],
  });
  const audit = await startTestRuntime("audit", {
    pki,
    peers: { identity: first.internal!, policy: second.internal! },
  });
  running.push(identity, policy, audit);
  callers = openCallers(audit.client(IdentityServiceClient, "identity"), audit.client(PolicyServiceClient, "policy"));
});
afterAll(async () => {
  await Promise.all(running.map((runtime) => runtime.stop("end of test")));
});

const call = (...authorization: string[]) => {
  const metadata = new Metadata();
  for (const value of authorization) metadata.add("authorization", value);
  return { metadata, address: "127.0.0.1:1", signal: new AbortController().signal };
};

test("a token is asked about once a second, a refusal is never kept, and the token does not print", async () => {
  asked = 0;
  const caller = await callers.callerOf(call("Bearer spt_good"));
  await callers.callerOf(call("bearer spt_good"));
  expect(asked).toBe(1);
  expect(caller.principal.id).toBe("user:dba");
  expect(JSON.stringify(caller)).not.toContain("spt_good");
  await expect(callers.callerOf(call("Bearer spt_later"))).rejects.toMatchObject({ code: "unauthenticated" });
  tokens = new Set(["spt_later"]);
  await callers.callerOf(call("Bearer spt_later"));
  // Withdrawn: known no longer than a second.
  const kept = performance.now();
  for (;;) {
    const gone = await callers.callerOf(call("Bearer spt_good")).catch((error: unknown) => error);
    if (gone instanceof AppError) break;
    expect(performance.now() - kept).toBeLessThan(1_500);
  }
});

test.each([
  [[]],
  [["Basic dXNlcg=="]],
  [["Bearer "]],
  [["Bearer a b"]],
  [["Bearer a", "Bearer b"]],
  [[`Bearer ${"x".repeat(20_000)}`]],
])("no usable token: %j", async (values) => {
  await expect(callers.callerOf(call(...values))).rejects.toMatchObject({ code: "unauthenticated" });
});

test("policy's answer decides", async () => {
  tokens = new Set(["spt_good"]);
  const caller = await callers.callerOf(call("Bearer spt_good"));
  expect(await callers.requireAction(caller, "audit", "")).toMatchObject({ allowed: true });
  await expect(callers.requireAction(caller, "configure", "orders")).rejects.toMatchObject({
    code: "not-permitted",
    message: "user:dba may not configure on orders",
  });
});
