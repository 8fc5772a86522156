/** The links against real gRPC servers in this process (without TLS: that is runtime's). */
import {
  credentials,
  Server,
  ServerCredentials,
  status,
  type ServerDuplexStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { ApprovalServiceService, ApprovalState, ApprovalStatus } from "@sallyport/proto/approval";
import { IdentityServiceService } from "@sallyport/proto/identity";
import {
  ColumnPlan_Action,
  MaskingServiceService,
  type MaskRequest,
  type MaskResponse,
} from "@sallyport/proto/masking";
import { PolicyServiceService, type CheckRequest, type CheckResponse } from "@sallyport/proto/policy";
import type { Runtime } from "@sallyport/runtime";
import { signedVerdict, testPrincipal } from "../testing/recording-only.ts";
import { openLinks, type OpenLinks } from "./grpc-links.ts";

async function links(
  implementations: [typeof PolicyServiceService, object][] | [unknown, object][],
): Promise<OpenLinks> {
  const server = new Server();
  for (const [definition, implementation] of implementations) {
    server.addService(definition as typeof PolicyServiceService, implementation as UntypedServiceImplementation);
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  const client = (
    ctor: new (address: string, how: ReturnType<typeof credentials.createInsecure>) => unknown,
  ): unknown => new ctor(`127.0.0.1:${port}`, credentials.createInsecure());
  const opened = openLinks({ client: client as Runtime["client"], log: pino({ level: "silent" }) });
  onTestFinished(() => {
    opened.close();
    server.forceShutdown();
  });
  return opened;
}

const session = {
  sessionId: "s",
  principal: testPrincipal("e"),
  connection: "c",
  database: "d",
  clientAddress: "",
  openedAtMs: 0,
  edge: "e",
};
const command = {
  protocol: "test",
  unit: "simple-query",
  text: "",
  searchPath: [],
  role: "",
  settings: {},
  named: [],
  schemaTouched: false,
  approvalId: "",
  digest: Buffer.alloc(0),
  temporary: [],
};

test("policy: answers by id, in any order; an answer without a verdict is no verdict", async () => {
  const { policy } = await links([
    [
      PolicyServiceService,
      {
        check(stream: ServerDuplexStream<CheckRequest, CheckResponse>) {
          const held: CheckResponse[] = [];
          stream.sendMetadata(new (stream.metadata.constructor as new () => typeof stream.metadata)());
          stream.on("data", ({ id, subject }: CheckRequest) => {
            const text = subject?.$case === "command" ? subject.value.text : "connect";
            const bad = text === "bad";
            held.unshift({
              id,
              verdict: bad ? undefined : signedVerdict(undefined, { id: `v of ${text}` }),
              error: bad ? "too busy" : "",
            });
            if (held.length === 3) for (const answer of held) stream.write(answer);
          });
        },
      },
    ],
  ]);
  const ask = (text: string) => policy.check({ session, command: { ...command, text }, minAsOf: 0, deadlineMs: 2000 });
  const [one, bad, connect] = await Promise.allSettled([
    ask("one"),
    ask("bad"),
    policy.check({ session, minAsOf: 0, deadlineMs: 2000 }),
  ]);
  expect(one.status === "fulfilled" && one.value.verdict.includes("v of one")).toBe(true);
  expect(connect.status === "fulfilled" && connect.value.verdict.includes("v of connect")).toBe(true);
  expect(bad).toMatchObject({ status: "rejected", reason: { code: "deadline", message: "too busy" } });
});

test("masking: plans, cells, and errors by their code", async () => {
  const { masking } = await links([
    [
      MaskingServiceService,
      {
        mask(stream: ServerDuplexStream<MaskRequest, MaskResponse>) {
          stream.sendMetadata(new (stream.metadata.constructor as new () => typeof stream.metadata)());
          stream.on("data", ({ id, what }: MaskRequest) => {
            if (what?.$case === "plan") {
              const columns = [
                {
                  action: ColumnPlan_Action.ACTION_HASH,
                  class: "email",
                  relation: "",
                  reason: "",
                  redact: undefined,
                  partial: undefined,
                },
              ];
              const value = { planId: "p", columns, scrubText: true, asOf: 7, staleSchema: false, disagreement: "" };
              stream.write({ id, result: { $case: "plan", value } });
            } else if (what?.$case === "cells" && what.value.planId === "p") {
              const cells = what.value.cells.map((cell) => Buffer.from(`#${cell.toString()}`));
              stream.write({ id, result: { $case: "cells", value: { cells, changed: cells.length } } });
            } else stream.write({ id, result: { $case: "error", value: "not-found: plan again" } });
          });
        },
      },
    ],
  ]);
  const shape = {
    connection: "c",
    database: "d",
    hiddenClasses: [],
    columns: [],
    relations: [],
    unknownSources: false,
    schemaTouched: false,
    lineage: undefined,
    codeRan: false,
  };
  expect(await masking.plan(shape, 3)).toMatchObject({ planId: "p", asOf: 7 });
  const { cells } = await masking.cells("p", 0, [Buffer.from("a"), Buffer.from("b")]);
  expect(cells.map(String)).toEqual(["#a", "#b"]);
  await expect(masking.cells("q", 0, [])).rejects.toMatchObject({ code: "not-found", message: "plan again" });
});

test("identity refuses with its sentence; approval's states stream and end when we leave", async () => {
  const { identity, approval } = await links([
    [
      IdentityServiceService,
      {
        authenticate(_call: unknown, callback: (error: object) => void) {
          callback({ code: status.UNAUTHENTICATED, details: "the token has expired" });
        },
        recheck(call: { request: { tokenId: string } }, callback: (error: null, response: object) => void) {
          callback(null, { principal: testPrincipal(call.request.tokenId), asOf: 3, recheckAfterMs: 1 });
        },
      },
    ],
    [
      ApprovalServiceService,
      {
        request(_call: unknown, callback: (error: null, response: object) => void) {
          callback(null, { approvalId: "a", expiresAtMs: 5 });
        },
        await(stream: { write(state: ApprovalState): void }) {
          stream.write(ApprovalState.fromPartial({ approvalId: "a", status: ApprovalStatus.APPROVAL_STATUS_PENDING }));
        },
        use(_call: unknown, callback: (error: object) => void) {
          callback({ code: status.FAILED_PRECONDITION, details: "used already" });
        },
        withdraw(_call: unknown, callback: (error: null, response: object) => void) {
          callback(null, {});
        },
      },
    ],
  ]);
  await expect(identity.authenticate({ token: "t", claimedUser: "", clientAddress: "" })).rejects.toMatchObject({
    code: "unauthenticated",
    message: "the token has expired",
  });
  expect(await identity.recheck("t")).toMatchObject({ asOf: 3, principal: { name: "t" } });
  await expect(
    approval.use({ approvalId: "a", sessionId: "s", command: 1, digest: Buffer.alloc(0) }),
  ).rejects.toMatchObject({ code: "failed-precondition" });
  await approval.withdraw("a", "test");
  const leave = new AbortController();
  const states: ApprovalStatus[] = [];
  await expect(
    (async () => {
      for await (const state of approval.await("a", leave.signal)) {
        states.push(state.status);
        leave.abort();
      }
    })(),
  ).rejects.toMatchObject({ code: "cancelled" });
  expect(states).toEqual([ApprovalStatus.APPROVAL_STATUS_PENDING]);
});
