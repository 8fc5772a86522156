/** What would become of a command: asked of policy and masking as an edge asks them, for people to read. Nothing is run. */
import { randomUUID } from "node:crypto";
import type { ExplainRequest, ExplainResponse } from "@sallyport/proto/catalog";
import type { Connection } from "@sallyport/proto/catalog_model";
import type { IdentityServiceClient } from "@sallyport/proto/identity";
import type { MaskPlan, PlanResult } from "@sallyport/proto/masking";
import { CheckRequest, CommandCheck, type PolicyServiceClient } from "@sallyport/proto/policy";
import type { Principal } from "@sallyport/proto/principal";
import type { Verdict } from "@sallyport/proto/verdict";
import { AppError, callUnary, type CallInfo, type Callers, type EventFollower } from "@sallyport/runtime";
import type { AccessFact } from "../access-decider.ts";
import type { CatalogState } from "../catalog-state.ts";
import { lookAgain, type LookAgainParts } from "../observation/look-again.ts";
import { explained } from "./explained.ts";
import { planRequests } from "./plan-requests.ts";

export interface ExplainParts extends LookAgainParts {
  follower: Pick<EventFollower, "seq">;
  state: CatalogState;
  callers: Callers;
  policy: PolicyServiceClient;
  identity: IdentityServiceClient;
  /** as `masking` answers an edge; throws AppError */
  plan(request: PlanResult, signal: AbortSignal): Promise<MaskPlan>;
}

const OP = "catalog.explain";
const DEADLINE_MS = 8_000;
const MOST_TEXT = 1024 * 1024;
/** Statements of one text whose results are planned; of more, the analysis is told without them. */
const MOST_RESULTS = 32;

export async function explain(request: ExplainRequest, call: CallInfo, parts: ExplainParts): Promise<ExplainResponse> {
  const { state } = parts;
  if (request.text.trim() === "") throw new AppError("invalid-input", OP, "There is no command to explain.");
  if (Buffer.byteLength(request.text) > MOST_TEXT)
    throw new AppError("invalid-input", OP, `The command is longer than ${MOST_TEXT} bytes.`);
  const as = await whoseCommand(request, call, parts);
  const { connection, database } = state.resolve(request.connection, request.database, OP);
  if (state.schema(connection.name, database) === undefined) {
    // As a first login would: without the schema every name could be anything.
    await lookAgain({ connection: connection.name, database, by: as.by }, call.signal, parts);
  }
  const place: Place = {
    connection,
    database,
    address: as.itself ? withoutPort(call.address) : "",
    principal: as.principal,
    by: as.by,
  };

  const ask = (subject: CheckRequest["subject"]): Promise<Verdict> =>
    callUnary(
      parts.policy,
      "explain",
      { ...checkRequest(place, subject), minAsOf: parts.follower.seq() },
      { deadlineMs: DEADLINE_MS, signal: call.signal },
    );
  const connect = await ask({ $case: "connect", value: {} });
  const role = connect.mayWrite || connection.readRole === undefined ? connection.role : connection.readRole;
  const schemas = new Set(state.schema(connection.name, database)?.schema.relations.map(({ schema }) => schema));
  const assumed = ["pg_catalog", ...(schemas.has(role?.user ?? "") ? [role?.user ?? ""] : []), "public"];
  const command = await ask({
    $case: "command",
    value: CommandCheck.fromPartial({
      protocol: "postgresql",
      unit: "simple-query",
      text: request.text,
      searchPath: request.searchPath.length > 0 ? request.searchPath : assumed,
      role: role?.user ?? "",
      settings: { standard_conforming_strings: "on", client_encoding: "UTF8" },
    }),
  });

  const observed = state.schema(connection.name, database);
  const requests = planRequests(command, { connection: connection.name, database }, observed?.schema);
  const plans: (MaskPlan | undefined)[] = [];
  for (const one of requests.slice(0, MOST_RESULTS)) {
    plans.push(one === undefined ? undefined : await parts.plan(one, call.signal));
  }
  return explained({
    principal: as.principal,
    offboarded: as.offboarded,
    itself: as.itself,
    database,
    connect,
    command,
    requests,
    plans,
    targetRole: role?.user ?? "",
    observed: observed !== undefined,
  });
}

/** As policies look at it: `10.0.0.7:51234` and `[::1]:51234` are no addresses. */
const withoutPort = (peer: string): string => peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");

interface Place {
  connection: Connection;
  database: string;
  /** empty: not known */
  address: string;
  principal: Principal;
  /** who asks */
  by: string;
}

function checkRequest(place: Place, subject: CheckRequest["subject"]): CheckRequest {
  const { connection, database, address, principal, by } = place;
  return CheckRequest.fromPartial({
    session: {
      // texts of one asker wait for each other in policy, not for other people's
      sessionId: `explain-${by}`,
      principal,
      connection: connection.name,
      database,
      clientAddress: address,
      openedAtMs: Date.now(),
    },
    ...(subject && { subject }),
  });
}

interface Whose {
  principal: Principal;
  offboarded: boolean;
  itself: boolean;
  /** who asks */
  by: string;
}

/** Throws `not-permitted`; somebody else's is published before it is answered. */
async function whoseCommand(request: ExplainRequest, call: CallInfo, parts: ExplainParts): Promise<Whose> {
  const { callers, identity, access } = parts;
  const { connection, principalId, text } = request;
  const caller = await callers.callerOf(call);
  if (principalId === "" || principalId === caller.principal.id) {
    await callers.requireAction(caller, "connect", connection, call.signal);
    return { principal: caller.principal, offboarded: false, itself: true, by: caller.principal.id };
  }
  await callers.requireAction(caller, "audit", connection, call.signal);
  const { database } = parts.state.resolve(connection, request.database, OP);
  const described = await callUnary(
    identity,
    "describe",
    { principalId },
    { deadlineMs: DEADLINE_MS, signal: call.signal },
  );
  if (described.principal === undefined) throw new AppError("internal", OP, "identity's answer was empty");
  const fact: AccessFact = {
    $case: "commandExplained",
    value: { principalId: caller.principal.id, asPrincipalId: principalId, connection, database, text },
  };
  const said = await access.handle(randomUUID(), fact, { cause: caller.principal.id });
  if (said.kind === "refused") throw new AppError(said.code, OP, said.message);
  return { principal: described.principal, offboarded: described.offboarded, itself: false, by: caller.principal.id };
}
