import { type ChannelOptions, Server, ServerCredentials } from "@grpc/grpc-js";
import { readFile } from "node:fs/promises";
import { AppError } from "./app-error.ts";
import { type BaseConfig, splitHostPort } from "./config.ts";
import { type Admission, type GrpcService, implement } from "./grpc-service.ts";

const seconds = 1_000;
const options: ChannelOptions = {
  "grpc.keepalive_time_ms": 10 * seconds,
  "grpc.keepalive_timeout_ms": 5 * seconds,
  "grpc.max_receive_message_length": 8 * 1024 * 1024,
  "grpc.max_send_message_length": 16 * 1024 * 1024,
};
const internalOptions: ChannelOptions = { ...options, "grpc-node.flow_control_window": 1024 * 1024 };
const publicOptions: ChannelOptions = {
  ...options,
  "grpc.max_concurrent_streams": 100,
  "grpc.max_connection_idle_ms": 300 * seconds,
};

export interface BoundServer {
  address: string;
  /** Lets running calls end for `graceMs`, then ends them. */
  stop(graceMs: number): Promise<void>;
}

/** mTLS: a certificate of the deployment's CA is needed to say anything at all. */
export async function serveInternal(
  at: NonNullable<BaseConfig["grpc"]["internal"]>,
  services: Array<{ service: GrpcService; admission: Admission }>,
): Promise<BoundServer> {
  const [ca, cert, key] = await readAll([at.ca, at.cert, at.key]);
  const credentials = ServerCredentials.createSsl(ca!, [{ cert_chain: cert!, private_key: key! }], true);
  return bind(at.listen, credentials, internalOptions, services);
}

/** TLS for people and jobs, who show a bearer token in each call. */
export async function servePublic(
  at: NonNullable<BaseConfig["grpc"]["public"]>,
  services: Array<{ service: GrpcService; admission: Admission }>,
): Promise<BoundServer> {
  const [cert, key] = await readAll([at.cert, at.key]);
  const credentials = ServerCredentials.createSsl(null, [{ cert_chain: cert!, private_key: key! }], false);
  return bind(at.listen, credentials, publicOptions, services);
}

export async function readAll(files: readonly string[]): Promise<Buffer[]> {
  return Promise.all(
    files.map((file) =>
      readFile(file).catch((cause: unknown) => {
        throw new AppError("failed-precondition", "runtime.tls", `cannot read ${file}`, { cause });
      }),
    ),
  );
}

async function bind(
  listen: string,
  credentials: ServerCredentials,
  channel: ChannelOptions,
  services: Array<{ service: GrpcService; admission: Admission }>,
): Promise<BoundServer> {
  const server = new Server(channel);
  for (const { service, admission } of services) server.addService(service.definition, implement(service, admission));
  const { host } = splitHostPort(listen);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(listen, credentials, (cause, bound) => {
      if (!cause) return resolve(bound);
      reject(new AppError("unavailable", "runtime.serve", `cannot listen on ${listen}: is the port taken?`, { cause }));
    });
  });
  return { address: `${host.includes(":") ? `[${host}]` : host}:${port}`, stop: (graceMs) => stop(server, graceMs) };
}

function stop(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
