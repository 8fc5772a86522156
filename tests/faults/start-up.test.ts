import { once } from "node:events";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startStack } from "@sallyport/local";
import { DEFAULT_PORTS, shifted, takenPorts } from "@sallyport/local/ports";
import { afterAll, beforeAll, expect, test } from "vitest";
import { psqlAs, run, type Ended } from "../harness/clients.ts";
import { gateway } from "./place.ts";
import { freePortBase } from "./port-base.ts";

const LAUNCHER = fileURLToPath(new URL("../../deploy/local/src/main.ts", import.meta.url));
const CLI = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));
const CATALOG = fileURLToPath(new URL("../../deploy/local/catalog", import.meta.url));

let scratch: string;
let portBase: number;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "sallyport-start-"));
  portBase = await freePortBase();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** `npm start` without the installing: the launcher, on free ports and in a folder of its own. */
function launch(options: { state?: string; fresh?: boolean; env?: Record<string, string> } = {}): Promise<Ended> {
  const state = options.state ?? join(scratch, "state");
  const args = [LAUNCHER, "--exit", "--no-story", "--state", state, "--port-base", String(portBase)];
  if (options.fresh === true) args.push("--fresh");
  return run(process.execPath, args, { env: { NODE_NO_WARNINGS: "1", ...options.env } });
}

/** One readable message: short, without a stack, naming what to do. */
function readable({ code, out, err }: Ended, ...saying: RegExp[]): void {
  expect(code).toBe(1);
  expect(out).toBe("");
  expect(err).not.toMatch(/^\s+at /m);
  expect(err.trim().split("\n").length).toBeLessThanOrEqual(3);
  for (const pattern of saying) expect(err).toMatch(pattern);
}

test("a taken port is named, with what it is for and how to find out who has it", async () => {
  const port = DEFAULT_PORTS.edgePostgres + portBase;
  const squatter = createServer().listen(port, "127.0.0.1");
  await once(squatter, "listening");
  try {
    readable(await launch(), new RegExp(`${port} \\(edgePostgres\\)`), /ss -ltnp/, /--port-base/);
  } finally {
    squatter.close();
  }
});

test("without nats-server, the command that installs it is named", async () => {
  const ended = await launch({ env: { SALLYPORT_NATS_SERVER: join(scratch, "no-nats-server") } });
  readable(ended, /nats-server is not installed/, /apt-get install nats-server/);
});

test("a state folder that cannot be written is named", async () => {
  const file = join(scratch, "a-file");
  writeFileSync(file, "");
  readable(
    await launch({ state: join(file, "state") }),
    /a-file\/state cannot be written \(ENOTDIR\)/,
    /--state FOLDER/,
  );
  // mkdir(2) says ENOENT there to everything: whoever tries the parent again and again never ends
  readable(await launch({ state: "/proc/sallyport/state" }), /\/proc\/sallyport\/state cannot be written \(ENOENT\)/);
  if (process.getuid?.() === 0) return; // root may write everywhere
  readable(await launch({ state: "/usr/sallyport" }), /\/usr\/sallyport cannot be written \(E/);
});

test("--fresh forgets no folder that holds something else", async () => {
  const precious = join(scratch, "precious");
  mkdirSync(precious);
  writeFileSync(join(precious, "thesis.txt"), "");
  readable(await launch({ state: precious, fresh: true }), /precious is not a state folder of Sallyport's/);
  expect(readdirSync(precious)).toEqual(["thesis.txt"]);
});

test("wrong options are told with the usage", async () => {
  const ended = await run(process.execPath, [LAUNCHER, "--nonsense"]);
  expect(ended.code).toBe(2);
  expect(ended.err).toMatch(/--nonsense/);
  expect(ended.err).toMatch(/--port-base/);
});

test("with a broken catalog folder nothing stays up, and the message names each file and line", async () => {
  const ports = shifted(DEFAULT_PORTS, portBase);
  const started = startStack({
    stateDir: join(scratch, "broken-catalog"),
    ports,
    catalogFolder: brokenCatalog(CATALOG),
    services: ["identity", "catalog", "policy"],
  });
  const error = await started.then(
    async (stack) => {
      await stack.stop();
      throw new Error("it started");
    },
    (failure: Error) => failure,
  );
  expect(error.message).toMatch(/catalog did not start/);
  expect(error.message).toMatch(/connections\.yaml:\d+/);
  expect(error.message).toMatch(/access\.cedar:\d+/);
  expect(await takenPorts(ports)).toEqual([]);
});

/** A copy with a mistake in YAML, one in Cedar, and one that only the whole can show. */
function brokenCatalog(from: string): string {
  const folder = mkdtempSync(join(scratch, "catalog-"));
  cpSync(from, folder, { recursive: true });
  const connections = join(folder, "connections.yaml");
  writeFileSync(connections, readFileSync(connections, "utf8").replace("protocol: postgresql", "protocol: telepathy"));
  appendFileSync(join(folder, "classifications.yaml"), '  - class: nobody-defined-this\n    columns: ["*.*.x"]\n');
  appendFileSync(join(folder, "policies", "access.cedar"), "\npermit (principal, action == Action::read resource);\n");
  return folder;
}

const sallyport = (...args: string[]): Promise<Ended> =>
  run(process.execPath, [CLI, "--profile", "security", ...args], {
    env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1" },
  });

test("a broken configuration is refused with all its errors by file and line, and the old one stays", async () => {
  const folder = brokenCatalog(gateway.catalogFolder);
  const lines = readFileSync(join(folder, "policies", "access.cedar"), "utf8").split("\n").length - 1;
  for (const command of ["plan", "apply"]) {
    const ended = await sallyport(command, "-f", folder);
    expect(ended.code).not.toBe(0);
    const told = ended.out + ended.err;
    expect(told).toMatch(/connections\.yaml:5:15.*postgresql/);
    expect(told).toMatch(/classifications\.yaml:\d+.*nobody-defined-this/);
    expect(told).toMatch(new RegExp(`policies/access\\.cedar:${lines}`));
    expect(told).toContain("nothing was changed");
    expect(told).not.toMatch(/^\s+at /m);
  }
  const unchanged = await sallyport("plan", "-f", gateway.catalogFolder);
  expect(unchanged.out).toContain("No changes.");
  expect((await psqlAs(gateway, "engineer", "sandbox", "SELECT 1")).code).toBe(0);
});

test("a policy that would not validate against the schema is refused as a whole", async () => {
  const folder = mkdtempSync(join(scratch, "catalog-"));
  cpSync(gateway.catalogFolder, folder, { recursive: true });
  const file = join(folder, "policies", "access.cedar");
  const at = readFileSync(file, "utf8").split("\n").length;
  appendFileSync(file, '@id("odd")\nforbid (principal, action, resource) when { context.no.such.thing };\n');
  const ended = await sallyport("apply", "-f", folder);
  expect(ended.code).not.toBe(0);
  expect(ended.out + ended.err).toMatch(new RegExp(`access\\.cedar:(${at}|${at + 1})`));
  expect((await psqlAs(gateway, "engineer", "sandbox", "SELECT 1")).code).toBe(0);
});
