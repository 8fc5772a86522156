import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Stack } from "@sallyport/local";
import { framesStream } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import type { BenchDatabase } from "../bench-database.ts";
import { ended, said } from "../child.ts";
import { freePort } from "../free-port.ts";
import { libpqEnvironment, type Contender } from "./contender.ts";
import { requirePid } from "./direct.ts";

/** The same wire, lane and bus as Sallyport's; no policy, no masking, no ClickHouse. */
export interface RecordingOnly extends Contender {
  readonly name: "recording-only";
  relayPid(): number;
  stop(): Promise<void>;
}

const RELAY = fileURLToPath(new URL("../../../services/edge-postgres/bench/recording-only.ts", import.meta.url));
const FRAMES_BYTES = 20 * 1024 ** 3;

export async function recordingOnly(stack: Stack, database: BenchDatabase): Promise<RecordingOnly> {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-recording-only-"));
  const children: ChildProcess[] = [];
  let admin: NatsConnection | undefined;
  const stop = async (): Promise<void> => {
    for (const child of children.splice(0).toReversed()) await ended(child, "SIGTERM");
    await admin?.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const port = await freePort();
    const bus = startBus(folder, port);
    children.push(bus);
    const url = `nats://127.0.0.1:${port}`;
    admin = await connect({ servers: url, waitOnFirstConnect: true, reconnectTimeWait: 50 });
    await ensureStreams(admin, { maxFramesBytes: FRAMES_BYTES });
    const manager = await jetstreamManager(admin);

    const passwordFile = join(folder, "password");
    writeFileSync(passwordFile, database.password, { mode: 0o600 });
    const settings = {
      nats: url,
      ...stack.pki.certificate("edge-postgres"),
      target: { ...database, password: undefined, connection: "bench", passwordRef: `file:${passwordFile}` },
    };
    const relay = spawn(process.execPath, [RELAY, JSON.stringify(settings)], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(relay);
    const { ready } = JSON.parse(await said(relay, /"ready"/, 10_000)) as { ready: number };
    const server = { host: "localhost", port: ready, database: "bench", user: "engineer", password: "anything" };
    return {
      name: "recording-only",
      env: (tls) => libpqEnvironment(server, tls ? stack.pki.ca : undefined),
      processes: () => [
        { name: "postgres", pid: requirePid(stack, "postgres") },
        { name: "recording-only", pid: relay.pid! },
        { name: "nats-server", pid: bus.pid! },
      ],
      // nobody else takes out what was recorded
      prepare: async () => void (await manager.streams.purge(framesStream(0))),
      relayPid: () => relay.pid!,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Limits as in deploy/local. */
function startBus(folder: string, port: number): ChildProcess {
  const configFile = join(folder, "nats-server.conf");
  const configuration = {
    listen: `127.0.0.1:${port}`,
    max_payload: 8 * 1024 * 1024,
    max_pending: 64 * 1024 * 1024,
    jetstream: { store_dir: join(folder, "nats"), max_memory_store: 64 * 1024 * 1024 },
  };
  writeFileSync(configFile, JSON.stringify(configuration));
  return spawn("nats-server", ["-c", configFile], { stdio: "ignore" });
}
