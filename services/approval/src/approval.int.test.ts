import { jetstream } from "@nats-io/jetstream";
import { type ApprovalState, ApprovalStatus } from "@sallyport/proto/approval";
import { Event, PrincipalOffboarded } from "@sallyport/proto/event";
import { event as subjectOf } from "@sallyport/proto/subjects";
import { callStream, callUnary } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dba, engineer, hold, person } from "../testing/people.ts";
import { as, ask, digest, held, openStage, type Stage } from "../testing/stage.ts";

const {
  APPROVAL_STATUS_PENDING: pending,
  APPROVAL_STATUS_GRANTED: granted,
  APPROVAL_STATUS_USED: used,
} = ApprovalStatus;
const {
  APPROVAL_STATUS_DENIED: denied,
  APPROVAL_STATUS_EXPIRED: expired,
  APPROVAL_STATUS_WITHDRAWN: withdrawn,
} = ApprovalStatus;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await stage.start();
});
afterAll(() => stage.end());

const decide = (who: string, approvalId: string, grant = true, reason = "") =>
  callUnary(stage.people, "decide", { approvalId, grant, reason }, as(who));
const use = (unit: Awaited<ReturnType<typeof ask>>["unit"]) =>
  callUnary(stage.edge, "use", unit, { deadlineMs: 5_000 });
const list = async (who: string, all = false) => (await callUnary(stage.people, "list", { all }, as(who))).approvals;

/** All states that an edge sees until the end, or until `until`. */
async function watchUntil(approvalId: string, until?: ApprovalStatus): Promise<ApprovalStatus[]> {
  const seen: ApprovalStatus[] = [];
  for await (const state of callStream(stage.edge, "await", { approvalId })) {
    seen.push(state.status);
    expect(state.text).toBe("");
    if (state.status === until) break;
  }
  return seen;
}

test("held, granted, used: once, and only for what was granted", async () => {
  const { approvalId, unit } = await ask(stage);
  const watched = watchUntil(approvalId);
  await expect(use(unit)).rejects.toMatchObject({ code: "failed-precondition", message: /not granted yet/ });
  const { state } = await decide("dba", approvalId);
  expect(state).toMatchObject({ status: granted, grantedBy: ["user:dba"] });
  await expect(use({ ...unit, sessionId: "s2" })).rejects.toMatchObject({ code: "failed-precondition" });
  await expect(use({ ...unit, digest: Buffer.alloc(32, 9) })).rejects.toMatchObject({ code: "failed-precondition" });
  const tries = await Promise.allSettled([use(unit), use(unit), use(unit)]);
  expect(tries.filter((one) => one.status === "fulfilled").length).toBe(1);
  expect(await watched).toEqual([pending, granted, used]);
});

test("an edge that asks again for the same unit means the same request", async () => {
  const request = held();
  const first = await ask(stage, request);
  expect(await ask(stage, request)).toEqual(first);
});

test("nobody grants their own request; dba's needs another dba", async () => {
  const { approvalId } = await ask(stage, held({ principal: dba }));
  await expect(decide("dba", approvalId)).rejects.toMatchObject({ code: "not-permitted", message: /own request/ });
  expect((await decide("dba2", approvalId)).state).toMatchObject({ status: granted });
});

test("a quorum of two, and a denial with its reason", async () => {
  const { approvalId } = await ask(stage, held({ holds: [hold("p", "dba", 2)] }));
  expect((await decide("dba", approvalId)).state).toMatchObject({ status: pending, grantedBy: ["user:dba"] });
  await expect(decide("dba", approvalId)).rejects.toMatchObject({ code: "already-exists" });
  expect((await decide("dba2", approvalId, false, "not today")).state).toMatchObject({
    status: denied,
    deniedBy: "user:dba2",
    reason: "not today",
  });
  expect(await watchUntil(approvalId)).toEqual([denied]);
});

test("who sees what: the text is for the requester and for who may answer", async () => {
  const { approvalId } = await ask(stage);
  const seenBy = async (who: string) => (await list(who)).find((one) => one.approvalId === approvalId);
  expect(await seenBy("dba")).toMatchObject({ text: held().text, shown: held().shown });
  const bare = (await seenBy("auditor"))?.shown;
  expect(bare).toMatchObject({
    parameterCount: 2,
    executes: [{ name: "wipe", text: "", normalized: "delete from t where k = $1" }],
  });
  expect(bare?.parameters.map(({ length, value }) => [length, value])).toEqual([
    [17, ""],
    [2_000, ""],
  ]);
  expect(JSON.stringify(bare)).not.toMatch(/grace|c0ffee|AwMD/);
  expect(await seenBy("engineer")).toMatchObject({ text: held().text });
  expect(await seenBy("auditor")).toMatchObject({ text: "", normalized: held().normalized });
  expect(await seenBy("nobody")).toBeUndefined();
  expect(await seenBy("security")).toBeUndefined();
  await expect(decide("nobody", approvalId)).rejects.toMatchObject({ code: "not-found" });
  // In the group, but policy does not let them approve here.
  stage.peers.tokens.set("token-of-junior", person("junior", ["dba"]));
  expect(await seenBy("junior")).toMatchObject({ text: "" });
  await expect(decide("junior", approvalId)).rejects.toMatchObject({
    code: "not-permitted",
    message: "Policy says no.",
  });
});

test("no token, a wrong token, another service's certificate: nothing", async () => {
  await expect(callUnary(stage.people, "list", { all: true }, { deadlineMs: 5_000 })).rejects.toMatchObject({
    code: "unauthenticated",
  });
  await expect(list("stranger")).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(
    callUnary(stage.edge, "use", { approvalId: "nothing", sessionId: "", command: 0, digest }, { deadlineMs: 5_000 }),
  ).rejects.toMatchObject({ code: "not-found" });
});

test("it expires by itself, and the edge hears of it", async () => {
  const { approvalId, unit } = await ask(stage, held({ holds: [hold("p", "dba", 1, 1)] }));
  await decide("dba", approvalId);
  expect(await watchUntil(approvalId)).toEqual([granted, expired]);
  await expect(use(unit)).rejects.toMatchObject({ code: "failed-precondition" });
});

test("the client cancels: withdrawn, and again is no error", async () => {
  const { approvalId } = await ask(stage);
  const withdraw = () =>
    callUnary(stage.edge, "withdraw", { approvalId, cause: "cancelled by the client" }, { deadlineMs: 5_000 });
  await withdraw();
  await withdraw();
  expect(await watchUntil(approvalId)).toEqual([withdrawn]);
  await expect(decide("dba", approvalId)).rejects.toMatchObject({ code: "failed-precondition" });
  expect((await list("dba", true)).find((one) => one.approvalId === approvalId)).toMatchObject({
    reason: "cancelled by the client",
  });
  expect((await list("dba")).some((one) => one.approvalId === approvalId)).toBe(false);
});

test("a restart loses nothing: open requests, timers, and who waits asks again", async () => {
  const lasting = await ask(stage);
  const short = await ask(stage, held({ holds: [hold("p", "dba", 1, 2)] }));
  await decide("dba", (await ask(stage)).approvalId);
  const states: ApprovalState[] = [];
  const broken = (async () => {
    for await (const state of callStream(stage.edge, "await", { approvalId: lasting.approvalId })) states.push(state);
  })();
  const ended = broken.catch((error: unknown) => error);
  await eventually(() => states.length === 1);
  await stage.stop();
  expect(await ended).toMatchObject({ code: "unavailable" });
  await stage.start();
  const again = watchUntil(lasting.approvalId, granted);
  await decide("dba", lasting.approvalId);
  expect(await again).toContain(granted);
  await use(lasting.unit);
  expect((await watchUntil(short.approvalId)).at(-1)).toBe(expired);
});

test("what expired while nobody was there is expired at the start", async () => {
  const { approvalId, expiresAtMs } = await ask(stage, held({ holds: [hold("p", "dba", 1, 1)] }));
  await stage.stop();
  await eventually(() => Date.now() > expiresAtMs);
  await stage.start();
  expect((await watchUntil(approvalId)).at(-1)).toBe(expired);
});

test("NATS killed and restarted: requests stand, and work goes on", async () => {
  const { approvalId, unit } = await ask(stage);
  await stage.nats.kill();
  await stage.nats.restart();
  await decide("dba", approvalId);
  await use(unit);
  expect(await watchUntil(approvalId)).toEqual([used]);
});

test("an offboarded requester's requests are withdrawn, and new ones refused", async () => {
  const contractor = person("contractor", ["contractors"]);
  const job = person("job", [], { createdBy: ["user:job", "user:contractor"] });
  const [own, made, other] = [
    await ask(stage, held({ principal: contractor })),
    await ask(stage, held({ principal: job })),
    await ask(stage),
  ];
  await decide("dba", made.approvalId);
  const value = PrincipalOffboarded.fromPartial({ principalId: "user:contractor" });
  const offboarded = {
    ...Event.fromPartial({ id: "off", service: "identity", aggregate: "access/user:contractor", version: 1 }),
    fact: { $case: "principalOffboarded", value } as const,
  };
  await jetstream(stage.nc).publish(
    subjectOf("identity", "access", "user:contractor"),
    Event.encode(offboarded).finish(),
  );
  expect((await watchUntil(own.approvalId)).at(-1)).toBe(withdrawn);
  expect((await watchUntil(made.approvalId)).at(-1)).toBe(withdrawn);
  await expect(use(made.unit)).rejects.toMatchObject({ code: "failed-precondition" });
  await expect(ask(stage, held({ principal: job }))).rejects.toMatchObject({
    code: "failed-precondition",
    message: /contractor was offboarded/,
  });
  expect((await list("engineer")).find((one) => one.approvalId === other.approvalId)).toMatchObject({
    status: pending,
  });
});

test("watching shows what is open and what comes, and ends with the token", async () => {
  stage.peers.tokens.set("token-of-watcher", person("watcher", ["dba"]));
  stage.peers.allowed.add("user:watcher approve orders");
  const before = await ask(stage);
  const seen = new Map<string, ApprovalStatus>();
  const watching = (async () => {
    for await (const state of callStream(stage.people, "watch", {}, { metadata: as("watcher").metadata }))
      seen.set(state.approvalId, state.status);
  })();
  await eventually(() => seen.get(before.approvalId) === pending);
  const next = await ask(stage);
  await eventually(() => seen.get(next.approvalId) === pending);
  await decide("dba", next.approvalId);
  await eventually(() => seen.get(next.approvalId) === granted);
  stage.peers.tokens.delete("token-of-watcher");
  await expect(watching).rejects.toMatchObject({ code: "unauthenticated" });
});

test("one requester cannot fill the list", async () => {
  const greedy = person("greedy");
  const asks = Array.from({ length: 101 }, () => ask(stage, held({ principal: greedy })));
  const results = await Promise.allSettled(asks);
  const refused = results.filter((one) => one.status === "rejected");
  expect(refused.length).toBeLessThan(101);
  await expect(ask(stage, held({ principal: greedy }))).rejects.toMatchObject({ code: "exhausted" });
  await ask(stage, held({ principal: engineer }));
});
