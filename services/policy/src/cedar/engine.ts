/** Cedar itself, and the version that verdicts name. Nothing else imports the package. */

import { readFileSync } from "node:fs";
import {
  getCedarVersion,
  policyToJson,
  preparsePolicySet,
  statefulIsAuthorized,
  validate,
} from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarValueJson, DetailedError, EntityJson, PolicyJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";

export type { CedarValueJson, EntityJson, PolicyJson };
export type EntityId = TypeAndId;

export const ENGINE = `cedar-wasm ${getCedarVersion()}`;
export const SCHEMA = readFileSync(new URL("./sallyport.cedarschema", import.meta.url), "utf8");

export interface EngineProblem {
  message: string;
  /** byte offset in the policy's own text */
  at: number;
}

function problems(errors: readonly DetailedError[]): EngineProblem[] {
  return errors.map((error) => {
    const location = error.sourceLocations?.[0];
    const label = location?.label == null ? "" : ` (${location.label})`;
    const help = error.help == null ? "" : `: ${error.help}`;
    return { message: `${error.message}${label}${help}`, at: location?.start ?? 0 };
  });
}

export type ParsedPolicy = { kind: "parsed"; policy: PolicyJson } | { kind: "failed"; problems: EngineProblem[] };

export function parsePolicy(text: string): ParsedPolicy {
  const answer = policyToJson(text);
  if (answer.type === "success") return { kind: "parsed", policy: answer.json };
  return { kind: "failed", problems: problems(answer.errors) };
}

/** Type errors and impossible policies. `policies`: id → text. */
export function checkTypes(policies: Readonly<Record<string, string>>): { id: string; problem: EngineProblem }[] {
  const answer = validate({ schema: SCHEMA, policies: { staticPolicies: policies } });
  if (answer.type === "failure") return problems(answer.errors).map((problem) => ({ id: "", problem }));
  // A warning is a policy that can never apply, or characters that look like others: nobody means either.
  const found = [...answer.validationErrors, ...answer.validationWarnings];
  return found.flatMap(({ policyId, error }) => problems([error]).map((problem) => ({ id: policyId, problem })));
}

/** Keeps a set under a name, for `evaluate`; a set of the same name is replaced. Throws on what `parsePolicy` would refuse. */
export function keepSet(name: string, policies: Readonly<Record<string, string>>): void {
  const kept = preparsePolicySet(name, { staticPolicies: policies });
  if (kept.type === "failure")
    throw new Error(`policy set does not load: ${kept.errors[0]?.message ?? "unknown error"}`);
}

export interface CedarRequest {
  principal: EntityId;
  action: string;
  resource: EntityId;
  context: Record<string, CedarValueJson>;
  entities: EntityJson[];
}

export interface Evaluation {
  allowed: boolean;
  /** ids of the policies that decided */
  reasons: string[];
  /** ids of policies that could not be evaluated; "" for the request itself */
  errors: string[];
}

/** Never throws: what goes wrong is an error of the evaluation, and so a refusal. */
export function evaluate(set: string, request: CedarRequest): Evaluation {
  try {
    const answer = statefulIsAuthorized({
      principal: request.principal,
      action: { type: "Action", id: request.action },
      resource: request.resource,
      context: request.context,
      preparsedPolicySetId: set,
      entities: request.entities,
    });
    if (answer.type === "failure") return { allowed: false, reasons: [], errors: [""] };
    const { decision, diagnostics } = answer.response;
    return {
      allowed: decision === "allow",
      reasons: diagnostics.reason.toSorted(),
      errors: diagnostics.errors.map((error) => error.policyId).toSorted(),
    };
  } catch {
    return { allowed: false, reasons: [], errors: [""] };
  }
}
