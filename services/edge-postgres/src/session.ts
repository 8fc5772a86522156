import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Accepted, Edge, EdgeSession, Handshake } from "@sallyport/edge";
import { AppError, type Logger } from "@sallyport/runtime";
import { NO_DATABASE, type Refusal, refusalReport, refusedLogin, TLS_REQUIRED, TOO_SLOW } from "./login-wording.ts";
import { HandshakeEnded, negotiate, type Negotiated, readPassword, versionAnswer } from "./negotiate.ts";
import { Relay } from "./relay/relay.ts";
import { SessionState } from "./relay/session-state.ts";
import { readStartup, type StartupRequest } from "./startup-parameters.ts";
import { cancelAt, reachTarget, sessionRole, type SessionRole } from "./target/dial-and-login.ts";
import type { Dial } from "./target/dial.ts";
import type { TargetConnection } from "./target/login.ts";
import type { SchemaObserver } from "./target/schema-observer.ts";
import { TargetFault } from "./target/target-fault.ts";
import {
  AUTHENTICATION_CLEARTEXT,
  AUTHENTICATION_OK,
  encodeBackendKeyData,
  encodeParameterStatus,
  READY,
} from "./wire/encode.ts";
import { WireFault } from "./wire/fault.ts";
import type { MessageTable } from "./wire/message-table.ts";
import { PROTOCOL_3_2 } from "./wire/startup.ts";
import type { SecureContext } from "node:tls";

/** What every session of this edge has in common. */
export interface SessionPlace {
  readonly edge: Edge;
  readonly observer: SchemaObserver;
  readonly dial: Dial;
  readonly secureContext: SecureContext;
  readonly tlsRequired: boolean;
  readonly handshakeMs: number;
  readonly table: MessageTable;
  readonly log: Logger;
}

/** One client, from its first byte to its last: negotiate → login → connect to the target → relay. Never rejects. */
export async function serveClient(place: SessionPlace, raw: Socket, handshake: Handshake): Promise<void> {
  const clientAddress = `${raw.remoteAddress ?? "unknown"}:${raw.remotePort ?? 0}`;
  const inTime = AbortSignal.timeout(place.handshakeMs);
  let socket: Socket | TLSSocket = raw;
  try {
    const negotiated = await negotiate(raw, { secureContext: place.secureContext, signal: inTime });
    if (negotiated.kind === "cancel") {
      place.edge.cancels.request(negotiated.processId, negotiated.secret, clientAddress);
      raw.destroy();
      return;
    }
    socket = negotiated.socket;
    if (negotiated.kind === "failed") throw negotiated.error;
    const request = admitted(place, negotiated);
    if ("sqlstate" in request) {
      const { parameters } = negotiated.startup;
      const [claimedUser, connection] = [parameters.get("user") ?? "", parameters.get("database") ?? ""];
      place.edge.turnAway({ clientAddress, claimedUser, connection }, "invalid-input", request.message);
      return await refuse(socket, request);
    }
    const version = versionAnswer(negotiated.startup.minor, request.protocolOptions);
    socket.write(version === undefined ? AUTHENTICATION_CLEARTEXT : Buffer.concat([version, AUTHENTICATION_CLEARTEXT]));
    const token = await readPassword(socket, inTime);
    await logInAndRelay(place, { negotiated, request, token, clientAddress, handshake });
  } catch (error) {
    await notLetIn(place, socket, clientAddress, error);
  } finally {
    handshake.done();
  }
}

/** Before anybody is asked for a token. */
function admitted(place: SessionPlace, negotiated: Extract<Negotiated, { kind: "startup" }>): StartupRequest | Refusal {
  if (place.tlsRequired && negotiated.tls === "") return TLS_REQUIRED;
  const request = readStartup(negotiated.startup.parameters);
  if ("sqlstate" in request) return request;
  return request.connection === "" ? NO_DATABASE : request;
}

interface Login {
  readonly negotiated: Extract<Negotiated, { kind: "startup" }>;
  readonly request: StartupRequest;
  readonly token: string;
  readonly clientAddress: string;
  readonly handshake: Handshake;
}

async function logInAndRelay(place: SessionPlace, login: Login): Promise<void> {
  const { edge } = place;
  const { negotiated, request, token, clientAddress } = login;
  const { socket } = negotiated;
  const accepted = await edge.login(
    {
      token,
      claimedUser: request.user,
      connection: request.connection,
      database: request.database,
      clientAddress,
      clientApplication: request.applicationName,
      tls: negotiated.tls,
    },
    login.handshake,
  );
  if (accepted.outcome === "refused") return refuse(socket, refusedLogin(accepted.code, accepted.message));
  const reached = await targetOf(place, accepted, request, socket);
  if ("sqlstate" in reached) return refuse(socket, reached);
  const { target } = reached;
  let session: EdgeSession;
  try {
    session = await accepted.open(
      {
        target: target.address,
        role: target.role,
        forWriters: reached.as.forWriters,
        version: target.parameters.get("server_version") ?? "",
        tls: target.tls,
      },
      socket,
    );
  } catch (error) {
    target.socket.destroy();
    throw error;
  }
  await relay(place, login, accepted, session, reached);
}

/** How long a login waits for the first observation of its target, ms. It goes on behind it. */
const FIRST_OBSERVATION_MS = 3_000;

async function withinTime(promise: Promise<boolean>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(resolve, ms, false)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

interface Reached {
  readonly target: TargetConnection;
  readonly as: SessionRole;
  readonly observed: boolean;
}

/** The target, logged in to and with its schema observed; a Refusal is recorded already. */
async function targetOf(
  place: SessionPlace,
  accepted: Accepted,
  request: StartupRequest,
  client: Socket,
): Promise<Reached | Refusal> {
  const { connection, database } = accepted;
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  client.once("close", onClose);
  try {
    const signal = AbortSignal.any([accepted.signal, gone.signal]);
    const as = sessionRole(connection, accepted.mayWrite);
    const { parameters } = request;
    const reached = reachTarget(place.dial, { connection, role: as.role, database, parameters }, signal);
    if (accepted.schemaDigest !== "") return { target: await reached, as, observed: true };
    // Observed while the login is under way; decisions before it would know no table at all, and be as strict as can be.
    const observing = place.observer.observe(connection, database);
    const target = await reached;
    return { target, as, observed: await withinTime(observing, FIRST_OBSERVATION_MS) };
  } catch (error) {
    if (!(error instanceof TargetFault)) throw error;
    place.log.warn({ err: error, connection: connection.name }, "the target could not be reached");
    const refused = await accepted.refuse(error.code, `connection ${connection.name}: ${error.message}`);
    return refusedLogin(refused.code, refused.message);
  } finally {
    client.off("close", onClose);
  }
}

async function relay(
  place: SessionPlace,
  login: Login,
  accepted: Accepted,
  session: EdgeSession,
  { target, as, observed }: Reached,
): Promise<void> {
  const { edge, dial, observer, table, log } = place;
  const { negotiated } = login;
  const state = new SessionState();
  state.stale = true;
  state.unobserved = !observed;
  state.guarded = session.hiddenClasses.length > 0;
  const relayed = new Relay({
    edge,
    session,
    client: negotiated.socket,
    target,
    table,
    state,
    log,
    observe: () => observer.observe(accepted.connection, accepted.database),
    cancelAtTarget: () => cancelAt(dial, { connection: accepted.connection, role: as.role, key: target.key }),
  });
  const secretBytes = negotiated.protocol >= PROTOCOL_3_2 ? 32 : 4;
  const issued = edge.cancels.issue(secretBytes, (from) => relayed.cancel(from));
  try {
    greet(session, target, issued.key);
    await relayed.run();
  } finally {
    issued.withdraw();
    await session.close();
  }
}

/** AuthenticationOk, what the target reported, our cancel key, ReadyForQuery: recorded like everything else. */
function greet(session: EdgeSession, target: TargetConnection, key: { processId: number; secret: Buffer }): void {
  const parameters = [...target.parameters].map(([name, value]) => encodeParameterStatus(name, value));
  const hello = [AUTHENTICATION_OK, ...parameters];
  session.gate.release(0, Buffer.concat([...hello, encodeBackendKeyData(key.processId, key.secret), READY.I]));
}

async function notLetIn(place: SessionPlace, socket: Socket, clientAddress: string, error: unknown): Promise<void> {
  if (error instanceof HandshakeEnded) {
    // Who says nothing and goes is a port scan or a health check.
    if (!error.late) return void socket.destroy();
    place.edge.turnAway({ clientAddress }, "deadline", TOO_SLOW.message);
    return refuse(socket, TOO_SLOW);
  }
  if (error instanceof WireFault) {
    place.edge.turnAway({ clientAddress }, "invalid-input", error.message);
    return refuse(socket, { sqlstate: error.sqlstate, message: error.message });
  }
  const known = AppError.from(error, "edge-postgres.session");
  place.log.error({ err: known }, "a session failed");
  return refuse(socket, refusedLogin(known.code, known.message));
}

const GOODBYE_MS = 1_000;

/** The client's last words from us. It is not waited for any longer than a moment. */
async function refuse(socket: Socket, refusal: Refusal): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => socket.destroy(), GOODBYE_MS);
    socket.once("close", () => {
      clearTimeout(late);
      resolve();
    });
    socket.end(refusalReport(refusal));
    socket.resume();
  });
}
