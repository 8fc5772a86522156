import {
  type CallOptions,
  type Client,
  type ClientUnaryCall,
  makeClientConstructor,
  type Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { HealthService } from "./health.ts";
import {
  type CheckRequest,
  type CheckResponse,
  CheckResponse as Response,
  CheckRequest as Request,
  PolicyServiceClient,
  PolicyServiceService,
} from "@sallyport/proto/policy";
import { AuthorizeRequest, AuthorizeResponse, ValidateResponse } from "@sallyport/proto/policy";
import {
  ApprovalState,
  ApprovalsServiceClient,
  ApprovalsServiceService,
  DecideRequest,
  ListApprovalsRequest,
} from "@sallyport/proto/approval";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { readFile } from "node:fs/promises";
import { context, trace } from "@opentelemetry/api";
import { createPki, eventually, startTestRuntime, type TestPki } from "../testing/index.ts";
import { AppError } from "./app-error.ts";
import { bearer, callStream, callUnary, publicClient } from "./grpc-client.ts";
import { type CallInfo, service } from "./grpc-service.ts";
import { openLink } from "./link.ts";
import type { Runtime } from "./runtime.ts";
import { contextOf, traceIdOf } from "./trace-context.ts";

let pki: TestPki;
const running: Runtime[] = [];
let seen: { info?: CallInfo; traceId?: string } = {};

beforeAll(async () => {
  pki = await createPki();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((runtime) => runtime.stop("end of test")));
  seen = {};
});
afterAll(() => undefined);

const policyService = () =>
  service({
    definition: PolicyServiceService,
    handlers: {
      authorize: async (request, call) => {
        seen = { info: call, traceId: traceIdOf() };
        if (request.action === "bug") throw new Error("hunter2");
        if (request.action === "refuse") throw new AppError("failed-precondition", "policy.authorize", "not now");
        if (request.action === "hang") await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
        return AuthorizeResponse.fromPartial({ allowed: true, message: call.peer });
      },
      validate: () => ValidateResponse.fromPartial({}),
      explain: () => Promise.reject(new Error("not asked here")),
      check: (stream) => {
        stream.on("data", (request: CheckRequest) =>
          stream.write(Response.fromPartial({ id: request.id, error: request.traceparent })),
        );
        stream.on("end", () => stream.end());
      },
    },
  });

async function startPolicy(listen?: string): Promise<string> {
  const runtime = await startTestRuntime("policy", { pki, ...(listen ? { listen } : {}) });
  running.push(runtime);
  const { internal } = await runtime.serve({ internal: [policyService()], allow: ["edge-postgres"] });
  runtime.ready();
  return internal!;
}

async function clientAs(name: string, policy: string): Promise<{ client: PolicyServiceClient; runtime: Runtime }> {
  const runtime = await startTestRuntime(name, { pki, peers: { policy, catalog: policy } });
  running.push(runtime);
  return { client: runtime.client(PolicyServiceClient, "policy"), runtime };
}
const authorize = (action: string) => AuthorizeRequest.fromPartial({ action });

test("a peer on the list is answered, with its name and trace; others are refused", async () => {
  const address = await startPolicy();
  const { client } = await clientAs("edge-postgres", address);
  const parent = contextOf(`00-${"a".repeat(32)}-${"b".repeat(16)}-00`);
  const answer = await context.with(parent, () =>
    callUnary(client, "authorize", authorize("x"), { deadlineMs: 3_000 }),
  );
  expect(answer.message).toBe("edge-postgres");
  expect(seen.traceId).toBe("a".repeat(32));
  expect(trace.getActiveSpan()).toBeUndefined();

  const stranger = await clientAs("masking", address);
  await expect(callUnary(stranger.client, "authorize", authorize("x"), { deadlineMs: 3_000 })).rejects.toMatchObject({
    code: "not-permitted",
  });
  const link = openLink<CheckRequest, CheckResponse>({
    name: "policy.check",
    open: () => stranger.client.check(),
    log: stranger.runtime.log,
  });
  await expect(link.request(Request.fromPartial({}), { deadlineMs: 200 })).rejects.toBeInstanceOf(AppError);
  link.close();
});

test("a certificate for another service, of another authority, or none at all, opens nothing", async () => {
  const address = await startPolicy();
  const { runtime } = await clientAs("edge-postgres", address);
  const wrongName = runtime.client(PolicyServiceClient, "catalog");
  await expect(
    callUnary(wrongName, "authorize", authorize("x"), { deadlineMs: 1_000, wait: false }),
  ).rejects.toMatchObject({ code: "unavailable" });

  const foreign = await startTestRuntime("edge-postgres", { pki: await createPki(), peers: { policy: address } });
  running.push(foreign);
  const refused = callUnary(foreign.client(PolicyServiceClient, "policy"), "authorize", authorize("x"), {
    deadlineMs: 1_000,
    wait: false,
  });
  await expect(refused).rejects.toMatchObject({ code: "unavailable" });

  const bare = publicClient(PolicyServiceClient, address.replace("127.0.0.1", "localhost"), await readFile(pki.ca));
  await expect(callUnary(bare, "authorize", authorize("x"), { deadlineMs: 1_000, wait: false })).rejects.toMatchObject({
    code: "unavailable",
  });
  bare.close();
});

test("errors keep their code and sentence; bugs keep theirs to themselves", async () => {
  const { client } = await clientAs("edge-postgres", await startPolicy());
  const call = (action: string) => callUnary(client, "authorize", authorize(action), { deadlineMs: 3_000 });
  await expect(call("refuse")).rejects.toMatchObject({ code: "failed-precondition", message: "not now" });
  await expect(call("bug")).rejects.toMatchObject({ code: "internal", message: "internal error" });
});

test("a unary call needs a deadline, and ends with it on both sides", async () => {
  const { client } = await clientAs("edge-postgres", await startPolicy());
  const bare = await new Promise<{ code?: number }>((resolve) =>
    client.authorize(authorize("x"), (error) => resolve(error ?? {})),
  );
  expect(bare.code).toBe(status.INVALID_ARGUMENT);
  await expect(callUnary(client, "authorize", authorize("hang"), { deadlineMs: 100 })).rejects.toMatchObject({
    code: "deadline",
  });
  await eventually(() => seen.info!.signal.aborted);
});

test("an aborted signal cancels the call at the server", async () => {
  const { client } = await clientAs("edge-postgres", await startPolicy());
  const abort = new AbortController();
  const call = callUnary(client, "authorize", authorize("hang"), { deadlineMs: 5_000, signal: abort.signal });
  await eventually(() => seen.info);
  abort.abort();
  await expect(call).rejects.toMatchObject({ code: "cancelled" });
  await eventually(() => seen.info!.signal.aborted);
});

test("a call waits for a peer that restarts, and a link opens again", async () => {
  const address = await startPolicy();
  const { client, runtime } = await clientAs("edge-postgres", address);
  const link = openLink<CheckRequest, CheckResponse>({
    name: "policy.check",
    open: () => client.check(),
    log: runtime.log,
  });
  expect((await link.request(Request.fromPartial({ traceparent: "1" }), { deadlineMs: 2_000 })).error).toBe("1");
  await running.find((each) => each.config.service === "policy")!.stop("restart");
  await eventually(() => !link.ready());
  await expect(
    callUnary(client, "authorize", authorize("x"), { deadlineMs: 1_000, wait: false }),
  ).rejects.toMatchObject({ code: "unavailable" });
  const waiting = callUnary(client, "authorize", authorize("x"), { deadlineMs: 5_000 });
  const asked = link.request(Request.fromPartial({ traceparent: "2" }), { deadlineMs: 5_000 });
  await startPolicy(address);
  expect((await waiting).allowed).toBe(true);
  expect((await asked).error).toBe("2");
  link.close();
});

test("a public port takes a token and no certificate; streams flow and end with their reader", async () => {
  const runtime = await startTestRuntime("approval", { pki });
  running.push(runtime);
  let ended = 0;
  const approvals = service({
    definition: ApprovalsServiceService,
    handlers: {
      list: () => ({ approvals: [] }),
      requestWindow: () => ({ state: undefined }),
      breakGlass: () => ({ state: undefined }),
      decide: (_, call) => {
        throw new AppError("unauthenticated", "x", String(call.metadata.get("authorization")[0] ?? "none"));
      },
      watch: async function* (_, call) {
        try {
          for (let i = 0; !call.signal.aborted; i++) {
            yield ApprovalState.fromPartial({ approvalId: String(i), text: "x".repeat(10_000) });
            if (i === 2_000) throw new AppError("exhausted", "x", "enough");
          }
        } finally {
          ended++;
        }
      },
    },
  });
  const { public: address } = await runtime.serve({ public: [approvals] });
  const client = publicClient(ApprovalsServiceClient, address!, await readFile(pki.ca));
  const settings = { deadlineMs: 3_000, metadata: bearer("spt_x") };
  expect(await callUnary(client, "list", ListApprovalsRequest.fromPartial({}), settings)).toEqual({ approvals: [] });
  await expect(callUnary(client, "decide", DecideRequest.fromPartial({}), settings)).rejects.toMatchObject({
    code: "unauthenticated",
    message: "Bearer spt_x",
  });

  let count = 0;
  const all = async () => {
    for await (const _ of callStream(client, "watch", {})) count++;
  };
  await expect(all()).rejects.toMatchObject({ code: "exhausted", message: "enough" });
  expect(count).toBe(2_001);
  for await (const state of callStream(client, "watch", {})) if (state.approvalId === "3") break;
  await eventually(() => ended === 2);
  client.close();
});

test("health tells whether the service serves, to every holder of a certificate", async () => {
  const runtime = await startTestRuntime("policy", { pki });
  running.push(runtime);
  const { internal } = await runtime.serve({ internal: [policyService()], allow: [] });
  const probe = await startTestRuntime("probe", { pki, peers: { policy: internal! } });
  running.push(probe);
  const health = probe.client(
    makeClientConstructor(HealthService, "grpc.health.v1.Health") as unknown as new () => HealthClient,
    "policy",
  );
  const check = (name: string) => callUnary(health, "check", { service: name }, { deadlineMs: 2_000 });
  expect(await check("")).toEqual({ status: 2 });
  runtime.ready();
  expect(await check("sallyport.v1.PolicyService")).toEqual({ status: 1 });
  await expect(check("unknown.Service")).rejects.toMatchObject({ code: "not-found" });
});

type Check = (
  request: { service: string },
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: { status: number }) => void,
) => ClientUnaryCall;
type HealthClient = Client & { check: Check };
