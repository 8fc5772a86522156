import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eventually, startNatsServer, type TestNats } from "../testing/index.ts";

let folder: string;
let nats: TestNats;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-process-"));
  nats = await startNatsServer();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(async () => {
  await nats.stop();
  await rm(folder, { recursive: true });
});

async function start(extra: object, env: NodeJS.ProcessEnv = {}) {
  const file = join(folder, `${children.length}.json`);
  await writeFile(
    file,
    JSON.stringify({
      service: "tiny",
      instance: "tiny-1",
      nats: { servers: [nats.url] },
      telemetry: { prometheus: "127.0.0.1:0" },
      ...extra,
    }),
  );
  const child = spawn(process.execPath, [new URL("../testing/tiny-service.ts", import.meta.url).pathname], {
    env: { ...process.env, SALLYPORT_CONFIG: file, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  children.push(child);
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const errors = text(child.stderr);
  const code = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const ready = () =>
    eventually(() => /\{.*"msg":"ready"\}/.exec(output)?.[0], 10_000).then(
      (line) => JSON.parse(line) as { prometheus: string; startedInMs: number },
    );
  return { child, code, errors, ready, output: () => output };
}

test("starts, shows metrics, and ends in order on SIGTERM", async () => {
  const tiny = await start({});
  const { prometheus } = await tiny.ready();
  const metrics = await fetch(`http://${prometheus}/metrics`);
  expect(await metrics.text()).toContain("tiny-1");
  tiny.child.kill("SIGTERM");
  expect(await tiny.code).toBe(0);
  expect(tiny.output()).toContain('"msg":"stopped"');
});

test("a step that hangs does not keep the process", async () => {
  const tiny = await start({ slowStop: true });
  await tiny.ready();
  const from = performance.now();
  tiny.child.kill("SIGTERM");
  expect(await tiny.code).toBe(1);
  expect(performance.now() - from).toBeLessThan(4_500);
});

test("a bug ends the process with a log line", async () => {
  const tiny = await start({ crash: true });
  expect(await tiny.code).toBe(1);
  expect(tiny.output()).toContain("a bug");
});

test("the process ends with its launcher", async () => {
  const tiny = await start({}, { SALLYPORT_EXIT_WITH_PARENT: "1" });
  await tiny.ready();
  tiny.child.stdin.end();
  expect(await tiny.code).toBe(0);
});

test("a wrong configuration is one message and exit code 78", async () => {
  const tiny = await start({ unknown: 1, crash: "x" });
  expect(await tiny.code).toBe(78);
  expect(await tiny.errors).toMatch(/^tiny: .*2 problem/);
});

test("a taken port is named", async () => {
  const tiny = await start({ telemetry: { prometheus: `127.0.0.1:${nats.port}` } });
  expect(await tiny.code).toBe(1);
  expect(tiny.output()).toContain(`cannot listen on 127.0.0.1:${nats.port}`);
});
