import { jetstream } from "@nats-io/jetstream";
import { ApprovalStatus } from "@sallyport/proto/approval";
import { Event, PrincipalOffboarded } from "@sallyport/proto/event";
import { TokenKind } from "@sallyport/proto/principal";
import { event as subjectOf } from "@sallyport/proto/subjects";
import { callUnary } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { hold, person } from "../testing/people.ts";
import { as, openStage, type Stage } from "../testing/stage.ts";

const {
  APPROVAL_STATUS_PENDING: pending,
  APPROVAL_STATUS_GRANTED: granted,
  APPROVAL_STATUS_EXPIRED: expired,
  APPROVAL_STATUS_WITHDRAWN: withdrawn,
} = ApprovalStatus;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await stage.start();
});
afterAll(() => stage.end());
let people = 0;
/** Each test is about somebody of its own: what one has asked for already, one does not ask for twice. */
let who: string;
beforeEach(() => {
  who = `engineer${++people}`;
  stage.peers.tokens.set(`token-of-${who}`, person(who, ["engineers"]));
  stage.peers.allowed.add(`user:${who} connect orders`).add(`user:${who} break-glass orders`);
  stage.peers.holds.set("connect", [{ ...hold("window", "dba"), windowSeconds: 3_600 }]);
  stage.peers.holds.set("break-glass", [
    { ...hold("window", "dba"), windowSeconds: 3_600, breakGlassSeconds: 600 },
    { ...hold("prod-delete", "dba"), breakGlassSeconds: 1_800 },
  ]);
});

const place = { connection: "orders", database: "", reason: "ticket 7", seconds: 600 };
const ask = async (change: object = {}, by = who) =>
  (await callUnary(stage.people, "requestWindow", { ...place, ...change }, as(by))).state!;
const breakGlass = async (change: object = {}, by = who) =>
  (await callUnary(stage.people, "breakGlass", { ...place, ...change }, as(by))).state!;
const decide = async (by: string, approvalId: string, grant = true, reason = "") =>
  (await callUnary(stage.people, "decide", { approvalId, grant, reason }, as(by))).state!;
const find = async (by: string, id: string) =>
  (await callUnary(stage.people, "list", { all: true }, as(by))).approvals.find((one) => one.approvalId === id);
const becomes = (id: string, status: ApprovalStatus, by = "dba") =>
  eventually(async () => (await find(by, id))?.status === status);

test("a window is asked for with a reason, seen by those who may grant it, and granted until its end", async () => {
  const asked = await ask();
  expect(asked).toMatchObject({
    status: pending,
    requestReason: "ticket 7",
    breakGlass: false,
    database: "orders",
    window: { principalId: `user:${who}`, seconds: 600, untilMs: 0 },
  });
  expect(await find("dba", asked.approvalId)).toMatchObject({ requestReason: "ticket 7" });
  expect(await find("nobody", asked.approvalId)).toBeUndefined();
  const before = Date.now();
  const { status, window, expiresAtMs } = await decide("dba", asked.approvalId);
  expect(status).toBe(granted);
  expect(window!.untilMs).toBeGreaterThanOrEqual(before + 600_000);
  expect(expiresAtMs).toBe(window!.untilMs);
});

test.each([
  ["no reason", { reason: " \n" }, /Say why/],
  ["a reason of a novel", { reason: "x".repeat(1_001) }, /1,000/],
  ["longer than policy lets", { seconds: 3_601 }, /1h at most/],
  ["no time at all", { seconds: 0 }, /how long/],
  ["no connection", { connection: "" }, /Name a connection/],
  ["one that policy refuses", { connection: "elsewhere" }, /Policy says no/],
])("refused: %s", async (_, change, message) => {
  await expect(ask(change)).rejects.toMatchObject({ message });
});

test("where nothing holds there is nothing to ask for", async () => {
  stage.peers.holds.set("connect", []);
  await expect(ask()).rejects.toMatchObject({ code: "failed-precondition", message: /Nothing holds/ });
});

test("what waits already is not asked for again; another database is something else", async () => {
  const { approvalId } = await ask();
  await expect(ask()).rejects.toMatchObject({ code: "already-exists", message: new RegExp(approvalId) });
  expect((await ask({ database: "sandbox" })).database).toBe("sandbox");
});

test("it ends by itself, also when the service was away at its end", async () => {
  const { approvalId } = await ask({ seconds: 1 });
  const other = await ask({ seconds: 1, database: "sandbox" });
  await decide("dba", approvalId);
  await becomes(approvalId, expired);
  await decide("dba", other.approvalId);
  await stage.stop();
  await stage.start();
  await becomes(other.approvalId, expired);
});

test("an approver takes it back; who has it gives it back", async () => {
  const { approvalId } = await ask();
  await decide("dba", approvalId);
  expect(await decide("dba2", approvalId, false, "enough")).toMatchObject({ status: withdrawn, reason: "enough" });
  const own = await ask();
  await decide("dba", own.approvalId);
  expect(await decide(who, own.approvalId, false)).toMatchObject({ status: withdrawn });
});

test("signing out does not end it, being offboarded does", async () => {
  const { approvalId } = await ask();
  await decide("dba", approvalId);
  const say = (kind: "token" | "principal", fact: NonNullable<Event["fact"]>) =>
    jetstream(stage.nc).publish(
      subjectOf("identity", kind, `${kind}-${who}`),
      Event.encode({
        ...Event.fromPartial({
          id: `${kind}-${who}`,
          service: "identity",
          aggregate: `${kind}/${kind}-${who}`,
          version: 1,
        }),
        fact,
      }).finish(),
    );
  const tokenId = `token-${who}`;
  await say("token", {
    $case: "tokenRevoked",
    value: { tokenId, principalId: `user:${who}`, reason: "", withDescendants: false },
  });
  await say("principal", {
    $case: "principalOffboarded",
    value: PrincipalOffboarded.fromPartial({ principalId: `user:${who}`, reason: "left" }),
  });
  await becomes(approvalId, withdrawn);
  expect((await find("dba", approvalId))?.reason).toBe(`user:${who} was offboarded`);
});

test("glass is broken at once, for as long as policy lets, and seen by those who could have granted it", async () => {
  const before = Date.now();
  const state = await breakGlass({ seconds: 0, reason: "the shop is down" });
  expect(state).toMatchObject({ status: granted, breakGlass: true, requestReason: "the shop is down", grantedBy: [] });
  expect(state.window!.untilMs).toBeGreaterThanOrEqual(before + 1_800_000);
  expect(await find("dba", state.approvalId)).toMatchObject({ breakGlass: true });
  expect(await decide("dba", state.approvalId, false, "it is over")).toMatchObject({ status: withdrawn });
});

test("glass ends at its time", async () => {
  const { approvalId } = await breakGlass({ seconds: 1 });
  await becomes(approvalId, expired);
});

test.each([
  ["no reason", { reason: "" }, /says why/],
  ["longer than policy lets", { seconds: 1_801 }, /30m at most/],
  ["where policy refuses", { connection: "elsewhere" }, /Policy says no/],
])("no glass is broken: %s", async (_, change, message) => {
  await expect(breakGlass(change)).rejects.toMatchObject({ message });
});

test("no glass is broken by a job, or where none is to be broken", async () => {
  stage.peers.tokens.set(
    "token-of-job",
    person(who, ["engineers"], { tokenKind: TokenKind.TOKEN_KIND_PERSONAL, tokenId: `job-${who}` }),
  );
  await expect(breakGlass({}, "job")).rejects.toMatchObject({ code: "not-permitted", message: /Only a person/ });
  stage.peers.holds.set("break-glass", []);
  await expect(breakGlass()).rejects.toMatchObject({ code: "failed-precondition" });
});
