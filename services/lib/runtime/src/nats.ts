import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { readFile } from "node:fs/promises";
import { inboxPrefix } from "@sallyport/proto/subjects";
import { AppError } from "./app-error.ts";
import type { BaseConfig } from "./config.ts";
import type { Logger } from "./log.ts";
import { resolveSecret } from "./secret.ts";

/**
 * A connection that comes back for ever. What is published while it is down is kept by the client and sent afterwards;
 * requests fail with a timeout. A refused identity is not retried: the connection closes with the reason.
 */
export async function connectNats(
  config: Pick<BaseConfig, "service" | "instance" | "nats">,
  log: Logger,
): Promise<NatsConnection> {
  const { servers, nkeySeed, tls } = config.nats;
  const seed = nkeySeed ? await resolveSecret(nkeySeed, "nats.nkeySeed") : undefined;
  const nc = await connect({
    servers,
    name: `${config.service}/${config.instance}`,
    inboxPrefix: config.nats.inboxPrefix ?? inboxPrefix(config.instance),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    waitOnFirstConnect: true,
    timeout: 5_000,
    pingInterval: 5_000,
    maxPingOut: 2,
    ...(seed ? { authenticator: nkeyAuthenticator(() => new TextEncoder().encode(seed.expose())) } : {}),
    ...(tls ? { tls: await tlsOptions(tls) } : {}),
  }).catch((cause: unknown) => {
    throw new AppError(
      "unavailable",
      "runtime.nats",
      `cannot connect to NATS at ${servers.join(", ")}: ${reason(cause)}`,
      { cause },
    );
  });
  void logStatus(nc, log);
  return nc;
}

async function tlsOptions(tls: NonNullable<BaseConfig["nats"]["tls"]>) {
  const read = async (file: string | undefined) => (file === undefined ? undefined : readFile(file, "utf8"));
  const [ca, cert, key] = await Promise.all([read(tls.ca), read(tls.cert), read(tls.key)]);
  return { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
}

async function logStatus(nc: NatsConnection, log: Logger): Promise<void> {
  for await (const status of nc.status()) {
    if (status.type === "disconnect") log.warn({ server: status.server }, "NATS: disconnected");
    else if (status.type === "reconnect") log.info({ server: status.server }, "NATS: connected again");
    else if (status.type === "error") log.error({ err: status.error }, "NATS: error");
    else if (status.type === "staleConnection") log.warn("NATS: no answer to pings");
  }
}

const reason = (cause: unknown): string => (cause instanceof Error ? cause.message : "unknown error");
