/** A real nats-server for tests, on a free port, with JetStream in a temporary folder. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface TestNats {
  url: string;
  port: number;
  storeDir: string;
  /** SIGKILL, as a crash; the store stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port and store after `kill`. */
  restart(): Promise<void>;
  /** Ends it and removes the store. */
  stop(): Promise<void>;
}

/** `extraConfig` is appended to the generated configuration (accounts, authorization, tls, …). */
export async function startNatsServer({ extraConfig = "" }: { extraConfig?: string } = {}): Promise<TestNats> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-nats-"));
  let child = await launch(folder, -1, extraConfig);
  const port = await readPort(folder, child);
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    storeDir: folder,
    kill: () => end(child, "SIGKILL"),
    restart: async () => {
      await end(child, "SIGKILL");
      child = await launch(folder, port, extraConfig);
      await readPort(folder, child);
    },
    stop: async () => {
      await end(child, "SIGKILL");
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function launch(folder: string, port: number, extraConfig: string): Promise<ChildProcess> {
  for (const file of await readdir(folder)) if (file.endsWith(".ports")) await rm(join(folder, file));
  const config = join(folder, "nats.conf");
  const jetstream = `jetstream { store_dir: "${join(folder, "store")}", max_mem: 64M, max_file: 16G }`;
  await writeFile(
    config,
    `listen: "127.0.0.1:${port}"\nports_file_dir: "${folder}"\nmax_payload: 8M\n${jetstream}\n${extraConfig}\n`,
  );
  const child = spawn("nats-server", ["-c", config, "-l", join(folder, "server.log")], { stdio: "ignore" });
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) => reject(new Error("nats-server cannot be started: is it installed?", { cause })));
  });
  await Promise.race([failed, new Promise((resolve) => child.once("spawn", resolve))]);
  return child;
}

/** The server writes its ports file once it listens. */
async function readPort(folder: string, child: ChildProcess): Promise<number> {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline && child.exitCode === null) {
    const file = (await readdir(folder)).find((name) => name.endsWith(".ports"));
    if (file) {
      const text = await readFile(join(folder, file), "utf8");
      const match = /"nats":\s*\[\s*"[^"]*:(\d+)"/.exec(text);
      if (match) return Number(match[1]);
    }
    await delay(10);
  }
  throw new Error(
    `nats-server did not start: ${await readFile(join(folder, "server.log"), "utf8").catch(() => "no log")}`,
  );
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
