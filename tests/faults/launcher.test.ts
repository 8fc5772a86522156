import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { demoTarget } from "@sallyport/local/demo-target";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { run } from "../harness/clients.ts";
import { freePortBase } from "./port-base.ts";
import { processesOf } from "./processes.ts";
import { until } from "./until.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LAUNCHER = join(ROOT, "deploy/local/src/main.ts");

let scratch: string;
let state: string;
/** Everything that runs for this state has one of them in its command, its environment or under its feet. */
let folders: string[];
let portBase: number;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "sallyport-launcher-"));
  state = join(scratch, "state");
  const { dataDirectory } = demoTarget({ stateDir: state, port: 1, superuserPassword: "", appPassword: "" });
  folders = [state, dirname(dataDirectory)];
  portBase = await freePortBase();
});
afterAll(() => {
  for (const folder of [scratch, ...folders]) rmSync(folder, { recursive: true, force: true });
});

interface Launched {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** resolves to what it has said by then */
  said(pattern: RegExp): Promise<string>;
  readonly ended: Promise<{ code: number | null; signal: string | null; err: string }>;
}

/** In a process group of its own, as a shell starts it. */
function launch(command: string, args: readonly string[]): Launched {
  const child = spawn(command, args, {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, NODE_NO_WARNINGS: "1", npm_config_loglevel: "silent" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => endAll(child.pid!));
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, "exit").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null,
    err,
  }));
  let over = false;
  void ended.then(() => (over = true));
  const said = (pattern: RegExp): Promise<string> =>
    until(
      `it says ${pattern}`,
      () => {
        if (pattern.test(out)) return out;
        if (over) throw new Error(`it ended: ${err}`);
        return undefined;
      },
      100_000,
    );
  return { child, said, ended };
}

/** Whatever a test that failed has left: the group that it started, and what was made of its folder. */
function endAll(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // it has ended, as it should
  }
  for (const { pid } of processesOf(...folders)) process.kill(pid, "SIGKILL");
}

const options = (): string[] => ["--no-story", "--state", state, "--port-base", String(portBase)];
const directly = (): Launched => launch(process.execPath, [LAUNCHER, ...options()]);
const throughNpm = (): Launched => launch("npm", ["start", "--", ...options()]);

const nothingIsLeft = (): Promise<true> =>
  until("every process has ended", () => (processesOf(...folders).length === 0 ? true : undefined)).catch(() => {
    throw new Error(`left behind: ${JSON.stringify(processesOf(...folders))}`);
  });

/** What services say at the end of an orderly end. */
const endedInOrder = (): boolean =>
  ["identity", "policy", "audit", "edge-postgres"].every((name) =>
    readFileSync(join(state, "logs", `${name}.log`), "utf8")
      .trimEnd()
      .endsWith('"msg":"stopped"}'),
  );

test("Ctrl-C in a terminal: the whole group hears it, everything ends in order, nothing is left", async () => {
  const { child, said, ended } = throughNpm();
  await said(/is ready after/);
  expect(processesOf(...folders).length).toBeGreaterThan(10);
  process.kill(-child.pid!, "SIGINT");
  const { err } = await ended;
  await nothingIsLeft();
  expect(err).not.toMatch(/^!/m);
  expect(endedInOrder()).toBe(true);
  expect(readdirSync(join(state, "run"))).toEqual([]);
});

test("kill -9 of the launcher: what it started ends too, and the next start finds nothing in its way", async () => {
  const first = directly();
  await first.said(/is ready after/);
  first.child.kill("SIGKILL");
  await first.ended;
  const second = directly();
  await second.said(/is ready after/);
  // Another one on the same state says who has it, touches nothing, and forgets nothing.
  const args = [LAUNCHER, "--exit", "--fresh", "--no-story", "--state", state];
  const third = await run(process.execPath, args);
  expect(third.code).toBe(1);
  expect(third.err).toMatch(new RegExp(`running already on this state folder \\(process ${second.child.pid}\\)`));
  expect(existsSync(join(state, "pki"))).toBe(true);
  second.child.kill("SIGINT");
  expect(await second.ended).toMatchObject({ code: 0, err: "" });
  await nothingIsLeft();
});

test("kill -9 of npm, which tells nobody: the gateway ends in order", async () => {
  const { child, said, ended } = throughNpm();
  await said(/is ready after/);
  child.kill("SIGKILL");
  await ended;
  await nothingIsLeft();
  expect(endedInOrder()).toBe(true);
});

const untilRuns = (...programs: string[]): Promise<true> =>
  until(
    `${programs.join(" and ")} run`,
    () => {
      const commands = processesOf(...folders).map(({ command }) => command.split(" ")[0]!);
      return programs.every((program) => commands.some((command) => command.endsWith(program))) ? true : undefined;
    },
    100_000,
  );

test("killed while everything starts, the launcher leaves nothing; interrupted then, it ends at once", async () => {
  const killed = directly();
  await untilRuns("nats-server", "bin/postgres", "bin/node");
  killed.child.kill("SIGKILL");
  await nothingIsLeft();
  const interrupted = directly();
  await untilRuns("nats-server");
  interrupted.child.kill("SIGINT");
  expect(await interrupted.ended).toMatchObject({ code: 130, err: "" });
  await nothingIsLeft();
});

test("a child that nothing has ended is ended by the next start, and a stranger with its number is not", async () => {
  const left = join(scratch, "left-behind");
  mkdirSync(join(left, "run"), { recursive: true });
  const sleepers = [spawn("sleep", ["600"]), spawn("sleep", ["601"])] as const;
  onTestFinished(() => void sleepers.map((sleeper) => sleeper.kill("SIGKILL")));
  const record = (pid: number, startedTicks: number): object => ({
    pid,
    command: ["sleep", pid === sleepers[0].pid ? "600" : "601"],
    stopSignal: "SIGTERM",
    noticesLauncher: false,
    identity: { pid, boot: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(), startedTicks },
  });
  const ticksOf = (pid: number): number =>
    Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ")[19]);
  const [mine, stranger] = sleepers.map(({ pid }) => pid!) as [number, number];
  writeFileSync(join(left, "run", "child-mine.json"), JSON.stringify(record(mine, ticksOf(mine))));
  writeFileSync(join(left, "run", "child-stranger.json"), JSON.stringify(record(stranger, ticksOf(stranger) - 1)));
  const { endLeftovers } = await import("@sallyport/local/state-claim");
  const ended = once(sleepers[0], "exit");
  await endLeftovers(join(left, "run"));
  expect(await ended).toEqual([null, "SIGTERM"]);
  expect(sleepers[1].exitCode ?? sleepers[1].signalCode).toBe(null);
  expect(existsSync(join(left, "run"))).toBe(false);
});
