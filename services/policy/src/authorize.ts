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
import { evaluationFailed, forbidden } from "./check/wording.ts";
import type { Published } from "./state.ts";

export interface AuthorizeParts {
  published: Published | undefined;
  nowMs: number;
  timeZone: string;
}

const POWERS: ReadonlySet<string> = new Set(["connect", "reveal", "approve", "audit", "configure", "revoke"]);

const refused = (message: string): AuthorizeResponse => AuthorizeResponse.fromPartial({ allowed: false, message });

export function authorize(request: AuthorizeRequest, parts: AuthorizeParts): AuthorizeResponse {
  const { published } = parts;
  if (published?.set === undefined) return refused("No policies are in force.");
  const principal = principalEntity(request.principal);
  if (principal === undefined) return refused("The principal is not known.");
  const action = ACTIONS.find((known) => known === request.action);
  if (action === undefined || !POWERS.has(action)) return refused(`There is no power called ${request.action}.`);
  if (action === "reveal") return reveal(request, principal, published, published.set, parts);
  const resource = resourceOf(action, request.resource, published);
  if (resource === undefined) return refused(`There is no connection ${request.resource}, or you may not use it.`);

  const { set } = published;
  const context = buildContext(set.references(action).context, parts).context;
  const findings = noFindings();
  ask({ action, resource, called: request.resource }, { set, principal, context }, findings);
  const where = request.resource === "" ? "" : ` on ${request.resource}`;
  return answer(findings, set, `No policy permits ${request.principal?.id ?? ""} to ${action}${where}.`);
}

/** `connect` is about a connection; `approve` and `audit` may be; the others are about the gateway. */
function resourceOf(action: PolicyAction, name: string, published: Published): EntityJson | undefined {
  if (action === "connect") return published.configured.connection(name);
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
