import { createServer } from "node:net";

/** Every port of a local deployment. */
export interface Ports {
  nats: number;
  edgePostgres: number;
  postgres: number;
  idp: number;
  identity: number;
  identityPublic: number;
  identityHttps: number;
  catalog: number;
  catalogPublic: number;
  policy: number;
  approval: number;
  approvalPublic: number;
  masking: number;
  audit: number;
  auditPublic: number;
  metrics: Record<ServiceName, number>;
}

export const SERVICE_NAMES = [
  "identity",
  "catalog",
  "policy",
  "approval",
  "masking",
  "audit",
  "edge-postgres",
] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export const DEFAULT_PORTS: Ports = {
  nats: 14222,
  edgePostgres: 15432,
  postgres: 15433,
  idp: 17300,
  identity: 17001,
  identityPublic: 17101,
  identityHttps: 17201,
  catalog: 17002,
  catalogPublic: 17102,
  policy: 17003,
  approval: 17004,
  approvalPublic: 17104,
  masking: 17005,
  audit: 17006,
  auditPublic: 17106,
  metrics: {
    identity: 17401,
    catalog: 17402,
    policy: 17403,
    approval: 17404,
    masking: 17405,
    audit: 17406,
    "edge-postgres": 17410,
  },
};

/** Ports that nobody listens on now, for tests that run beside each other. */
export async function freePorts(): Promise<Ports> {
  const servers = await Promise.all(Array.from({ length: 22 }, () => listenAnywhere()));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  const next = (): number => ports.pop()!;
  const metrics = Object.fromEntries(SERVICE_NAMES.map((name) => [name, next()])) as Record<ServiceName, number>;
  return {
    nats: next(),
    edgePostgres: next(),
    postgres: next(),
    idp: next(),
    identity: next(),
    identityPublic: next(),
    identityHttps: next(),
    catalog: next(),
    catalogPublic: next(),
    policy: next(),
    approval: next(),
    approvalPublic: next(),
    masking: next(),
    audit: next(),
    auditPublic: next(),
    metrics,
  };
}

/** Names the ports that are taken, with what they are for. */
export async function takenPorts(ports: Ports): Promise<{ name: string; port: number }[]> {
  const { metrics, ...single } = ports;
  const all = [
    ...Object.entries(single),
    ...Object.entries(metrics).map(([service, port]) => [`metrics of ${service}`, port] as const),
  ];
  const results = await Promise.all(all.map(async ([name, port]) => ({ name, port, taken: !(await canListen(port)) })));
  return results.filter((result) => result.taken).map(({ name, port }) => ({ name, port }));
}

function listenAnywhere(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** The same ports, all moved by `by`. */
export function shifted(ports: Ports, by: number): Ports {
  const move = (value: unknown): unknown =>
    typeof value === "number"
      ? value + by
      : Object.fromEntries(Object.entries(value as Record<string, number>).map(([name, port]) => [name, move(port)]));
  return move(ports) as Ports;
}
