import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { connect, nkeyAuthenticator, type NatsConnection } from "@nats-io/transport-node";
import * as subjects from "@sallyport/proto/subjects";
import { prepareNkey } from "./keys.ts";
import type { Layout } from "./layout.ts";

/** Who may do what on the bus. Everything that is not listed is refused by the server. */
interface Permissions {
  publish: string[];
  subscribe: string[];
}

export interface NatsIdentity {
  readonly name: string;
  readonly seedFile: string;
  readonly inboxPrefix: string;
}

/** JetStream API that a reader of EVENTS needs: look at the stream, make its own consumers, read from them. */
const READ_EVENTS = [
  "$JS.API.INFO",
  `$JS.API.STREAM.INFO.${subjects.EVENTS_STREAM}`,
  `$JS.API.STREAM.MSG.GET.${subjects.EVENTS_STREAM}`,
  `$JS.API.DIRECT.GET.${subjects.EVENTS_STREAM}`,
  `$JS.API.DIRECT.GET.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.CREATE.${subjects.EVENTS_STREAM}`,
  `$JS.API.CONSUMER.CREATE.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.DURABLE.CREATE.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.INFO.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.MSG.NEXT.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.DELETE.${subjects.EVENTS_STREAM}.>`,
  `$JS.ACK.${subjects.EVENTS_STREAM}.>`,
  `$JS.FC.${subjects.EVENTS_STREAM}.>`,
];

const SNAPSHOTS_STREAM = `KV_${subjects.SNAPSHOT_BUCKET}`;
const snapshotsOf = (service: string): string[] => [
  `$KV.${subjects.SNAPSHOT_BUCKET}.${service}.>`,
  `$JS.API.STREAM.INFO.${SNAPSHOTS_STREAM}`,
  `$JS.API.STREAM.MSG.GET.${SNAPSHOTS_STREAM}`,
  `$JS.API.DIRECT.GET.${SNAPSHOTS_STREAM}.$KV.${subjects.SNAPSHOT_BUCKET}.${service}.>`,
];

const READ_FRAMES = (partition: number): string[] => {
  const stream = subjects.framesStream(partition);
  return [
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.PURGE.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.ACK.${stream}.>`,
    `$JS.FC.${stream}.>`,
  ];
};

/** Permissions by role. An edge publishes its own lanes and reads no frames; only `audit` reads frames. */
export function permissionsOf(service: string, instance: string): Permissions {
  const inbox = `${subjects.inboxPrefix(instance)}.>`;
  switch (service) {
    case "identity":
    case "catalog":
    case "approval":
      return {
        publish: [subjects.eventsOfService(service), ...READ_EVENTS, ...snapshotsOf(service)],
        subscribe: [inbox],
      };
    case "policy":
    case "masking":
      return { publish: READ_EVENTS, subscribe: [inbox] };
    case "audit":
      return {
        publish: [subjects.eventsOfService("audit"), ...READ_EVENTS, ...READ_FRAMES(0)],
        subscribe: [inbox],
      };
    case "edge":
      return {
        publish: [subjects.framesOfEdge(instance), "control.*", ...READ_EVENTS],
        subscribe: [inbox, subjects.control(instance)],
      };
    case "admin":
      return { publish: [">"], subscribe: [">"] };
    default:
      throw new Error(`no NATS permissions are defined for ${service}`);
  }
}

export interface NatsSetup {
  readonly configFile: string;
  readonly url: string;
  identity(instance: string): NatsIdentity;
}

/** Writes the server's configuration. `members` maps an instance to its role. */
export function prepareNats(layout: Layout, port: number, members: ReadonlyMap<string, string>): NatsSetup {
  const users = [...members].map(([instance, service]) => {
    const { publicKey } = prepareNkey(layout.keys, instance);
    const { publish, subscribe } = permissionsOf(service, instance);
    return { nkey: publicKey, permissions: { publish, subscribe } };
  });
  const config = {
    listen: `127.0.0.1:${port}`,
    server_name: "sallyport-local",
    max_payload: 8 * 1024 * 1024,
    max_pending: 64 * 1024 * 1024,
    jetstream: { store_dir: layout.nats, max_memory_store: 64 * 1024 * 1024 },
    authorization: { users },
  };
  const configFile = join(layout.config, "nats-server.conf");
  // The server's configuration language is a superset of JSON.
  writeFileSync(configFile, JSON.stringify(config, null, 2) + "\n", { mode: 0o600 });
  return {
    configFile,
    url: `nats://127.0.0.1:${port}`,
    identity: (instance) => ({
      name: instance,
      seedFile: prepareNkey(layout.keys, instance).seedFile,
      inboxPrefix: subjects.inboxPrefix(instance),
    }),
  };
}

/** The one that SALLYPORT_NATS_SERVER names, or where Debian and others put it; `sbin` is often missing from a user's PATH. */
export function findNatsServer(): string | undefined {
  const named = process.env["SALLYPORT_NATS_SERVER"] ?? "";
  if (named !== "") return existsSync(named) ? named : undefined;
  const onPath = spawnSync("nats-server", ["--version"]).status === 0 ? "nats-server" : undefined;
  return onPath ?? ["/usr/sbin/nats-server", "/usr/local/bin/nats-server"].find((path) => existsSync(path));
}

export async function connectNats(url: string, identity: NatsIdentity): Promise<NatsConnection> {
  return connect({
    servers: url,
    name: identity.name,
    inboxPrefix: identity.inboxPrefix,
    authenticator: nkeyAuthenticator(readFileSync(identity.seedFile).subarray(0, 58)),
    reconnect: false,
  });
}
