import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { callUnary } from "@sallyport/runtime";
import { eventually } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { as, ask, held, openStage, type Stage } from "../testing/stage.ts";

interface Delivery {
  body: string;
  signature: string;
  type: string;
  approval: string;
}

let stage: Stage;
let receiver: Server;
let port: number;
let answer: number;
let deliveries: Delivery[];

beforeAll(async () => {
  process.env["SALLYPORT_TEST_WEBHOOK"] = "webhook-secret";
  stage = await openStage();
  receiver = createServer((request, response) => {
    void text(request).then((body) => {
      const json = JSON.parse(body) as { type: string; approval: { id: string } };
      const signature = String(request.headers["sallyport-signature"]);
      if (answer < 300) deliveries.push({ body, signature, type: json.type, approval: json.approval.id });
      response.writeHead(answer, { location: "http://127.0.0.1:1/" }).end("x");
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const address = receiver.address();
  port = typeof address === "object" && address ? address.port : 0;
  await start();
});
afterAll(async () => {
  receiver.closeAllConnections();
  receiver.close();
  await stage.end();
});
beforeEach(() => {
  answer = 204;
  deliveries = [];
});

const start = () =>
  stage.start({
    webhook: {
      url: `http://127.0.0.1:${port}/hook`,
      secret: "env:SALLYPORT_TEST_WEBHOOK",
      timeoutMs: 1_000,
      retryMs: [20, 100],
    },
  });
const toldOf = (approval: string) => deliveries.filter((one) => one.approval === approval).map((one) => one.type);

test("requests and outcomes are told, signed, without the statement's values", async () => {
  const { approvalId } = await ask(stage);
  await callUnary(stage.people, "decide", { approvalId, grant: false, reason: "no" }, as("dba"));
  await eventually(() => toldOf(approvalId).length === 2);
  expect(toldOf(approvalId).toSorted()).toEqual(["approval.denied", "approval.requested"]);
  for (const { body, signature } of deliveries) {
    expect(body).not.toContain("ada@example.org");
    expect(body).toContain(held().normalized);
    const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signature)!;
    expect(createHmac("sha256", "webhook-secret").update(`${t}.${body}`).digest("hex")).toBe(v1);
    expect(Math.abs(Date.now() / 1_000 - Number(t))).toBeLessThan(60);
  }
});

test.each([500, 302])("a receiver that answers %i is asked again until it takes it", async (status) => {
  answer = status;
  const { approvalId } = await ask(stage);
  await new Promise((resolve) => receiver.once("request", (_, response) => response.once("close", resolve)));
  expect(toldOf(approvalId)).toEqual([]);
  answer = 200;
  expect(await eventually(() => toldOf(approvalId)[0])).toBe("approval.requested");
});

test("what could not be told before a restart is told after it", async () => {
  answer = 503;
  const { approvalId } = await ask(stage);
  await new Promise((resolve) => receiver.once("request", (_, response) => response.once("close", resolve)));
  await stage.stop();
  answer = 200;
  await start();
  expect(await eventually(() => toldOf(approvalId)[0], 15_000)).toBe("approval.requested");
});
