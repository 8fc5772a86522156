import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { openEdge, openLinks } from "@sallyport/edge";
import { startRuntime } from "@sallyport/runtime";
import { configSchema } from "./config.ts";
import { listen } from "./listener.ts";
import { eraseLiterals } from "./relay/literals.ts";
import { reachTarget } from "./target/dial-and-login.ts";
import { dialDirectly } from "./target/dial.ts";
import { schemaObserver } from "./target/schema-observer.ts";
import { observesWhenAsked } from "./target/observes-when-asked.ts";
import { frontendTable } from "./wire/message-table.ts";
import { GATEWAY_VERSION, OBSERVER } from "./version.ts";

const runtime = await startRuntime("edge-postgres", configSchema);
const { config, log } = runtime;

const [cert, key] = await Promise.all([readFile(config.tls.cert), readFile(config.tls.key)]);
const secureContext = createSecureContext({ cert, key, minVersion: "TLSv1.2" });

const openedLinks = openLinks(runtime);
runtime.onShutdown("links", () => openedLinks.close());
const observer = schemaObserver(
  openedLinks,
  (connection, database, signal) => reachTarget(dialDirectly, { connection, database, parameters: OBSERVER }, signal),
  log,
);
const edge = await openEdge({
  edge: config.instance,
  siblings: config.siblings,
  protocol: "postgresql",
  partition: config.partition,
  lane: config.lane,
  gatewayVersion: GATEWAY_VERSION,
  nats: await runtime.connectNats(),
  links: observer.links,
  literals: eraseLiterals,
  onEvent: observesWhenAsked(openedLinks.catalog, observer, log),
  limits: {
    sessions: config.limits.sessions,
    handshakes: config.limits.handshakes,
    textBytes: config.limits.textBytes,
    unitBytes: config.limits.commandBytes,
    sessionBytes: config.limits.sessionBytes,
    laneBytes: config.limits.laneBytes,
  },
  durability: config.durability,
  meter: runtime.meter,
  tracer: runtime.tracer,
  log,
});
runtime.onShutdown("edge", () => edge.close(2_000));

const listener = await listen(
  {
    edge,
    observer,
    dial: dialDirectly,
    secureContext,
    tlsRequired: config.tls.mode === "required",
    handshakeMs: config.handshakeSeconds * 1000,
    table: frontendTable(config.limits.commandBytes + 64 * 1024),
    log,
  },
  config.listen,
);
runtime.onShutdown("listener", () => listener.close());
runtime.ready({ postgresql: `${listener.host}:${listener.port}` });
