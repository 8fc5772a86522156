import { writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { statfs } from "node:fs/promises";
import { connect } from "node:net";
import { AppError, ensureStreams } from "@sallyport/runtime";
import { demoTarget, forgetDemoTarget, prepareDemoTarget, seedDemoTarget, type DemoTarget } from "./demo-target.ts";
import { prepareAccounts, type Account } from "./accounts.ts";
import { prepareKeys, preparePassword, type KeyFiles } from "./keys.ts";
import { forgetLayout, layoutOf, prepareLayout, type Layout } from "./layout.ts";
import { connectNats, findNatsServer, prepareNats, type NatsSetup } from "./nats.ts";
import { preparePki, type Pki } from "./pki.ts";
import { DEFAULT_PORTS, SERVICE_NAMES, takenPorts, type Ports, type ServiceName } from "./ports.ts";
import { configurationOf, EDGE_INSTANCE, type SecretFiles } from "./service-config.ts";
import { claimState, endLeftovers } from "./state-claim.ts";
import { Supervisor, type ProcessSpec } from "./supervisor.ts";

const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
/** Compiled sources, for every deployment of this clone. bootstrap.mjs names the same, and fills it after an installation. */
const COMPILE_CACHE = join(REPOSITORY, "node_modules/.cache/sallyport-compile");

export interface StackOptions {
  readonly stateDir: string;
  readonly ports?: Ports;
  readonly fresh?: boolean;
  /** The folder that `catalog` applies when nothing was ever applied. */
  readonly catalogFolder?: string;
  /** Bytes that FRAMES may hold. */
  readonly framesMaxBytes?: number;
  /** Leave out services (benchmarks, fault tests). */
  readonly services?: readonly ServiceName[];
  /** Overrides merged into a service's configuration, section by section. */
  readonly overrides?: Partial<Record<ServiceName, Record<string, unknown>>>;
  readonly logLevel?: string;
  /** Aborted: nothing is waited for any more, what was started is stopped, and `startStack` throws the reason. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (line: string) => void;
}

/** A running local deployment. */
export interface Stack {
  readonly layout: Layout;
  readonly ports: Ports;
  readonly pki: Pki;
  readonly keys: KeyFiles;
  readonly nats: NatsSetup;
  readonly target: DemoTarget;
  readonly accounts: readonly Account[];
  readonly secrets: SecretFiles;
  readonly supervisor: Supervisor;
  stop(): Promise<void>;
  /** Stops and removes all state. */
  forget(): Promise<void>;
}

/**
 * Starts everything on embedded defaults: bus, demo target, identity provider, services, edge. Problems that a person
 * can mend (no nats-server, a taken port, an unwritable folder) are AppErrors with the way out.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const ports = options.ports ?? DEFAULT_PORTS;
  const stateDir = resolve(options.stateDir);
  const layout = layoutOf(stateDir);
  const natsServer = requireNatsServer();
  await endLeftovers(layout.run);
  if (options.fresh === true) {
    forgetLayout(layout);
    forgetDemoTarget(stateDir);
  }
  makeState(layout);
  await requirePorts(ports);

  const wanted = options.services ?? SERVICE_NAMES;
  const instanceOf = (service: ServiceName): string => (service === "edge-postgres" ? EDGE_INSTANCE : service);
  const members = new Map<string, string>([["admin", "admin"]]);
  for (const service of SERVICE_NAMES) {
    members.set(instanceOf(service), service === "edge-postgres" ? "edge" : service);
  }
  const nats = prepareNats(layout, ports.nats, members);
  const pki = await preparePki(layout.pki, [...SERVICE_NAMES, "idp"]);
  const keys = prepareKeys(layout.keys);
  const accounts = prepareAccounts(layout);
  const secrets = { idpClient: preparePassword(layout.secrets, "idp-client").file };
  const target = demoTarget({
    stateDir,
    port: ports.postgres,
    superuserPassword: preparePassword(layout.secrets, "postgres-superuser").password,
    appPassword: preparePassword(layout.secrets, "orders-password").password,
  });
  const framesMaxBytes = options.framesMaxBytes ?? (await framesLimit(layout.nats));
  const claim = claimState(layout.run);
  const starting = new AbortController();
  const supervisor = new Supervisor(layout.logs, claim, options.onEvent ?? (() => undefined));
  const stack: Stack = {
    layout,
    ports,
    pki,
    keys,
    nats,
    target,
    accounts,
    secrets,
    supervisor,
    stop: async () => {
      starting.abort();
      await supervisor.stopAll([
        ["edge-postgres"],
        ["identity", "catalog", "policy", "approval", "masking", "audit", "idp"],
        ["nats-server", "postgres"],
      ]);
      claim.release();
    },
    forget: async () => {
      await stack.stop();
      forgetDemoTarget(stateDir);
      forgetLayout(layout);
    },
  };
  try {
    const context = { ...stack, catalogFolder: options.catalogFolder ?? join(REPOSITORY, "deploy/local/catalog") };
    const startService = (service: ServiceName): Promise<void> => {
      const configuration = merge(configurationOf(service, context), options.overrides?.[service] ?? {});
      if (options.logLevel !== undefined) configuration["log"] = { level: options.logLevel };
      return supervisor.start(serviceSpec(service, layout, configuration));
    };
    const startAll = async (): Promise<void> => {
      const beside = [startDemoTarget(target, supervisor, starting.signal), supervisor.start(idpSpec(stack))];
      const services = async (): Promise<void> => {
        // The bus comes before the services. For everything else they wait by themselves.
        await supervisor.start(natsSpec(natsServer, nats.configFile));
        await prepareStreams(nats, framesMaxBytes);
        await Promise.all(wanted.map(startService));
      };
      await Promise.all([...beside, services()]);
    };
    await unlessAborted(startAll(), options.signal);
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function requireNatsServer(): string {
  const found = findNatsServer();
  if (found !== undefined) return found;
  throw new AppError(
    "failed-precondition",
    "local.start",
    "nats-server is not installed. Install it with: apt-get install nats-server (as root), or name it with SALLYPORT_NATS_SERVER=/path/to/nats-server, then start again.",
  );
}

function makeState(layout: Layout): void {
  try {
    prepareLayout(layout);
  } catch (cause) {
    throw new AppError(
      "failed-precondition",
      "local.start",
      `The state folder ${layout.root} cannot be written (${(cause as NodeJS.ErrnoException).code}). Make it writable, or name another with --state FOLDER.`,
      { cause },
    );
  }
}

async function requirePorts(ports: Ports): Promise<void> {
  const taken = await takenPorts(ports);
  if (taken.length === 0) return;
  const list = taken.map(({ name, port }) => `${port} (${name})`).join(", ");
  throw new AppError(
    "failed-precondition",
    "local.start",
    `Taken by another program: ${list}. Is Sallyport running already? Stop what listens there (\`ss -ltnp\` names it), or move all ports with --port-base N.`,
  );
}

async function startDemoTarget(target: DemoTarget, supervisor: Supervisor, signal: AbortSignal): Promise<void> {
  await supervisor.start(await prepareDemoTarget(target, signal));
  await seedDemoTarget(target);
}

/** FRAMES may take 20 GiB, on a small disk half of what is free: full means that nothing is admitted any more. */
async function framesLimit(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.min(20 * 1024 ** 3, Math.floor((bavail * bsize) / 2));
}

async function prepareStreams(nats: NatsSetup, maxFramesBytes: number): Promise<void> {
  const connection = await connectNats(nats.url, nats.identity("admin"));
  try {
    await ensureStreams(connection, { maxFramesBytes });
  } finally {
    await connection.close();
  }
}

function natsSpec(command: string, configFile: string): ProcessSpec {
  return {
    name: "nats-server",
    command,
    args: ["-c", configFile],
    ready: async (signal, log) => {
      while (!signal.aborted && !log().includes("Server is ready")) await new Promise((done) => setTimeout(done, 10));
    },
    restart: true,
  };
}

function idpSpec(stack: Stack): ProcessSpec {
  const configFile = join(stack.layout.config, "idp.json");
  writeJson(configFile, configurationOf("idp", { ...stack, catalogFolder: "" }));
  return {
    name: "idp",
    command: process.execPath,
    args: [join(REPOSITORY, "deploy/local/src/idp/main.ts")],
    env: serviceEnvironment(stack.layout, configFile),
    ready: (signal) => untilListening(stack.ports.idp, signal),
    noticesLauncher: true,
    restart: true,
  };
}

function serviceSpec(service: ServiceName, layout: Layout, configuration: Record<string, unknown>): ProcessSpec {
  const configFile = join(layout.config, `${service}.json`);
  writeJson(configFile, configuration);
  return {
    name: service,
    command: process.execPath,
    args: [join(REPOSITORY, "services", service, "src/main.ts")],
    // Relative references (`file:secrets/…`) in connections are looked up in the state folder.
    cwd: layout.root,
    env: serviceEnvironment(layout, configFile),
    ready: untilSaysReady,
    noticesLauncher: true,
    restart: true,
  };
}

function serviceEnvironment(layout: Layout, configFile: string): Record<string, string> {
  return {
    SALLYPORT_CONFIG: configFile,
    SALLYPORT_STATE: layout.root,
    SALLYPORT_EXIT_WITH_PARENT: "1",
    NODE_NO_WARNINGS: "1",
    NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? COMPILE_CACHE,
  };
}

/** A service says so itself, in its log. */
async function untilSaysReady(signal: AbortSignal, log: () => string): Promise<void> {
  while (!signal.aborted && !/"msg":"ready"/.test(log())) await new Promise((done) => setTimeout(done, 25));
}

async function untilListening(port: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const open = await new Promise<boolean>((done) => {
      const socket = connect({ host: "127.0.0.1", port }, () => {
        socket.destroy();
        done(true);
      });
      socket.on("error", () => done(false));
    });
    if (open) return;
    await new Promise((done) => setTimeout(done, 25));
  }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, JSON.stringify(value, null, 2) + "\n", { mode: 0o600 });
}

function merge(base: Record<string, unknown>, overrides: Record<string, unknown>): Record<string, unknown> {
  const result = { ...base };
  for (const [key, value] of Object.entries(overrides)) {
    const before = result[key];
    result[key] = isSection(before) && isSection(value) ? merge(before, value) : value;
  }
  return result;
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
