import { createHmac, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { connect } from "@nats-io/transport-node";
import { Event } from "@sallyport/proto/event";
import { CheckRequest, PolicyServiceClient } from "@sallyport/proto/policy";
import type { CheckResponse } from "@sallyport/proto/policy";
import { event } from "@sallyport/proto/subjects";
import { Outcome, Verdict } from "@sallyport/proto/verdict";
import { callUnary, ensureStreams, openLink } from "@sallyport/runtime";
import type { Link, Runtime } from "@sallyport/runtime";
import { createPki, startNatsServer, startTestRuntime } from "@sallyport/runtime/testing";
import type { TestNats, TestPki } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { demoConfiguration, demoSchema, person } from "../testing/world.ts";
import { configSchema } from "./policy-config.ts";
import { openPolicyService } from "./policy-service.ts";

let folder: string;
let nats: TestNats;
let nc: NatsConnection;
let pki: TestPki;
let service: Runtime;
let edge: Runtime;
let link: Link<CheckRequest, CheckResponse>;
const secret = randomBytes(32);

async function publish(fact: object, service_: "catalog" | "approval" = "catalog"): Promise<number> {
  const id = randomBytes(6).toString("hex");
  const kind = service_ === "catalog" ? "configuration" : "request";
  const message = Event.fromPartial({ id, service: service_, aggregate: `${kind}/${id}`, version: 1, fact } as never);
  const subject = event(service_, kind, id);
  return (await jetstream(nc).publish(subject, Event.encode(message).finish(), { msgID: id })).seq;
}

const applied = (configuration = demoConfiguration()) => ({
  $case: "configurationApplied",
  value: { configuration, digest: "", changes: [] },
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-"));
  await writeFile(join(folder, "mac.key"), `${secret.toString("base64")}\n`);
  [nats, pki] = await Promise.all([startNatsServer(), createPki()]);
  nc = await connect({
    servers: nats.url,
    inboxPrefix: "_INBOX_test",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  await ensureStreams(nc);
  await publish(applied());
  await publish({ $case: "schemaObserved", value: { connection: "orders", database: "orders", schema: demoSchema() } });

  service = await startTestRuntime("policy", { pki, nats: nats.url });
  const config = configSchema.parse({
    ...service.config,
    verdictKey: { id: "test-1", secret: `file:${join(folder, "mac.key")}` },
  });
  const policy = await openPolicyService({ ...service, config }, await service.connectNats());
  const { internal } = await service.serve({ internal: [policy], allow: config.allow });
  service.ready();
  edge = await startTestRuntime("edge-postgres", { pki, peers: { policy: internal ?? "" } });
  const client = edge.client(PolicyServiceClient, "policy");
  link = openLink({ name: "policy", open: () => client.check(), log: edge.log });
}, 60_000);

afterAll(async () => {
  link?.close();
  await edge?.stop("end of test");
  await service?.stop("end of test");
  await nc?.close();
  await nats?.stop();
  await rm(folder, { recursive: true, force: true });
});

function request(text: string, more: Partial<CheckRequest> = {}): CheckRequest {
  return CheckRequest.fromPartial({
    deadlineMs: 2_000,
    session: {
      sessionId: "s1",
      principal: person("engineer", { expiresAtMs: 0 }),
      connection: "orders",
      database: "orders",
      clientAddress: "127.0.0.1",
      openedAtMs: Date.now(),
    },
    subject: {
      $case: "command",
      value: {
        protocol: "postgresql",
        unit: "simple-query",
        text,
        searchPath: ["public"],
        settings: { standard_conforming_strings: "on", client_encoding: "UTF8" },
      },
    },
    ...more,
  } as never);
}

async function ask(text: string, more: Partial<CheckRequest> = {}): Promise<Verdict> {
  const response = await link.request(request(text, more), { deadlineMs: 10_000 });
  if (response.verdict === undefined) throw new Error(response.error);
  const mac = createHmac("sha256", secret).update(response.verdict.verdict).digest();
  expect(response.verdict.mac).toEqual(mac);
  expect(response.verdict.keyId).toBe("test-1");
  return Verdict.decode(response.verdict.verdict);
}

test("a connect decision says who could not be let write at all", async () => {
  const connecting = (name: string): Partial<CheckRequest> => ({
    session: {
      ...request("").session!,
      principal: person(name, { expiresAtMs: 0 }),
    },
    subject: { $case: "connect", value: {} },
  });
  expect(await ask("", connecting("engineer"))).toMatchObject({ outcome: Outcome.OUTCOME_FORWARD, mayWrite: true });
  expect(await ask("", connecting("contractor"))).toMatchObject({ outcome: Outcome.OUTCOME_FORWARD, mayWrite: false });
  const held = await ask("DELETE FROM orders WHERE id = 1");
  expect(held).toMatchObject({ outcome: Outcome.OUTCOME_HOLD, mayWrite: true });
});

test("checks are answered over the stream, signed", async () => {
  expect((await ask("SELECT id FROM orders WHERE id = 1")).outcome).toBe(Outcome.OUTCOME_FORWARD);
  expect((await ask("DELETE FROM orders WHERE id = 1")).outcome).toBe(Outcome.OUTCOME_HOLD);
  expect((await ask("DROP TABLE orders")).outcome).toBe(Outcome.OUTCOME_DENY);
});

test("explained, it is the same answer, with nothing to admit it by: no id, no inputs, no signature", async () => {
  const client = edge.client(PolicyServiceClient, "policy");
  const explain = (text: string) => callUnary(client, "explain", request(text), { deadlineMs: 10_000 });
  const explained = await explain("DELETE FROM orders WHERE id = 1");
  const asked = await ask("DELETE FROM orders WHERE id = 1");
  expect(explained).toMatchObject({
    outcome: Outcome.OUTCOME_HOLD,
    determining: asked.determining,
    holds: asked.holds,
  });
  expect([explained.id, explained.inputs.length]).toEqual(["", 0]);
  expect((await explain("SELECT id FROM orders WHERE id = 1")).outcome).toBe(Outcome.OUTCOME_FORWARD);
});

test("a large text does not hold up a small one behind it", async () => {
  const order: string[] = [];
  const list = Array.from({ length: 20_000 }, (_, i) => i).join(",");
  const large = ask(`SELECT 1 FROM orders WHERE id IN (${list})`).then(() => order.push("large"));
  const small = ask("SELECT 1").then(() => order.push("small"));
  await Promise.all([large, small]);
  expect(order).toEqual(["small", "large"]);
}, 30_000);

test("an answer waits until the service knows what the edge knows", async () => {
  const seq = await publish(applied(demoConfiguration([])));
  const verdict = await ask("SELECT id FROM orders", { minAsOf: seq });
  expect(verdict.outcome).toBe(Outcome.OUTCOME_DENY);
  expect(verdict.asOf).toBeGreaterThanOrEqual(seq);
  const back = await publish(applied());
  expect((await ask("SELECT id FROM orders", { minAsOf: back })).outcome).toBe(Outcome.OUTCOME_FORWARD);
});

test("… and is an error when that takes too long", async () => {
  await expect(ask("SELECT 1", { minAsOf: 1_000_000, deadlineMs: 50 })).rejects.toThrow("has not seen event 1000000");
});

test("a held command, granted and used, goes through", async () => {
  const digest = randomBytes(32);
  const held = await ask("DELETE FROM orders WHERE id = 7");
  const asked = {
    approvalId: "a1",
    sessionId: "s1",
    principal: person("engineer"),
    connection: "orders",
    database: "orders",
    digest,
    holds: held.holds,
  };
  await publish({ $case: "approvalRequested", value: asked }, "approval");
  await publish(
    { $case: "approvalGranted", value: { approvalId: "a1", approver: "user:dba", complete: true } },
    "approval",
  );
  const command = {
    ...(request("DELETE FROM orders WHERE id = 7").subject?.value as object),
    approvalId: "a1",
    digest,
  };
  const more = (minAsOf: number) => ({ minAsOf, subject: { $case: "command", value: command } }) as never;
  expect((await ask("", more(0))).outcome).toBe(Outcome.OUTCOME_DENY);
  const used = await publish(
    { $case: "approvalUsed", value: { approvalId: "a1", sessionId: "s1", digest } },
    "approval",
  );
  const verdict = await ask("", more(used));
  expect(verdict.outcome).toBe(Outcome.OUTCOME_FORWARD);
  expect(verdict.approvalId).toBe("a1");
});

test("the gateway's own powers", async () => {
  const client = edge.client(PolicyServiceClient, "policy");
  const may = (name: string, action: string, resource = "") =>
    callUnary(
      client,
      "authorize",
      { principal: person(name), action, resource, connection: "" },
      { deadlineMs: 5_000 },
    );
  expect((await may("dba", "approve", "orders")).allowed).toBe(true);
  expect((await may("engineer", "approve", "orders")).allowed).toBe(false);
  expect((await may("security", "audit")).allowed).toBe(true);
  expect((await may("security", "revoke")).determining).toEqual(["security-audits"]);
  expect((await may("engineer", "connect", "orders")).allowed).toBe(true);
  expect((await may("engineer", "connect", "nowhere")).allowed).toBe(false);
  expect((await may("engineer", "fly")).message).toContain("no power called fly");
  expect((await may("dba", "reveal")).revealedClasses).toEqual(["email", "phone", "statement-text"]);
  expect((await may("security", "reveal", "statement-text")).allowed).toBe(true);
  expect((await may("contractor", "reveal", "email")).allowed).toBe(false);
});

test("a candidate set is looked at, and nothing is published", async () => {
  const client = edge.client(PolicyServiceClient, "policy");
  const configuration = demoConfiguration([
    { path: "p.cedar", text: "permit (principal, action, resource);\nforbid (" },
  ]);
  const { problems, policySet } = await callUnary(client, "validate", { configuration }, { deadlineMs: 20_000 });
  expect(problems.map(({ path, line, column }) => `${path}:${line}:${column}`)).toEqual(["p.cedar:1:1", "p.cedar:2:9"]);
  expect(policySet).toMatch(/^sha256:/);
  expect((await ask("SELECT id FROM orders")).outcome).toBe(Outcome.OUTCOME_FORWARD);
});

test("a published set that does not load refuses everything, until one does", async () => {
  const seq = await publish(applied(demoConfiguration([{ path: "p.cedar", text: "permit (" }])));
  const verdict = await ask("SELECT id FROM orders", { minAsOf: seq });
  expect(verdict.outcome).toBe(Outcome.OUTCOME_DENY);
  const back = await publish(applied());
  expect((await ask("SELECT 1", { minAsOf: back })).outcome).toBe(Outcome.OUTCOME_FORWARD);
});

// The last: the test's own connection does not come back as fast.
test("out of touch with the event log, nobody gets an answer about the gateway's powers", async () => {
  const client = edge.client(PolicyServiceClient, "policy");
  const may = () =>
    callUnary(
      client,
      "authorize",
      { principal: person("dba"), action: "approve", resource: "", connection: "" },
      { deadlineMs: 10_000 },
    );
  expect((await may()).allowed).toBe(true);
  await nats.kill();
  try {
    await expect(
      (async () => {
        // The last proof is worth half a second.
        for (;;) await may();
      })(),
    ).rejects.toMatchObject({ code: "unavailable" });
  } finally {
    await nats.restart();
  }
}, 30_000);
