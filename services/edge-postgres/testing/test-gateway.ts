import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";
import { type Edge, type EventSource, type Links, openEdge, type PolicyQuestion } from "@sallyport/edge";
import { noEvents, recordingOnlyLinks, signedVerdict } from "@sallyport/edge/testing";
import { Connection } from "@sallyport/proto/catalog_model";
import { FrameBatch, RecordBody, RecordHeader } from "@sallyport/proto/record";
import { framesStream } from "@sallyport/proto/subjects";
import type { Verdict } from "@sallyport/proto/verdict";
import { createLogger, ensureStreams } from "@sallyport/runtime";
import { createPki, eventually, startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { listen, type Listener } from "../src/listener.ts";
import { eraseLiterals } from "../src/relay/literals.ts";
import type { SessionPlace } from "../src/session.ts";
import { reachTarget } from "../src/target/dial-and-login.ts";
import { dialDirectly } from "../src/target/dial.ts";
import { schemaObserver } from "../src/target/schema-observer.ts";
import { frontendTable } from "../src/wire/message-table.ts";

/**
 * This edge on a real bus and in front of a real target; the other services are functions of the test. Whoever logs in is
 * who the client says, every command is forwarded and nothing is masked, unless the test says otherwise.
 */
export interface TestGateway {
  readonly port: number;
  readonly ca: string;
  readonly edge: Edge;
  readonly nats: TestNats;
  /** what every command is answered with; may be replaced at any time */
  decide: (question: PolicyQuestion) => Partial<Verdict> | Promise<Partial<Verdict>>;
  /** what every login is answered with; may be replaced at any time */
  connecting: (question: PolicyQuestion) => Partial<Verdict>;
  /** every question to `policy`, in order */
  readonly questions: PolicyQuestion[];
  readonly links: Links;
  /** all records so far of one session (default: of all), in order */
  records(sessionId?: string): Promise<TestRecord[]>;
  /** as `records`, once `until` holds */
  recordsUntil(until: (records: TestRecord[]) => boolean): Promise<TestRecord[]>;
  stop(): Promise<void>;
}

export interface TestRecord {
  readonly header: RecordHeader;
  readonly kind: NonNullable<RecordBody["fact"]>["$case"];
  // deno-lint-ignore no-explicit-any -- tests look into facts by name
  readonly fact: any;
}

export interface TestGatewayOptions {
  readonly connections: readonly Partial<Connection>[];
  readonly links?: (links: Links) => Links;
  readonly place?: Partial<SessionPlace>;
  readonly events?: EventSource;
  readonly limits?: Parameters<typeof openEdge>[0]["limits"];
  readonly logLevel?: "silent" | "warn" | "debug";
}

export async function startTestGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const [nats, pki] = await Promise.all([startNatsServer(), createPki()]);
  const admin = await connect({ servers: nats.url });
  await ensureStreams(admin);
  const certificate = await pki.issue("localhost");
  const connections = new Map(
    options.connections.map(
      (connection) =>
        [connection.name ?? "", Connection.fromPartial({ protocol: "postgresql", ...connection })] as const,
    ),
  );
  const gateway = { decide: () => ({}), connecting: () => ({}) } as unknown as {
    -readonly [K in keyof TestGateway]: TestGateway[K];
  };
  const questions: PolicyQuestion[] = [];
  const simple = recordingOnlyLinks(connections);
  const asked: Links = {
    ...simple,
    policy: {
      check: async (question) => {
        questions.push(question);
        return signedVerdict(
          question,
          question.command === undefined ? gateway.connecting(question) : await gateway.decide(question),
        );
      },
    },
  };
  const links = options.links === undefined ? asked : options.links(asked);
  const logging = {
    service: "edge-postgres",
    instance: "edge-test",
    log: { level: options.logLevel ?? "silent" },
  } as const;
  const log = createLogger(logging);
  const observer = schemaObserver(
    links,
    (connection, database, signal) => reachTarget(dialDirectly, { connection, database, parameters: [] }, signal),
    log,
  );
  const bus = await connect({ servers: nats.url, maxReconnectAttempts: -1 });
  const edge = await openEdge({
    edge: "edge-test",
    protocol: "postgresql",
    partition: 0,
    lane: 0,
    gatewayVersion: "test",
    nats: bus,
    links: observer.links,
    events: options.events ?? noEvents,
    literals: eraseLiterals,
    durability: "process",
    log,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  const [cert, key] = await Promise.all([readFile(certificate.cert), readFile(certificate.key)]);
  const place: SessionPlace = {
    edge,
    observer,
    dial: dialDirectly,
    secureContext: createSecureContext({ cert, key }),
    tlsRequired: true,
    handshakeMs: 10_000,
    table: frontendTable(16 * 1024 * 1024),
    log,
    ...options.place,
  };
  const listener = await listen(place, "127.0.0.1:0");
  const parts = { admin, bus, listener };
  return Object.assign(gateway, {
    port: listener.port,
    ca: pki.ca,
    edge,
    nats,
    questions,
    links,
    records: async (sessionId?: string) => {
      const all = await readRecords(admin);
      return sessionId === undefined ? all : all.filter((record) => record.header.sessionId === sessionId);
    },
    recordsUntil: (until: (records: TestRecord[]) => boolean) =>
      eventually(async () => {
        const all = await readRecords(admin);
        return until(all) ? all : undefined;
      }),
    stop: () => stop(parts, edge, nats),
  });
}

async function stop(
  { admin, bus, listener }: { admin: NatsConnection; bus: NatsConnection; listener: Listener },
  edge: Edge,
  nats: TestNats,
): Promise<void> {
  listener.close();
  await edge.close(1_000);
  await Promise.all([admin.close(), bus.close()]);
  await nats.stop();
}

async function readRecords(nats: NatsConnection): Promise<TestRecord[]> {
  const manager = await jetstreamManager(nats);
  const stream = framesStream(0);
  const { state } = await manager.streams.info(stream);
  const records: TestRecord[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(stream, { seq });
    if (message === null) continue;
    for (const record of FrameBatch.decode(message.data).records) {
      const { fact } = RecordBody.decode(record.body);
      if (fact === undefined) throw new Error("a record without a fact");
      records.push({ header: RecordHeader.decode(record.header), kind: fact.$case, fact: fact.value });
    }
  }
  return records;
}

/** A connection as role `app` with the password `app-secret`. */
export function appConnection(port: number, change: Partial<Connection> = {}): Partial<Connection> {
  process.env["SALLYPORT_TEST_APP_PASSWORD"] = "app-secret";
  return {
    name: "orders",
    host: "127.0.0.1",
    port,
    defaultDatabase: "postgres",
    role: { user: "app", passwordRef: "env:SALLYPORT_TEST_APP_PASSWORD", clientCertRef: "", clientKeyRef: "" },
    ...change,
  };
}
