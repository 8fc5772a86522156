/**
 * This edge with nothing but its wire and its lane, for `npm run bench`: everybody is let in, every command is forwarded
 * and recorded, nothing is decided or masked, and nobody reads what was recorded.
 *
 * `node bench/recording-only.ts '<settings as JSON>'`; says `ready` and the port, ends with SIGTERM.
 */
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { connect } from "@nats-io/transport-node";
import { openEdge, type Links, type LiteralLexer } from "@sallyport/edge";
import { noEvents, recordingOnlyLinks, signedVerdict } from "@sallyport/edge/testing";
import { Connection } from "@sallyport/proto/catalog_model";
import { CacheScope_Kind } from "@sallyport/proto/verdict";
import { createLogger } from "@sallyport/runtime";
import { listen } from "../src/listener.ts";
import { reachTarget } from "../src/target/dial-and-login.ts";
import { dialDirectly } from "../src/target/dial.ts";
import { schemaObserver } from "../src/target/schema-observer.ts";
import { frontendTable } from "../src/wire/message-table.ts";

interface Settings {
  /** URL of a bus with a stream FRAMES_0 */
  readonly nats: string;
  /** PEM files */
  readonly cert: string;
  readonly key: string;
  readonly target: {
    readonly connection: string;
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly user: string;
    /** `file:PATH` */
    readonly passwordRef: string;
  };
}

const settings = JSON.parse(process.argv[2] ?? "") as Settings;
const log = createLogger({ service: "recording-only", instance: "recording-only", log: { level: "warn" } });

const { connection, database, user, passwordRef, host, port } = settings.target;
const target = Connection.fromPartial({
  name: connection,
  protocol: "postgresql",
  host,
  port,
  defaultDatabase: database,
  role: { user, passwordRef },
  tls: { mode: "disable" },
});

/** Every text has the same key, so that the one verdict of a session is found at once. */
const oneKey: LiteralLexer = () => ({ skeleton: "", offsets: [], literals: [] });
const simple = recordingOnlyLinks(new Map([[connection, target]]));
const links: Links = {
  ...simple,
  // known for good: what is in the target's schema concerns nobody here
  catalog: {
    ...simple.catalog,
    resolve: async (request) => ({ ...(await simple.catalog.resolve(request)), schemaDigest: "known" }),
  },
  policy: {
    check: async (question) =>
      signedVerdict(question, { cache: { kind: CacheScope_Kind.KIND_LITERALS, erasable: [], expiresAtMs: 0 } }),
  },
};

const observer = schemaObserver(
  links,
  (of, name, signal) => reachTarget(dialDirectly, { connection: of, database: name, parameters: [] }, signal),
  log,
);
const edge = await openEdge({
  edge: "recording-only",
  protocol: "postgresql",
  partition: 0,
  lane: 0,
  gatewayVersion: "bench",
  nats: await connect({ servers: settings.nats }),
  links: observer.links,
  events: noEvents,
  literals: oneKey,
  durability: "process",
  log,
});
const [cert, key] = await Promise.all([readFile(settings.cert), readFile(settings.key)]);
const listener = await listen(
  {
    edge,
    observer,
    dial: dialDirectly,
    secureContext: createSecureContext({ cert, key, minVersion: "TLSv1.2" }),
    tlsRequired: false,
    handshakeMs: 10_000,
    table: frontendTable(16 * 1024 * 1024),
    log,
  },
  "127.0.0.1:0",
);
console.log(JSON.stringify({ ready: listener.port }));
process.on("SIGTERM", () => {
  listener.close();
  void edge.close(1000).finally(() => process.exit());
});
