import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { frames } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { createPki, startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { queryRecords, TestLane, TestSession } from "../testing/lane-writer.ts";

const main = join(import.meta.dirname, "main.ts");
let nats: TestNats;
let nc: NatsConnection;
let folder: string;
let config: string;

beforeAll(async () => {
  nats = await startNatsServer();
  nc = await connect({ servers: nats.url });
  await ensureStreams(nc, { maxFramesBytes: 64 * 1024 * 1024 });
  folder = await mkdtemp(join(tmpdir(), "sallyport-audit-main-"));
  const files = await (await createPki()).issue("audit");
  config = join(folder, "audit.json");
  await writeFile(join(folder, "verdict.key"), `${Buffer.alloc(32, 7).toString("base64")}\n`);
  await writeFile(
    config,
    JSON.stringify({
      service: "audit",
      instance: "audit",
      nats: { servers: [nats.url] },
      grpc: { public: { listen: "127.0.0.1:0", cert: files.cert, key: files.key }, client: files },
      peers: { identity: "127.0.0.1:1", policy: "127.0.0.1:1" },
      telemetry: { prometheus: "127.0.0.1:0" },
      clickhouse: { folder: join(folder, "log") },
      verdictKeys: { k1: `file:${join(folder, "verdict.key")}` },
    }),
  );
});
afterAll(async () => {
  await nc?.close();
  await nats?.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) child.kill("SIGKILL");
});

interface Line {
  msg: string;
  level: string;
  prometheus?: string;
}

/** Starts the service; gives its log line by line. */
function start(...args: string[]): { child: ChildProcess; lines: Line[]; line: (msg: string) => Promise<Line> } {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, SALLYPORT_CONFIG: config },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  const lines: Line[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => lines.push(JSON.parse(line) as Line));
  return {
    child,
    lines,
    line: async (msg) => {
      for (;;) {
        const found = lines.find((line) => line.msg === msg);
        if (found !== undefined) return found;
        if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${JSON.stringify(lines)}`);
        await Promise.race([once(reader, "line"), once(child, "exit")]);
      }
    },
  };
}

test("main: ready, ingests, measures, and ends in order", async () => {
  const { child, lines, line } = start();
  const ready = await line("ready");
  if (process.platform === "linux") {
    const threads = readdirSync(`/proc/${child.pid}/task`);
    const eager = threads.filter((id) => {
      const [name, rest] = readFileSync(`/proc/${child.pid}/task/${id}/stat`, "utf8").split(") ") as [string, string];
      // the engine's own watch over memory takes what priority it can get
      return rest.split(" ")[16] !== "10" && !name.includes("MemoryWorker");
    });
    expect(eager).toEqual([]);
  }
  const session = new TestSession({ sessionId: "s-1" });
  const lane = new TestLane("edge-1");
  await jetstream(nc).publish(frames(0, "edge-1", 0), lane.batch(queryRecords(session, 1, "SELECT 1")));
  const scrape = async (): Promise<string> => (await fetch(`http://${ready.prometheus}/metrics`)).text();
  for (
    let metrics = await scrape();
    !/sallyport_audit_records\S*\{[^}]*\} [4-9]/.test(metrics);
    metrics = await scrape()
  ) {
    expect(child.exitCode).toBe(null);
  }
  const asked = performance.now();
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(performance.now() - asked).toBeLessThan(3_000);
  expect(lines.filter(({ level }) => level === "error" || level === "fatal")).toEqual([]);
}, 30_000);

test("main: rebuild folds the log again and ends", async () => {
  const { child, line } = start("rebuild");
  expect(await line("the projections were rebuilt from the log")).toMatchObject({ ord: 4 });
  expect(await once(child, "exit")).toEqual([0, null]);
}, 30_000);

test("main: an unknown command, and a folder that another process has, are told in one line", async () => {
  expect((await once(start("rebiuld").child, "exit"))[0]).toBe(64);
  const first = start();
  await first.line("ready");
  const second = start();
  expect((await once(second.child, "exit"))[0]).toBe(1);
  expect(second.lines.find(({ level }) => level === "fatal")?.msg).toMatch(/no other process may have it open/);
  first.child.kill("SIGTERM");
  await once(first.child, "exit");
}, 60_000);
