import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ProcessSpec, Supervisor } from "./supervisor.ts";

let folder: string;
let starts: number;
let onStart: (() => void) | undefined;
let supervisor: Supervisor;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sallyport-supervisor-"));
  starts = 0;
  const claim = {
    started: () => {
      starts += 1;
      onStart?.();
    },
    ended: () => undefined,
    release: () => undefined,
  };
  supervisor = new Supervisor(folder, claim, () => undefined);
});

afterEach(async () => {
  onStart = undefined;
  await supervisor.stopAll();
  rmSync(folder, { recursive: true, force: true });
});

/** Is ready when it is started for the first time, and never again. */
const onlyOnce: ProcessSpec = {
  name: "one",
  command: process.execPath,
  args: ["-e", "setInterval(() => {}, 1000)"],
  ready: (signal) =>
    starts === 1 ? Promise.resolve() : new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
  restart: true,
};

const nextStart = (): Promise<void> => new Promise((resolve) => (onStart = resolve));

for (const [what, stop] of [
  ["stopping it", () => supervisor.stop("one")],
  ["stopping everything", () => supervisor.stopAll()],
] as const)
  test(`${what} while it is started again is for good`, async () => {
    await supervisor.start(onlyOnce);
    const second = nextStart();
    supervisor.kill("one", "SIGKILL");
    await second;
    const third = nextStart().then(() => "started again");
    await stop();
    // The supervisor's own pause before a third attempt is 200 ms.
    const quiet = new Promise((resolve) => setTimeout(resolve, 700, "quiet"));
    expect(await Promise.race([third, quiet])).toBe("quiet");
  });
