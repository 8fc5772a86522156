import { join } from "node:path";
import type { KeyFiles } from "./keys.ts";
import type { Layout } from "./layout.ts";
import type { NatsSetup } from "./nats.ts";
import type { Pki } from "./pki.ts";
import type { Ports, ServiceName } from "./ports.ts";
import { accountsFile } from "./accounts.ts";

/** The one edge of the embedded default. */
export const EDGE_INSTANCE = "edge-postgres-1";

/** Names the key of policy's verdict MACs, so that it can be changed. */
const VERDICT_KEY = "local-1";

/** What the services' configuration files are made from. */
export interface ConfigurationContext {
  readonly layout: Layout;
  readonly ports: Ports;
  readonly pki: Pki;
  readonly keys: KeyFiles;
  readonly nats: NatsSetup;
  readonly catalogFolder: string;
  readonly secrets: SecretFiles;
}

/** Passwords of the local deployment, as files. */
export interface SecretFiles {
  /** identity's secret at the identity provider */
  readonly idpClient: string;
}

type Section = Record<string, unknown>;

/** The JSON file of one service. Keys and passwords are references; what it refers to stays where it is. */
export function configurationOf(service: ServiceName | "idp", context: ConfigurationContext): Section {
  switch (service) {
    case "identity":
      return identity(context);
    case "catalog":
      return catalog(context);
    case "policy":
      return policy(context);
    case "approval":
      return approval(context);
    case "masking":
      return masking(context);
    case "audit":
      return audit(context);
    case "edge-postgres":
      return edgePostgres(context);
    case "idp":
      return idp(context);
  }
}

const local = (port: number): string => `127.0.0.1:${port}`;
const peer = (port: number): string => `localhost:${port}`;

interface Doors {
  readonly internal?: number;
  readonly public?: number;
  readonly peers?: Readonly<Record<string, number>>;
}

function base(service: ServiceName, instance: string, context: ConfigurationContext, doors: Doors): Section {
  const { pki, nats, ports } = context;
  const bus = nats.identity(instance);
  const own = pki.certificate(service);
  return {
    service,
    instance,
    log: { level: "info" },
    nats: { servers: [nats.url], nkeySeed: `file:${bus.seedFile}`, inboxPrefix: bus.inboxPrefix },
    grpc: {
      client: { ...own, ca: pki.ca },
      ...(doors.internal === undefined ? {} : { internal: { listen: local(doors.internal), ...own, ca: pki.ca } }),
      ...(doors.public === undefined ? {} : { public: { listen: local(doors.public), ...own } }),
    },
    peers: Object.fromEntries(Object.entries(doors.peers ?? {}).map(([name, port]) => [name, peer(port)])),
    telemetry: { prometheus: local(ports.metrics[service]) },
  };
}

function identity(context: ConfigurationContext): Section {
  const { ports, keys, pki, secrets } = context;
  return {
    ...base("identity", "identity", context, {
      internal: ports.identity,
      public: ports.identityPublic,
      peers: { policy: ports.policy },
    }),
    https: { listen: local(ports.identityHttps), ...pki.certificate("identity") },
    issuer: `https://localhost:${ports.identityHttps}`,
    signingKeys: [`file:${keys.tokenSigning}`],
    sealingKey: `file:${keys.tokenSealing}`,
    provider: {
      issuer: `https://localhost:${ports.idp}`,
      clientId: "sallyport",
      clientSecret: `file:${secrets.idpClient}`,
      ca: pki.ca,
    },
  };
}

function catalog(context: ConfigurationContext): Section {
  const { ports } = context;
  return {
    ...base("catalog", "catalog", context, {
      internal: ports.catalog,
      public: ports.catalogPublic,
      peers: { identity: ports.identity, policy: ports.policy, masking: ports.masking },
    }),
    bootstrap: { folder: context.catalogFolder },
    variables: { ORDERS_PORT: String(ports.postgres) },
    secretFolders: [context.layout.secrets],
  };
}

function policy(context: ConfigurationContext): Section {
  return {
    ...base("policy", "policy", context, { internal: context.ports.policy }),
    verdictKey: { id: VERDICT_KEY, secret: `file:${context.keys.verdictMac}` },
  };
}

function approval(context: ConfigurationContext): Section {
  const { ports } = context;
  return {
    ...base("approval", "approval", context, {
      internal: ports.approval,
      public: ports.approvalPublic,
      peers: { identity: ports.identity, policy: ports.policy },
    }),
  };
}

function masking(context: ConfigurationContext): Section {
  return {
    ...base("masking", "masking", context, { internal: context.ports.masking }),
    hashKey: `file:${context.keys.maskingHash}`,
  };
}

function audit(context: ConfigurationContext): Section {
  const { ports } = context;
  return {
    ...base("audit", "audit", context, {
      internal: ports.audit,
      public: ports.auditPublic,
      peers: { identity: ports.identity, policy: ports.policy },
    }),
    clickhouse: { folder: context.layout.clickhouse },
    verdictKeys: { [VERDICT_KEY]: `file:${context.keys.verdictMac}` },
  };
}

function edgePostgres(context: ConfigurationContext): Section {
  const { ports } = context;
  return {
    ...base("edge-postgres", EDGE_INSTANCE, context, {
      peers: {
        identity: ports.identity,
        catalog: ports.catalog,
        policy: ports.policy,
        approval: ports.approval,
        masking: ports.masking,
      },
    }),
    listen: local(ports.edgePostgres),
    tls: { ...context.pki.certificate("edge-postgres") },
  };
}

function idp(context: ConfigurationContext): Section {
  const { layout, pki, ports, secrets } = context;
  return {
    listen: local(ports.idp),
    issuer: `https://localhost:${ports.idp}`,
    tls: pki.certificate("idp"),
    accountsFile: accountsFile(layout),
    keysFile: join(layout.idp, "keys.json"),
    stateFile: join(layout.idp, "state.json"),
    client: {
      id: "sallyport",
      secret: `file:${secrets.idpClient}`,
      backchannelLogoutUri: `https://localhost:${ports.identityHttps}/backchannel-logout`,
      ca: pki.ca,
    },
  };
}
