import { createHmac } from "node:crypto";
import { BreakGlassUsed, Event } from "@sallyport/proto/event";
import { expect, test } from "vitest";
import { asked, granted, requested } from "../testing/people.ts";
import { approvalConfig } from "./approval-config.ts";
import { requestDecider } from "./request.ts";
import { backoff } from "./webhook.ts";
import { signature, webhookBody } from "./webhook-body.ts";

const eventOf = (fact: Event["fact"]): Event => ({ ...Event.fromPartial({ id: "e1", atMs: 100_000 }), fact });
const known = { id: "a1", request: requestDecider.evolve(undefined, eventOf(asked().fact))!, seq: 9 };

test("a request is told with public fields only", () => {
  const body = webhookBody(eventOf(asked().fact), 9, known)!;
  expect(JSON.parse(body)).toMatchObject({
    type: "approval.requested",
    sequence: 9,
    approval: { id: "a1", principal: "user:engineer", statement: requested().normalized },
  });
  expect(JSON.parse(body)).toMatchObject({
    approval: {
      text_length: 50,
      parameter_count: 2,
      parameters: [
        { type_oid: 25, binary: false, null: false, length: 17 },
        { type_oid: 17, binary: true, null: false, length: 2_000 },
      ],
      executes: [{ kind: "prepared", name: "wipe", statement: "delete from t where k = $1" }],
    },
  });
  for (const hidden of ["ada@example.org", "grace", "c0ffee"]) expect(body).not.toContain(hidden);
  expect(body).not.toContain(requested().digest.toString("base64"));
});

test("an outcome says who and how", () => {
  expect(JSON.parse(webhookBody(eventOf(granted("user:dba", ["p"], true)), 10, known)!)).toMatchObject({
    type: "approval.granted",
    by: "user:dba",
    complete: true,
  });
});

test("what is no outcome is not told", () => {
  expect(webhookBody(eventOf(undefined), 1, known)).toBeUndefined();
});

test("the signature can be checked with the secret and the bytes", () => {
  const expected = createHmac("sha256", "secret").update("1700000000.{}").digest("hex");
  expect(signature("{}", Buffer.from("secret"), 1_700_000_000_999)).toBe(`t=1700000000,v1=${expected}`);
});

test("pauses double up to the longest, and spread", () => {
  const pauses = (random: number) => [1, 2, 3, 10, 1_000].map((tries) => backoff(tries, [1_000, 60_000], () => random));
  expect(pauses(0.5)).toEqual([1_000, 2_000, 4_000, 60_000, 60_000]);
  expect(pauses(0)[0]).toBe(750);
  expect(pauses(1)[0]).toBe(1_250);
});

test.each([
  ["https://hooks.example.org/x", true],
  ["http://127.0.0.1:1/x", true],
  ["http://hooks.example.org/x", false],
  ["file:///etc/passwd", false],
])("where a webhook may be: %s", (url, allowed) => {
  const base = { service: "approval", instance: "a", nats: { servers: ["x"] } };
  expect(approvalConfig.safeParse({ ...base, webhook: { url, secret: "env:X" } }).success).toBe(allowed);
});

test("broken glass is told with who, where, how long and why", () => {
  const fact: Event["fact"] = {
    $case: "breakGlassUsed",
    value: BreakGlassUsed.fromPartial({
      approvalId: "g1",
      principal: requested().principal!,
      window: { principalId: "user:engineer", connection: "orders", database: "orders", seconds: 60, untilMs: 160_000 },
      reason: "the shop is down",
    }),
  };
  const glass = { id: "g1", request: requestDecider.evolve(undefined, eventOf(fact))!, seq: 9 };
  expect(JSON.parse(webhookBody(eventOf(fact), 9, glass)!)).toMatchObject({
    type: "break-glass.used",
    by: "user:engineer",
    reason: "the shop is down",
    approval: { access: "break-glass", seconds: 60, connection: "orders", expires_at: "1970-01-01T00:02:40.000Z" },
  });
});
