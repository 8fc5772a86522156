/** A real nats-server on a free port with its own store, for tests and benchmarks. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { framesAll, framesStream } from "@sallyport/proto/subjects";

export interface TestNats {
  readonly url: string;
  connect(): Promise<NatsConnection>;
  /** SIGSTOP: acknowledgements stop, connections stay */
  freeze(): void;
  thaw(): void;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** kills it and removes its store */
  remove(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export async function startNats(): Promise<TestNats> {
  const port = await freePort();
  const store = await mkdtemp(join(tmpdir(), "sallyport-edge-nats-"));
  const url = `127.0.0.1:${port}`;
  let child: ChildProcess | undefined;

  const nats: TestNats = {
    url,
    connect: () =>
      connect({
        servers: url,
        reconnectTimeWait: 50,
        maxReconnectAttempts: -1,
        waitOnFirstConnect: true,
        timeout: 5000,
      }),
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    async kill() {
      if (child === undefined) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      child = undefined;
      await gone;
    },
    async start() {
      child = spawn("nats-server", ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", store], { stdio: "ignore" });
      await once(child, "spawn");
      const probe = await nats.connect();
      await probe.close();
    },
    async remove() {
      await nats.kill();
      await rm(store, { recursive: true, force: true });
    },
  };
  await nats.start();
  return nats;
}

export interface FramesSettings {
  maxBytes?: number;
  duplicateWindowMs?: number;
}

/** FRAMES_<partition> as `deploy/local` makes it: full means refused. */
export async function makeFrames(nc: NatsConnection, partition: number, settings: FramesSettings = {}): Promise<void> {
  const manager = await jetstreamManager(nc);
  await manager.streams.add({
    name: framesStream(partition),
    subjects: [framesAll(partition)],
    discard: "new",
    ...(settings.maxBytes === undefined ? {} : { max_bytes: settings.maxBytes }),
    ...(settings.duplicateWindowMs === undefined ? {} : { duplicate_window: settings.duplicateWindowMs * 1_000_000 }),
  });
}
