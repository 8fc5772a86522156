import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
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

/**
 * What following EVENTS takes: look at the stream, read single messages, make push consumers of one's own. No pulls and no
 * direct gets: their answers are stored messages as they are, sent to whatever subject the asker names.
 */
const FOLLOW_EVENTS = [
  `$JS.API.STREAM.INFO.${subjects.EVENTS_STREAM}`,
  `$JS.API.STREAM.MSG.GET.${subjects.EVENTS_STREAM}`,
  `$JS.API.CONSUMER.CREATE.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.DELETE.${subjects.EVENTS_STREAM}.>`,
  `$JS.FC.${subjects.EVENTS_STREAM}.>`,
];

/** The same for COUNTS: what the other edges have counted within the last hour. */
const FOLLOW_COUNTS = [
  `$JS.API.CONSUMER.CREATE.${subjects.COUNTS_STREAM}.>`,
  `$JS.API.CONSUMER.DELETE.${subjects.COUNTS_STREAM}.>`,
];

/** What an edge asks of the hub: its own frames and counts are stored there. */
const askedByEdge = (instance: string): string[] => [
  subjects.framesOfEdge(instance),
  subjects.countsOfEdge(instance),
  ...FOLLOW_EVENTS,
  ...FOLLOW_COUNTS,
];

/** JetStream API of a service that also keeps a consumer on EVENTS (approval's webhook). */
const READ_EVENTS = [
  ...FOLLOW_EVENTS,
  "$JS.API.INFO",
  `$JS.API.CONSUMER.CREATE.${subjects.EVENTS_STREAM}`,
  `$JS.API.CONSUMER.DURABLE.CREATE.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.INFO.${subjects.EVENTS_STREAM}.>`,
  `$JS.API.CONSUMER.MSG.NEXT.${subjects.EVENTS_STREAM}.>`,
  `$JS.ACK.${subjects.EVENTS_STREAM}.>`,
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
      return { publish: FOLLOW_EVENTS, subscribe: [inbox] };
    case "audit":
      return {
        publish: [subjects.eventsOfService("audit"), ...READ_EVENTS, ...READ_FRAMES(0)],
        subscribe: [inbox],
      };
    case "edge":
      return {
        publish: [...askedByEdge(instance), "control.*"],
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

/** Where the streams are, and those who may publish events. */
const HUB = "SALLYPORT";
/** Only these are in the hub. Everybody else has an account of their own. */
const IN_HUB: ReadonlySet<string> = new Set(["identity", "catalog", "approval", "audit", "admin"]);

interface Account {
  jetstream?: "enabled";
  users: { nkey: string; permissions: Permissions }[];
  exports: object[];
  imports: object[];
}

/**
 * The server checks the subject that a request is published on, but not the reply subject that it carries. Whoever shares
 * an account with EVENTS and may ask JetStream anything can have the answer *stored in EVENTS*: an old event again, or
 * bytes of their own making. So whoever does not publish events is in an account of their own, without a stream: what they
 * ask crosses into the hub as a service import, which keeps the reply subject on their side. (A push consumer's deliver
 * subject is checked: one that a stream's own subjects match is refused.) One account an instance, so that an answer does
 * not land on another edge's lane either.
 */
function accountsOf(members: readonly { instance: string; service: string; publicKey: string }[]) {
  const accounts: Record<string, Account> = { [HUB]: { jetstream: "enabled", users: [], exports: [], imports: [] } };
  const edges = members.filter(({ service }) => service === "edge").map(({ instance }) => instance);
  for (const { instance, service, publicKey } of members) {
    const user = { nkey: publicKey, permissions: permissionsOf(service, instance) };
    if (IN_HUB.has(service)) accounts[HUB]!.users.push(user);
    else accounts[accountName(instance)] = { users: [user], ...passages(accounts[HUB]!, instance, service, edges) };
  }
  return accounts;
}

const accountName = (instance: string): string => `of-${subjects.subjectToken(instance)}`;

/** What passes between the hub and one instance's account; the hub's side is added to `hub`. */
function passages(hub: Account, instance: string, service: string, edges: readonly string[]) {
  const own = accountName(instance);
  const asked = service === "edge" ? askedByEdge(instance) : FOLLOW_EVENTS;
  const told = `${subjects.inboxPrefix(instance)}.>`;
  hub.exports.push(...asked.map((subject) => ({ service: subject, accounts: [own] })));
  hub.exports.push({ stream: told, accounts: [own] });
  // Without an import of INFO the server puts its own answers to all of $JS.API in front: "not enabled for account".
  hub.exports.push({ service: "$JS.API.INFO", accounts: [own] });
  const imports: object[] = [...asked, "$JS.API.INFO"].map((subject) => ({ service: { account: HUB, subject } }));
  imports.push({ stream: { account: HUB, subject: told } });
  if (service !== "edge") return { exports: [], imports };
  // Cancel requests pass from edge to edge, not through the hub.
  const others = edges.filter((edge) => edge !== instance);
  const subject = subjects.control(instance);
  imports.push(...others.map((edge) => ({ stream: { account: accountName(edge), subject } })));
  const exports = others.map((edge) => ({ stream: subjects.control(edge), accounts: [accountName(edge)] }));
  return { exports, imports };
}

/** Writes the server's configuration. `members` maps an instance to its role. Not while the server runs. */
export function prepareNats(layout: Layout, port: number, members: ReadonlyMap<string, string>): NatsSetup {
  const accounts = accountsOf(
    [...members].map(([instance, service]) => ({
      instance,
      service,
      publicKey: prepareNkey(layout.keys, instance).publicKey,
    })),
  );
  keepStreams(layout);
  const config = {
    listen: `127.0.0.1:${port}`,
    server_name: "sallyport-local",
    max_payload: 8 * 1024 * 1024,
    max_pending: 64 * 1024 * 1024,
    jetstream: { store_dir: layout.nats, max_memory_store: 64 * 1024 * 1024 },
    accounts,
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

/** State of before there were accounts lies in the server's unnamed one. */
function keepStreams(layout: Layout): void {
  const before = join(layout.nats, "jetstream", "$G");
  const now = join(layout.nats, "jetstream", HUB);
  if (existsSync(before) && !existsSync(now)) renameSync(before, now);
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
