/**
 * Login, the same for every protocol: a place for the handshake → identity → the connection → may they connect? Each
 * refusal is recorded; its sentence is public and says nothing of what was presented.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorCode } from "@sallyport/runtime";
import type { AuthenticateRequest } from "@sallyport/proto/identity";
import type { Principal } from "@sallyport/proto/principal";
import { RecordKind, SessionOpened, SessionRefused, VerdictReached } from "@sallyport/proto/record";
import type { Accepted, LoginRequest, Refused, Stranger, TargetFacts } from "./login-interface.ts";
import type { EndCause, SessionEnd } from "./outcome.ts";
import type { EdgePlace } from "./place.ts";
import { SessionRecorder } from "./recorder/session-recorder.ts";
import type { Present } from "./registry.ts";
import { newSessionId } from "./session-id.ts";
import type { EdgeSession } from "./session-interface.ts";
import { acknowledged, LiveSession } from "./session.ts";
import { outcomeOf, VerdictEntry } from "./verdict-cache.ts";

const LEASE_WAIT_MS = 1000;
const CHECK_MS = 2000;
const REFUSED_ACK_MS = 2000;
/** Of what an unknown client says about itself. */
const CLAIM_LENGTH = 256;
/** Connect decisions that are asked for anew because the world moved meanwhile. */
const DECISIONS = 4;
const IDENTIFICATIONS = 20;
const IDENTIFICATION_PAUSE_MS = 50;

interface Identified {
  readonly principal: Principal;
  readonly asOf: number;
  readonly recheckAfterMs: number;
}

/** What is known when a login fails. */
interface Attempt {
  readonly place: EdgePlace;
  readonly sessionId: string;
  readonly request: LoginRequest;
  principal: Principal | undefined;
  verdict: VerdictEntry | undefined;
}

export async function logIn(place: EdgePlace, request: LoginRequest): Promise<Accepted | Refused> {
  const attempt: Attempt = {
    place,
    sessionId: newSessionId(),
    request: {
      ...request,
      connection: request.connection.slice(0, CLAIM_LENGTH),
      database: request.database.slice(0, CLAIM_LENGTH),
      claimedUser: request.claimedUser.slice(0, CLAIM_LENGTH),
      clientApplication: request.clientApplication.slice(0, CLAIM_LENGTH),
    },
    principal: undefined,
    verdict: undefined,
  };
  try {
    return await accept(attempt);
  } catch (error) {
    const known = AppError.from(error, "edge.login");
    if (known.code === "internal") place.log.error({ err: known }, "a login failed");
    return refuse(attempt, known.code, known.message);
  }
}

async function accept(attempt: Attempt): Promise<Accepted | Refused> {
  const { place, request } = attempt;
  const { leases, links, registry, lane, limits } = place;
  if (!lane.healthy) throw new AppError("unavailable", "edge.login", "the log cannot be written right now");
  if (registry.size >= limits.sessions) throw new AppError("exhausted", "edge.login", "too many sessions are open");
  if (!(await leases.whenValid(LEASE_WAIT_MS))) {
    throw new AppError("unavailable", "edge.login", "the gateway cannot be sure of its rules right now");
  }
  const { token, claimedUser, clientAddress } = request;
  const { principal, ...identified } = await identify(place, { token, claimedUser, clientAddress });
  attempt.principal = principal;
  const pending = new PendingLogin(principal);
  registry.add(pending);
  try {
    // an event that came between identity's answer and now was nobody's to see
    if (leases.withdrawnSince(principal, identified.asOf)) pending.end("revoked", "Your access has been withdrawn.");
    pending.throwIfEnded();
    const { connection: name, database: asked } = request;
    const { connection, database, schemaDigest } = await links.catalog.resolve({ connection: name, database: asked });
    if (connection === undefined || connection.protocol !== place.options.protocol) {
      throw new AppError("not-found", "edge.login", `there is no connection ${JSON.stringify(name)} here`);
    }
    const openedAtMs = Date.now();
    const verdict = await mayConnect(attempt, principal, connection.name, database, openedAtMs);
    pending.throwIfEnded();
    if (outcomeOf(verdict) !== "forward") {
      const message =
        verdict.message === "" ? `${principal.id} may not connect to ${connection.name}` : verdict.message;
      throw new AppError("not-permitted", "edge.login", message);
    }
    return {
      outcome: "accepted",
      sessionId: attempt.sessionId,
      principal,
      connection,
      database,
      schemaDigest,
      hiddenClasses: verdict.hiddenClasses,
      mayWrite: verdict.mayWrite,
      signal: pending.signal,
      async open(target, sink): Promise<EdgeSession> {
        try {
          pending.throwIfEnded();
          if (!lane.healthy) throw new AppError("unavailable", "edge.open", "the log cannot be written right now");
          const facts = {
            id: attempt.sessionId,
            principal,
            connection: connection.name,
            database,
            hiddenClasses: verdict.hiddenClasses,
            forWriters: target.forWriters === true,
            clientAddress,
            openedAtMs,
            recheckAfterMs: identified.recheckAfterMs,
          };
          return await open(attempt, new LiveSession(place, facts, sink), verdict, target);
        } finally {
          registry.delete(pending);
        }
      },
      async refuse(code, message): Promise<Refused> {
        registry.delete(pending);
        return refuse(attempt, code, message);
      },
    };
  } catch (error) {
    registry.delete(pending);
    throw error;
  }
}

/** Who it is, with what we know to have changed taken into account. */
async function identify(place: EdgePlace, request: AuthenticateRequest): Promise<Identified> {
  const { links, leases } = place;
  for (let round = 0; round < IDENTIFICATIONS; round++) {
    const { principal, asOf, recheckAfterMs } = await links.identity.authenticate(request);
    if (principal === undefined) throw new AppError("unauthenticated", "edge.login", "the token is not valid");
    if (asOf >= leases.groupsChangedAt(principal.id)) return { principal, asOf, recheckAfterMs };
    await sleep(IDENTIFICATION_PAUSE_MS);
  }
  throw new AppError("unavailable", "edge.login", "identity has not seen the newest events yet");
}

async function mayConnect(
  attempt: Attempt,
  principal: Principal,
  connection: string,
  database: string,
  openedAtMs: number,
): Promise<VerdictEntry> {
  const { place, sessionId, request } = attempt;
  const { leases, links, options } = place;
  for (let round = 0; round < DECISIONS; round++) {
    const minAsOf = leases.newest(connection, database, principal.id);
    const session = {
      sessionId,
      principal,
      connection,
      database,
      clientAddress: request.clientAddress,
      openedAtMs,
      edge: options.edge,
    };
    const verdict = new VerdictEntry(await links.policy.check({ session, minAsOf, deadlineMs: CHECK_MS }));
    attempt.verdict = verdict;
    if (verdict.asOf >= leases.newest(connection, database, principal.id) && leases.valid()) return verdict;
    await leases.whenValid(LEASE_WAIT_MS);
  }
  throw new AppError("unavailable", "edge.login", "the gateway cannot be sure of its rules right now");
}

async function open(
  attempt: Attempt,
  session: LiveSession,
  verdict: VerdictEntry,
  target: TargetFacts,
): Promise<EdgeSession> {
  const { place, request } = attempt;
  const { options } = place;
  place.registry.add(session);
  const opened: SessionOpened = {
    principal: session.principal,
    connection: session.connection,
    database: session.database,
    target: target.target,
    targetRole: target.role,
    targetVersion: target.version,
    clientAddress: request.clientAddress,
    clientApplication: request.clientApplication,
    tls: request.tls,
    targetTls: target.tls,
    edge: options.edge,
    gatewayVersion: options.gatewayVersion,
    durability: options.durability,
    verdictId: verdict.id,
    hiddenClasses: [...verdict.hiddenClasses],
    traceId: "",
  };
  session.connectedBy(verdict);
  const reached = verdict.signed && VerdictReached.encode({ verdict: verdict.signed }).finish();
  verdict.signed = undefined;
  await session.open(SessionOpened.encode(opened).finish(), reached);
  return session;
}

/** Turned away before any token was shown. Not waited for: nothing was read and nothing is known. */
export function turnAway(place: EdgePlace, who: Stranger, code: ErrorCode, message: string): void {
  const { claimedUser = "", connection = "", clientAddress } = who;
  const request: LoginRequest = {
    token: "",
    claimedUser: claimedUser.slice(0, CLAIM_LENGTH),
    connection: connection.slice(0, CLAIM_LENGTH),
    database: "",
    clientAddress,
    clientApplication: "",
    tls: "",
  };
  const attempt = { place, sessionId: newSessionId(), request, principal: undefined, verdict: undefined };
  void refuse(attempt, code, message);
}

async function refuse(attempt: Attempt, code: ErrorCode, message: string): Promise<Refused> {
  const { place, request, principal, verdict } = attempt;
  const { lane, limits, options, telemetry } = place;
  telemetry.loginRefused(code);
  const refused: Refused = { outcome: "refused", code, message };
  // with the bus down there is nowhere to write it, and a flood of refusals must not fill the memory
  if (!lane.healthy || lane.unackedBytes > limits.laneBytes) return refused;
  const recorder = new SessionRecorder(
    lane,
    {
      sessionId: attempt.sessionId,
      principalId: principal?.id ?? "",
      actors: principal?.actors.map((actor) => actor.id) ?? [],
      connection: request.connection,
      protocol: options.protocol,
    },
    { relieved() {}, busFailed() {}, fault() {} },
  );
  const fact: SessionRefused = {
    connection: request.connection,
    claimedUser: request.claimedUser,
    clientAddress: request.clientAddress,
    edge: options.edge,
    code,
    error: message,
    principal,
    verdictId: verdict?.id ?? "",
  };
  recorder.append(RecordKind.RECORD_KIND_SESSION_REFUSED, SessionRefused.encode(fact).finish(), true);
  if (verdict?.signed !== undefined) {
    const reached = VerdictReached.encode({ verdict: verdict.signed }).finish();
    recorder.append(RecordKind.RECORD_KIND_VERDICT_REACHED, reached, true);
    verdict.signed = undefined;
  }
  await acknowledged(recorder, REFUSED_ACK_MS);
  return refused;
}

/** Somebody who has shown a token and has no session yet: withdrawals concern them too. */
class PendingLogin implements Present {
  readonly principal: Principal;
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();

  constructor(principal: Principal) {
    this.principal = principal;
    this.signal = this.controller.signal;
  }

  end(cause: EndCause, message: string): void {
    const reason: SessionEnd = { cause, message };
    if (!this.signal.aborted) this.controller.abort(reason);
  }

  reread(): void {
    // it moved between two questions: the simplest sound answer is to log in again
    this.end("revoked", "Your access has just changed: log in again.");
  }

  reconnect(): void {
    // what moved since the decision counts once the session is open: `ConnectRight.start`
  }

  accessChanged(): void {
    // as above
  }

  throwIfEnded(): void {
    if (!this.signal.aborted) return;
    const { cause, message } = this.signal.reason as SessionEnd;
    throw new AppError(cause === "revoked" ? "unauthenticated" : "unavailable", "edge.login", message);
  }
}
