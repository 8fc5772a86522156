import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { event, frames, framesStream } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { layoutOf, prepareLayout } from "./layout.ts";
import { connectNats, findNatsServer, prepareNats, type NatsSetup } from "./nats.ts";
import { freePorts } from "./ports.ts";

/** The bus's own refusals, with the configuration that `npm start` writes. */

const EDGE = "edge-postgres-1";
const OTHER = "edge-postgres-2";
const folder = mkdtempSync(join(tmpdir(), "sallyport-nats-"));
const open: NatsConnection[] = [];
let server: ChildProcess;
let nats: NatsSetup;

beforeAll(async () => {
  const layout = layoutOf(folder);
  prepareLayout(layout);
  const members = new Map([
    ["admin", "admin"],
    [EDGE, "edge"],
    [OTHER, "edge"],
    ["audit", "audit"],
    ["policy", "policy"],
    ["identity", "identity"],
  ]);
  nats = prepareNats(layout, (await freePorts()).nats, members);
  server = spawn(findNatsServer() ?? "nats-server", ["-c", nats.configFile], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise<void>((ready) => {
    server.stderr?.on("data", (chunk: Buffer) => {
      if (chunk.toString().includes("Server is ready")) ready();
    });
  });
  await ensureStreams(await as("admin"));
});

afterAll(async () => {
  for (const connection of open) await connection.close();
  server.kill("SIGKILL");
  await once(server, "exit");
  rmSync(folder, { recursive: true, force: true });
});

async function as(instance: string): Promise<NatsConnection> {
  const connection = await connectNats(nats.url, nats.identity(instance));
  open.push(connection);
  return connection;
}

/** What the server says about the next thing that `connection` does. */
async function refusal(connection: NatsConnection, act: () => void): Promise<string> {
  const statuses = connection.status();
  act();
  for await (const status of statuses) if (status.type === "error") return status.error.message;
  return "";
}

test("an edge publishes on its own lane", async () => {
  const acknowledged = await jetstream(await as(EDGE)).publish(frames(0, EDGE, 0), "batch");
  expect(acknowledged.stream).toBe(framesStream(0));
});

test("an edge that publishes on another edge's lane is refused", async () => {
  const connection = await as(EDGE);
  expect(await refusal(connection, () => connection.publish(frames(0, OTHER, 0), "forged"))).toContain("frames.0");
});

test("an edge that publishes an event is refused", async () => {
  const connection = await as(EDGE);
  const subject = event("identity", "token", "t1");
  expect(await refusal(connection, () => connection.publish(subject, "forged"))).toContain(subject);
});

test("an edge that subscribes to frames is refused", async () => {
  const connection = await as(EDGE);
  expect(await refusal(connection, () => void connection.subscribe("frames.>"))).toContain("frames.>");
});

test("an edge can neither make a consumer on FRAMES nor fetch a message of it", async () => {
  const connection = await as(EDGE);
  const make = `$JS.API.CONSUMER.CREATE.${framesStream(0)}`;
  expect(await refusal(connection, () => connection.publish(make, "{}"))).toContain(make);
  const get = `$JS.API.STREAM.MSG.GET.${framesStream(0)}`;
  expect(await refusal(connection, () => connection.publish(get, '{"seq":1}'))).toContain(get);
});

test("a service publishes only its own events", async () => {
  const connection = await as("identity");
  const own = await jetstream(connection).publish(event("identity", "token", "t1"), "fact");
  expect(own.seq).toBeGreaterThan(0);
  const subject = event("catalog", "configuration", "main");
  expect(await refusal(connection, () => connection.publish(subject, "forged"))).toContain(subject);
});

test("policy, which decides, cannot read frames", async () => {
  const connection = await as("policy");
  const subject = `$JS.API.CONSUMER.CREATE.${framesStream(0)}`;
  expect(await refusal(connection, () => connection.publish(subject, "{}"))).toContain(subject);
});

test("audit reads frames", async () => {
  const manager = await jetstreamManager(await as("audit"), { checkAPI: false });
  const info = await manager.streams.info(framesStream(0));
  expect(info.state.messages).toBeGreaterThan(0);
});
