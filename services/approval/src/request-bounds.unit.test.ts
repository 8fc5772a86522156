import { RequestApprovalRequest } from "@sallyport/proto/approval";
import { HeldCommand, HeldParameter } from "@sallyport/proto/held_command";
import { expect, test } from "vitest";
import { digest, engineer, hold } from "../testing/people.ts";
import { checkedId, checkedReason, idOf, requestedFrom } from "./request-bounds.ts";

const ask = (change: Partial<RequestApprovalRequest> = {}): RequestApprovalRequest =>
  RequestApprovalRequest.fromPartial({
    sessionId: "s1",
    command: 4,
    digest,
    principal: engineer,
    connection: "orders",
    text: "delete",
    shown: { textLength: 6 },
    holds: [hold("p", "dba")],
    ...change,
  });
const shown = (change: Partial<HeldCommand>): Partial<RequestApprovalRequest> => ({
  shown: HeldCommand.fromPartial({ textLength: 6, parameterCount: change.parameters?.length ?? 0, ...change }),
});
const parameter = (change: Partial<HeldParameter>): HeldParameter => HeldParameter.fromPartial(change);
const inner = (text: string) => ({ kind: 1 as const, name: "n", text, normalized: "" });

test("the shortest hold ends the request, and never after the session", () => {
  expect(
    requestedFrom(ask({ holds: [hold("p", "dba", 1, 900), hold("q", "security", 1, 60)] }), 1_000).expiresAtMs,
  ).toBe(61_000);
  expect(requestedFrom(ask({ holds: [hold("p", "dba", 0, 0)] }), 1_000)).toMatchObject({
    expiresAtMs: 901_000,
    holds: [{ quorum: 1, withinSeconds: 900 }],
  });
  expect(requestedFrom(ask({ principal: { ...engineer, expiresAtMs: 30_000 } }), 1_000).expiresAtMs).toBe(30_000);
});

test.each<[string, Partial<RequestApprovalRequest>]>([
  ["nobody", { principal: undefined }],
  ["sessionId", { sessionId: "" }],
  ["connection", { connection: "x".repeat(300) }],
  ["too long", { text: "x".repeat(300_000) }],
  ["shows all", { shown: undefined }],
  ["shows all", { text: "délete" }],
  ["shows all", { text: "del" }],
  ["parameters", shown({ parameters: [parameter({})], parameterCount: 0 })],
  ["parameters", shown({ parameters: Array.from({ length: 1_001 }, () => parameter({})) })],
  ["parameter is too long", shown({ parameters: [parameter({ value: "x".repeat(5_000), length: 5_000 })] })],
  ["cut", shown({ parameters: [parameter({ value: "x", length: 5_000, cut: true })] })],
  ["too long", shown({ executes: [inner("x".repeat(300_000))] })],
  ["statements", shown({ executes: Array.from({ length: 257 }, () => inner("x")) })],
  ["digest", { digest: Buffer.alloc(0) }],
  ["holds", { holds: [] }],
  ["holds", { holds: Array.from({ length: 33 }, (_, i) => hold(String(i), "dba")) }],
  ["group", { holds: [hold("p", "")] }],
  ["quorum", { holds: [hold("p", "dba", 21)] }],
  ["twice", { holds: [hold("p", "dba"), hold("p", "security")] }],
])("refused: %s", (what, change) => {
  expect(() => requestedFrom(ask(change), 0)).toThrow(new RegExp(what));
});

test("the id is the unit's: same unit, same id", () => {
  const one = idOf(ask());
  expect(one).toMatch(/^[a-z2-9]{12}$/);
  expect(idOf(ask({ text: "other" }))).toBe(one);
  const others = [ask({ sessionId: "s2" }), ask({ command: 5 }), ask({ digest: Buffer.alloc(32, 1) })].map(idOf);
  expect(new Set([one, ...others]).size).toBe(4);
});

test("ids and reasons that people type are bounded and cannot draw on a terminal", () => {
  expect(() => checkedId("a.b")).toThrow(/no such request/);
  expect(() => checkedId("x".repeat(65))).toThrow(/no such request/);
  expect(checkedReason(" not\u001b[31m today\r\n\u202e ")).toBe("not [31m today");
  expect(() => checkedReason("x".repeat(1_001))).toThrow(/1,000/);
});
