/** The gateway's own powers, and `reveal` and `connect` asked about in general. */

import type { AuthorizeRequest } from "@sallyport/proto/policy";
import { AuthorizeResponse } from "@sallyport/proto/policy";
import { ACTIONS } from "./cedar/compile.ts";
import type { LoadedSet, PolicyAction } from "./cedar/compile.ts";
import type { EntityJson } from "./cedar/engine.ts";
import { GATEWAY, principalEntity } from "./cedar/entities.ts";
import { mentions } from "./cedar/references.ts";
import { buildContext } from "./check/context.ts";
import { ask, noFindings } from "./check/evaluate.ts";
import type { Findings } from "./check/evaluate.ts";
import { mayReveal } from "./check/hidden-classes.ts";
import type { Reveal } from "./check/hidden-classes.ts";
import { holdsOf } from "./check/hold-terms.ts";
import { appliesTo } from "./check/may-write.ts";
import { evaluationFailed, forbidden } from "./check/wording.ts";
import type { Published } from "./state.ts";

export interface AuthorizeParts {
  published: Published | undefined;
  nowMs: number;
  timeZone: string;
}

const POWERS: ReadonlySet<string> = new Set([
  "connect",
  "reveal",
  "approve",
  "break-glass",
  "audit",
  "configure",
  "revoke",
]);

const refused = (message: string): AuthorizeResponse => AuthorizeResponse.fromPartial({ allowed: false, message });

export function authorize(request: AuthorizeRequest, parts: AuthorizeParts): AuthorizeResponse {
  const { published } = parts;
  if (published?.set === undefined) return refused("No policies are in force.");
  const principal = principalEntity(request.principal);
  if (principal === undefined) return refused("The principal is not known.");
  const action = ACTIONS.find((known) => known === request.action);
  if (action === undefined || !POWERS.has(action)) return refused(`There is no power called ${request.action}.`);
  if (action === "reveal") return reveal(request, principal, published, published.set, parts);
  if (request.session !== undefined)
    return access({ action, request, principal, published, set: published.set }, parts);
  const resource = resourceOf(action, request.resource, published);
  if (resource === undefined) return refused(`There is no connection ${request.resource}, or you may not use it.`);

  const { set } = published;
  const context = buildContext(set.references(action).context, parts).context;
  const findings = noFindings();
  ask({ action, resource, called: request.resource }, { set, principal, context }, findings);
  const where = request.resource === "" ? "" : ` on ${request.resource}`;
  return answer(findings, set, `No policy permits ${request.principal?.id ?? ""} to ${action}${where}.`);
}

interface AccessQuestion {
  action: PolicyAction;
  request: AuthorizeRequest;
  principal: EntityJson;
  published: Published;
  set: LoadedSet;
}

/** `connect` and `break-glass` before they are made use of, with what holds the one and the other would lift. */
function access(asked: AccessQuestion, { nowMs, timeZone }: AuthorizeParts): AuthorizeResponse {
  const { action, request, principal, published, set } = asked;
  const connection = published.configured.connection(request.resource);
  const configured = published.connections.get(request.resource);
  const database = request.session?.database || (configured?.defaultDatabase ?? "");
  const databases = [configured?.defaultDatabase, ...(configured?.databases ?? [])];
  const there = connection !== undefined && databases.includes(database);
  if (!there || request.session === undefined || (action !== "connect" && action !== "break-glass")) {
    return refused(`There is no connection ${request.resource}/${database}, or you may not use it.`);
  }
  const session = { ...request.session, principal: request.principal, connection: request.resource, database };
  const may = (about: PolicyAction): Findings => {
    const { context } = buildContext(set.references(about).context, { session, nowMs, timeZone });
    const findings = noFindings();
    ask({ action: about, resource: connection, called: request.resource }, { set, principal, context }, findings);
    return findings;
  };
  const findings = may(action);
  const who = request.principal?.id ?? "";
  const said = answer(findings, set, `No policy permits ${who} to ${action} on ${request.resource}.`);
  if (!said.allowed) return said;
  const connect = action === "connect" ? findings : may("connect");
  const holding = holdsOf([...connect.holds].toSorted(), set);
  if (action === "connect") return { ...said, access: { holds: holding, database } };
  const place = { connection: request.resource, database };
  const ofCommands = [...set.policies].filter(([, { kind, terms, syntax }]) => {
    const { breakGlassSeconds, windowSeconds } = terms.hold ?? {};
    if (kind !== "holds" || breakGlassSeconds === undefined || windowSeconds !== undefined) return false;
    return appliesTo(syntax, { principal, connection, place }) !== false;
  });
  const ids = ofCommands.map(([id]) => id).toSorted();
  const holds = [...holding.filter((hold) => hold.breakGlassSeconds !== undefined), ...holdsOf(ids, set)];
  return { ...said, access: { holds, database } };
}

/** `connect` is about a connection; `approve` and `audit` may be; the others are about the gateway. */
function resourceOf(action: PolicyAction, name: string, published: Published): EntityJson | undefined {
  if (action === "connect" || action === "break-glass") return published.configured.connection(name);
  if (name === "" || action === "configure" || action === "revoke") return GATEWAY;
  return published.configured.connection(name);
}

function reveal(
  request: AuthorizeRequest,
  principal: EntityJson,
  published: Published,
  set: LoadedSet,
  { nowMs, timeZone }: AuthorizeParts,
): AuthorizeResponse {
  const places = placesOf(request.connection, published, set);
  /** The first refusal; when there is none, the last permission. */
  const may = (name: string): Reveal => {
    const at = (connection: EntityJson | undefined) =>
      mayReveal(name, published, { principal, connection, nowMs, timeZone });
    let found = at(places[0]);
    for (const place of places.slice(1)) if (found.allowed) found = at(place);
    return found;
  };
  if (request.resource !== "") {
    const { findings } = may(request.resource);
    return answer(
      findings,
      set,
      `No policy permits ${request.principal?.id ?? ""} to see ${request.resource} in clear.`,
    );
  }
  const revealedClasses = published.configured.classes.filter((name) => may(name).allowed);
  return AuthorizeResponse.fromPartial({ allowed: revealedClasses.length > 0, revealedClasses });
}

/**
 * Where `reveal` must hold. Who names no connection is about to see data of any, and of none: a policy that forbids it on
 * one of them must not be passed by not naming it. A connection that is not configured any more has lost the labels that
 * policies go by, so the strictest holds for its data too.
 */
function placesOf(name: string, { configured }: Published, set: LoadedSet): (EntityJson | undefined)[] {
  const named = configured.connection(name);
  if (named !== undefined) return [named];
  const asked = mentions(set.references("reveal").context, "connection");
  return asked ? [undefined, ...[...configured.connections].map((one) => configured.connection(one))] : [undefined];
}

function answer(findings: Findings, set: LoadedSet, otherwise: string): AuthorizeResponse {
  if (findings.errors.size > 0) return refused(evaluationFailed(findings.errors));
  if (findings.forbids.size > 0) {
    const determining = [...findings.forbids].toSorted();
    return AuthorizeResponse.fromPartial({ allowed: false, message: forbidden(determining, set), determining });
  }
  if (findings.notPermitted.length > 0) return refused(otherwise);
  return AuthorizeResponse.fromPartial({ allowed: true, determining: [...findings.permits].toSorted() });
}
