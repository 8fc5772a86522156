import type { Client } from "@grpc/grpc-js";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Meter, Tracer } from "@opentelemetry/api";
import type { z } from "zod";
import { AppError } from "./app-error.ts";
import { type BaseConfig, loadConfig } from "./config.ts";
import { type ClientConstructor, type ClientIdentity, internalClient } from "./grpc-client.ts";
import { type BoundServer, readAll, serveInternal, servePublic } from "./grpc-server.ts";
import type { Admission, GrpcService } from "./grpc-service.ts";
import { createHealth } from "./health.ts";
import { createLogger, type Logger } from "./log.ts";
import { connectNats } from "./nats.ts";
import { createShutdown, listenForTheEnd, type Shutdown } from "./shutdown.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";

export interface ServeOptions {
  /** for peers with a certificate */
  internal?: readonly GrpcService[];
  /** for people and jobs with a bearer token */
  public?: readonly GrpcService[];
  /** certificate names (CN) that may call the internal services; everyone else is refused */
  allow?: readonly string[];
}

/** Where a service listens, with the ports that were taken. */
export interface Addresses {
  internal?: string;
  public?: string;
}

export interface Runtime<C extends BaseConfig = BaseConfig> {
  config: C;
  log: Logger;
  meter: Meter;
  tracer: Tracer;
  /** aborted when the process begins to end */
  signal: AbortSignal;
  /** Steps run in reverse order of registration when the process ends. */
  onShutdown(name: string, stop: () => Promise<void> | void): void;
  /** The process's one NATS connection; closed at the end. */
  connectNats(): Promise<NatsConnection>;
  /** An mTLS client of `peers[peer]`, whose server must hold a certificate for that name. */
  client<T extends Client>(ctor: ClientConstructor<T>, peer: string): T;
  /** Binds the ports; health stays NOT_SERVING until `ready()`. */
  serve(options: ServeOptions): Promise<Addresses>;
  /** Says SERVING and prints the line that the launcher waits for. */
  ready(fields?: Record<string, unknown>): void;
  /** Ends the process in order. */
  stop(reason: string, exitCode?: number): Promise<void>;
}

/**
 * Everything that a service process needs before its own work. A configuration that is wrong is told in one message on
 * stderr, and the process ends with exit code 78 (EX_CONFIG of sysexits.h).
 */
export async function startRuntime<C extends BaseConfig>(service: string, schema: z.ZodType<C>): Promise<Runtime<C>> {
  let config: C;
  try {
    config = await loadConfig(schema);
    if (config.service !== service)
      throw new AppError(
        "invalid-input",
        "runtime.config",
        `the configuration is for ${config.service}, this is ${service}`,
      );
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    process.stderr.write(`${service}: ${error.message}\n`);
    process.exit(78);
  }
  const log = createLogger(config);
  const shutdown = createShutdown({ log });
  listenForTheEnd(shutdown, log);
  return createRuntime({ config, log, shutdown });
}

/** The runtime around a given configuration, without taking over the process: what tests use. */
export async function createRuntime<C extends BaseConfig>(parts: {
  config: C;
  log: Logger;
  shutdown: Shutdown;
}): Promise<Runtime<C>> {
  const { config, log, shutdown } = parts;
  const { onShutdown } = shutdown;
  const [telemetry, identity] = await Promise.all([startTelemetry(config), loadIdentity(config)]);
  onShutdown("telemetry", () => telemetry.stop());
  const clients = new Map<string, Client>();
  let nats: Promise<NatsConnection> | undefined;
  let health: ReturnType<typeof createHealth> | undefined;
  let addresses: Addresses = {};

  return {
    config,
    log,
    meter: telemetry.meter,
    tracer: telemetry.tracer,
    signal: shutdown.signal,
    onShutdown,
    stop: (reason, exitCode) => shutdown.begin(reason, exitCode),
    connectNats: () => (nats ??= openNats(config, log, shutdown)),
    client: <T extends Client>(ctor: ClientConstructor<T>, peer: string): T => {
      const key = `${peer} ${(ctor as unknown as { serviceName?: string }).serviceName ?? ctor.name}`;
      const known = clients.get(key);
      if (known) return known as T;
      const client = internalClient(ctor, peer, peerAddress(config, peer), needIdentity(identity));
      clients.set(key, client);
      onShutdown(`client ${key}`, () => client.close());
      return client;
    },
    serve: async (options) => {
      health = createHealth(namesOf([...(options.internal ?? []), ...(options.public ?? [])]));
      addresses = await serve(config, options, health, { log, telemetry, onShutdown });
      return addresses;
    },
    ready: (fields = {}) => {
      health?.set("serving");
      log.info(
        {
          ...addresses,
          ...(telemetry.prometheus ? { prometheus: telemetry.prometheus } : {}),
          ...fields,
          startedInMs: Math.round(performance.now()),
        },
        "ready",
      );
    },
  };
}

async function openNats(config: BaseConfig, log: Logger, shutdown: Shutdown): Promise<NatsConnection> {
  const nc = await connectNats(config, log);
  shutdown.onShutdown("nats", () => nc.drain().catch(() => nc.close()));
  void nc.closed().then((error) => {
    if (shutdown.signal.aborted) return;
    log.fatal({ err: error }, "NATS: the connection is closed for good");
    void shutdown.begin("NATS connection closed", 1);
  });
  return nc;
}

interface ServeParts {
  log: Logger;
  telemetry: Telemetry;
  onShutdown: Shutdown["onShutdown"];
}

async function serve(
  config: BaseConfig,
  options: ServeOptions,
  health: ReturnType<typeof createHealth>,
  parts: ServeParts,
): Promise<Addresses> {
  const { log, telemetry, onShutdown } = parts;
  const graceMs = 300;
  const addresses: Addresses = {};
  const servers: BoundServer[] = [];
  const common = { log, tracer: telemetry.tracer };
  if (options.internal?.length) {
    const at = config.grpc.internal ?? missing("grpc.internal");
    const allowed = new Set(options.allow);
    const admission: Admission = { ...common, allows: (name) => allowed.has(name) };
    const anyPeer: Admission = { ...common, allows: () => true };
    const all = [
      ...options.internal.map((service) => ({ service, admission })),
      { service: health.service, admission: anyPeer },
    ];
    const server = await serveInternal(at, all);
    servers.push(server);
    addresses.internal = server.address;
  }
  if (options.public?.length) {
    const at = config.grpc.public ?? missing("grpc.public");
    const admission: Admission = { ...common, allows: undefined };
    const server = await servePublic(
      at,
      [...options.public, health.service].map((service) => ({ service, admission })),
    );
    servers.push(server);
    addresses.public = server.address;
  }
  onShutdown("grpc", async () => {
    health.set("not-serving");
    await Promise.all(servers.map((server) => server.stop(graceMs)));
  });
  return addresses;
}

const namesOf = (services: readonly GrpcService[]): string[] =>
  services.flatMap(({ definition }) => Object.values(definition).map((method) => method.path.split("/")[1]!));

function missing(what: string): never {
  throw new AppError("invalid-input", "runtime.serve", `the configuration needs \`${what}\``);
}

function peerAddress(config: BaseConfig, peer: string): string {
  return config.peers[peer] ?? missing(`peers.${peer}`);
}

function needIdentity(identity: ClientIdentity | undefined): ClientIdentity {
  return identity ?? missing("grpc.client");
}

async function loadIdentity(config: BaseConfig): Promise<ClientIdentity | undefined> {
  const files = config.grpc.client;
  if (!files) return undefined;
  const [ca, cert, key] = await readAll([files.ca, files.cert, files.key]);
  return { ca: ca!, cert: cert!, key: key! };
}
