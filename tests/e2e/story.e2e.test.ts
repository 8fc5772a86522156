import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { demoTarget } from "@sallyport/local/demo-target";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { freePortBase } from "../faults/port-base.ts";
import { run, type Ended } from "../harness/clients.ts";

/** `npm start` without the installing, as a newcomer does it: again and again on the state that is kept. */

const LAUNCHER = fileURLToPath(new URL("../../deploy/local/src/main.ts", import.meta.url));

let state: string;
let options: readonly string[];

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), "sallyport-story-"));
  options = [LAUNCHER, "--state", state, "--port-base", String(await freePortBase())];
});
afterAll(() => {
  const { dataDirectory } = demoTarget({ stateDir: state, port: 1, superuserPassword: "", appPassword: "" });
  for (const folder of [state, dirname(dataDirectory)]) rmSync(folder, { recursive: true, force: true });
});

function asTold({ code, out, err }: Ended): void {
  expect(out + err).not.toContain("✗");
  expect(code).toBe(0);
  expect(out).toContain("\n8. Replay");
  // each row with the verdict that the row is there for
  expect(out).toMatch(/user:engineer +SELECT id, name, email.* forward +2\n/);
  expect(out).toMatch(/user:engineer +DROP TABLE customers +deny +no-drop-in-production\n/);
}

test("the story comes out as told", async () => {
  asTold(await run(process.execPath, [...options, "--exit"]));
});

test("and again on the state that it left; what is printed to try names that state and who was offboarded", async () => {
  const ended = await runUntil(/With psql alone:\n.*\n/);
  asTold(ended);
  const { out } = ended;
  const commands = out.slice(out.indexOf("Everything is running")).match(/^ +.*npx sallyport.*$/gm) ?? [];
  expect(commands.length).toBeGreaterThan(7);
  for (const command of commands) expect(command).toContain(`SALLYPORT_HOME=${state} npx sallyport`);
  expect(out).toContain("a CLI profile is ready for each but contractor:");
  const bringBack = commands.find((command) => command.includes("reinstate"));
  expect(bringBack).toContain("--profile security reinstate --principal user:contractor");
});

test("interrupted, the story says so in one line and tells nothing more", async () => {
  const { code, out, err } = await runUntil(/held: user:engineer/);
  expect(code).toBe(130);
  expect(out).toMatch(/\nInterrupted: everything is being stopped\.\n$/);
  expect(out + err).not.toContain("✗");
});

/** Ctrl-C, as soon as it has said that: the whole group hears it. */
async function runUntil(pattern: RegExp): Promise<Ended> {
  const child = spawn(process.execPath, options, { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let out = "";
  let err = "";
  let interrupted = false;
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
    if (interrupted || !pattern.test(out)) return;
    interrupted = true;
    process.kill(-child.pid!, "SIGINT");
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, out, err };
}
