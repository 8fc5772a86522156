/** An edge on a real bus: events end sessions, a lost lease admits nothing, cancels find their edge, the end leaves nothing behind. */
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import type { Connection } from "@sallyport/proto/catalog_model";
import { Event } from "@sallyport/proto/event";
import { event as eventSubject } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { startNats, type TestNats } from "../testing/nats-server.ts";
import { recordingOnlyLinks } from "../testing/recording-only.ts";
import { type Edge, openEdge } from "./edge.ts";
import type { Decision, SessionEnd } from "./outcome.ts";
import type { EdgeSession } from "./session-interface.ts";

const orders = { name: "orders", protocol: "test", host: "db", port: 5432, defaultDatabase: "orders" } as Connection;
const target = { target: "db:5432", role: "app", version: "18", tls: "" };

interface Running {
  server: TestNats;
  nats: NatsConnection;
  edge: Edge;
  login(user: string): Promise<EdgeSession>;
  say(fact: NonNullable<Event["fact"]>, id: string): Promise<void>;
  another(name: string, siblings: string[]): Promise<Edge>;
}

async function running(giveUpMs = 5000): Promise<Running> {
  const server = await startNats();
  const nats = await server.connect();
  await ensureStreams(nats, { maxFramesBytes: 64 * 1024 * 1024 });
  const opened: Edge[] = [];
  const open = async (name: string, siblings: string[]): Promise<Edge> => {
    const edge = await openEdge({
      edge: name,
      siblings,
      protocol: "test",
      partition: 0,
      lane: 0,
      gatewayVersion: "0",
      nats,
      links: recordingOnlyLinks(new Map([["orders", orders]])),
      log: pino({ level: "silent" }),
      durability: "process",
      recorder: { giveUpMs, ackTimeoutMs: 200 },
    });
    opened.push(edge);
    return edge;
  };
  onTestFinished(async () => {
    server.thaw();
    await Promise.all(opened.map((edge) => edge.close(200)));
    await nats.close();
    await server.remove();
  });
  const edge = await open("edge-test-1", []);
  return {
    server,
    nats,
    edge,
    another: open,
    async login(user) {
      const handshake = edge.handshake();
      if (handshake === undefined) throw new Error("no handshake");
      const request = {
        token: "t",
        claimedUser: user,
        connection: "orders",
        database: "",
        clientAddress: "",
        clientApplication: "",
        tls: "",
      };
      const login = await edge.login(request, handshake);
      if (login.outcome === "refused") throw new Error(login.message);
      return login.open(target, new PassThrough());
    },
    async say(fact, id) {
      const event: Event = {
        ...Event.fromPartial({ id, service: "identity", aggregate: `principal/${id}`, version: 1 }),
        fact,
      };
      await jetstream(nats).publish(eventSubject("identity", "principal", id), Event.encode(event).finish());
    },
  };
}

const run = async (session: EdgeSession, text: string): Promise<Decision> => {
  let decision = session.gate.decide({ unit: "simple-query", text: Buffer.from(text) });
  if (decision instanceof Promise) decision = await decision;
  if (decision.outcome !== "forward") return decision;
  const forward = decision;
  return new Promise((resolve) => session.gate.admit(forward, resolve));
};

test("a command goes through on a real bus", async () => {
  const { login } = await running();
  const session = await login("engineer");
  expect((await run(session, "select 1")).outcome).toBe("forward");
  await session.close();
});

test("offboarding ends the session within a second, and nothing is admitted afterwards", async () => {
  const { login, say } = await running();
  const session = await login("contractor");
  const other = await login("engineer");
  const ended = new Promise((resolve) => session.signal.addEventListener("abort", resolve));
  await say({ $case: "principalOffboarded", value: { principalId: "user:contractor", reason: "", tokenIds: [] } }, "c");
  const acked = performance.now();
  await ended;
  expect(performance.now() - acked).toBeLessThan(1000);
  expect((session.signal.reason as SessionEnd).cause).toBe("revoked");
  expect((await run(session, "select 1")).outcome).toBe("deny");
  expect((await run(other, "select 1")).outcome).toBe("forward");
  await session.close();
});

test("without a lease nothing is admitted, also what policy allowed before", async () => {
  const { server, login } = await running();
  const session = await login("engineer");
  expect((await run(session, "select 1")).outcome).toBe("forward");
  server.freeze();
  await sleep(700);
  expect(await run(session, "select 1")).toMatchObject({ outcome: "deny", kind: "unavailable" });
  server.thaw();
  await expect.poll(async () => (await run(session, "select 1")).outcome, { timeout: 5000 }).toBe("forward");
}, 15_000);

test("a bus that stays away ends the sessions; when it is back new ones work", async () => {
  const { server, login } = await running(1000);
  const session = await login("engineer");
  await server.kill();
  session.gate.release(0, Buffer.from("never seen"));
  await expect.poll(() => session.signal.aborted, { timeout: 5000 }).toBe(true);
  expect((session.signal.reason as SessionEnd).cause).toBe("bus");
  await session.close();
  await expect(login("engineer")).rejects.toThrow("the log cannot be written right now");
  await server.start();
  await expect
    .poll(
      async () =>
        login("engineer").then(
          () => "in",
          () => "out",
        ),
      { timeout: 10_000 },
    )
    .toBe("in");
}, 20_000);

test("a cancel that reaches another edge finds its way", async () => {
  const { edge, another } = await running();
  const other = await another("edge-test-2", ["edge-test-1", "edge-test-2"]);
  const seen: string[] = [];
  const { key, withdraw } = edge.cancels.issue(4, (address) => seen.push(address));
  const wrong = Buffer.from(key.secret.map((byte) => byte ^ 1));
  other.cancels.request(key.processId, wrong, "192.0.2.7");
  edge.cancels.request(key.processId, wrong, "192.0.2.8");
  edge.cancels.request(key.processId, key.secret, "192.0.2.1");
  expect(seen).toEqual(["192.0.2.1"]);
  other.cancels.request(key.processId, key.secret, "192.0.2.2");
  await expect.poll(() => seen).toEqual(["192.0.2.1", "192.0.2.2"]);
  withdraw();
  edge.cancels.request(key.processId, key.secret, "192.0.2.3");
  expect(seen).toHaveLength(2);
});

test("handshakes have a quota, and shutting down ends every session", async () => {
  const { edge, login } = await running();
  const session = await login("engineer");
  const ended = new Promise((resolve) => session.signal.addEventListener("abort", resolve));
  const held = Array.from({ length: 512 }, () => edge.handshake());
  expect(held.every((one) => one !== undefined)).toBe(true);
  expect(edge.handshake()).toBeUndefined();
  held[0]?.done();
  held[0]?.done();
  expect(edge.handshake()).toBeDefined();
  expect(edge.handshake()).toBeUndefined();
  const closed = edge.close(1000);
  await ended;
  expect((session.signal.reason as SessionEnd).cause).toBe("shutdown");
  await session.close();
  await closed;
  expect([...edge.sessions()]).toEqual([]);
});
