/**
 * Asks Cedar about each (action, object) that a command touches, and takes the strictest answer: block > hold > allow.
 * Base must allow everything before a hold counts.
 */

import type { LoadedSet, PolicyAction } from "../cedar/compile.ts";
import type { CedarRequest, CedarValueJson, EntityId, EntityJson } from "../cedar/engine.ts";
import { objectEntity, objectPath } from "../cedar/entities.ts";
import type { ConfiguredEntities, Place } from "../cedar/entities.ts";
import { RELATION_PARTS } from "../cedar/lens.ts";
import type { Lens } from "../cedar/lens.ts";
import type { Target, Touch } from "./touched.ts";

/** One question to Cedar. */
export interface Question {
  action: PolicyAction;
  resource: EntityJson;
  /** does something speak against it? Nothing needs to allow it. */
  only?: "forbids";
  /** how a person would name the object */
  called: string;
}

export interface Findings {
  permits: Set<string>;
  /** plain forbids that matched */
  forbids: Set<string>;
  /** `action` on what nothing permits it */
  notPermitted: { action: PolicyAction; called: string }[];
  holds: Set<string>;
  /** limits of rows that concern the command */
  limits: Set<string>;
  shadow: Set<string>;
  /** policies that failed to evaluate */
  errors: Set<string>;
}

export const noFindings = (): Findings => ({
  permits: new Set(),
  forbids: new Set(),
  notPermitted: [],
  holds: new Set(),
  limits: new Set(),
  shadow: new Set(),
  errors: new Set(),
});

export interface Asking {
  set: LoadedSet;
  principal: EntityJson;
  context: Record<string, CedarValueJson>;
  /** an entity that the context refers to */
  connection?: EntityJson | undefined;
}

export function ask(question: Question, asking: Asking, findings: Findings): void {
  const { set, context, connection } = asking;
  const { action } = question;
  const lens = set.lens(action);
  const principal = lens.see(asking.principal);
  const resource = lens.see(question.resource);
  const key = JSON.stringify([principal, resource, context, connection?.uid]);
  const request = (): CedarRequest => ({
    principal: principal.uid as EntityId,
    action,
    resource: resource.uid as EntityId,
    context,
    entities: connection === undefined ? [principal, resource] : [principal, resource, connection],
  });
  const base = set.evaluate("base", action, key, request);
  for (const id of base?.errors ?? []) findings.errors.add(id);
  if (base?.allowed === true) for (const id of base.reasons) findings.permits.add(id);
  else if (base !== undefined && base.reasons.length > 0) for (const id of base.reasons) findings.forbids.add(id);
  else if (question.only === undefined) findings.notPermitted.push({ action, called: question.called });

  // Sets of forbids never allow: what matched is in the reasons.
  const holds = set.evaluate("holds", action, key, request);
  for (const id of holds?.errors ?? []) findings.errors.add(id);
  for (const id of holds?.reasons ?? []) findings.holds.add(id);
  const limits = set.evaluate("limits", action, key, request);
  for (const id of limits?.errors ?? []) findings.errors.add(id);
  for (const id of limits?.reasons ?? []) findings.limits.add(id);
  for (const id of set.evaluate("shadow", action, key, request)?.reasons ?? []) findings.shadow.add(id);
}

/** Questions about everything touched, each object once an action. */
export function questionsFor(
  touches: readonly Touch[],
  place: Place,
  set: LoadedSet,
  configured: ConfiguredEntities,
): Question[] {
  const questions = new Map<string, Question>();
  for (const { action, target } of touches) {
    const lens = set.lens(action);
    const called = calledBy(target);
    const add = (resource: EntityJson, only?: "forbids"): void => {
      const { kind } = resource.attrs;
      const key = `${action} ${only ?? ""} ${JSON.stringify(kind)} ${resource.parents.length} ${(resource.uid as EntityId).id}`;
      if (!questions.has(key))
        questions.set(key, only === undefined ? { action, resource, called } : { action, resource, called, only });
    };
    add(objectEntity(place, target, configured, target.classes));
    if (target.unknown) {
      // It may be any relation: nothing may speak against any class of data, nor against any object that is named.
      add(objectEntity(place, target, configured, configured.classes), "forbids");
      for (const resource of namedObjects(lens, place, configured)) add(resource, "forbids");
    }
    if (!lens.seesColumns) continue;
    for (const column of target.columns) {
      // A column is in the relation's classes: which of them are its own is not told apart here.
      if (column !== "*") add(objectEntity(place, target, configured, target.classes, column), "forbids");
    }
    if (target.columns.includes("*")) {
      for (const resource of namedColumns(lens, place, target, configured)) add(resource, "forbids");
    }
  }
  return [...questions.values()];
}

/** Objects that policies name in this database: an unknown relation may be any of them. */
function namedObjects(lens: Lens, place: Place, configured: ConfiguredEntities): EntityJson[] {
  const prefix = `${objectPath(place, { kind: "database", schema: "", name: "" })}/`;
  const found: EntityJson[] = [];
  for (const id of lens.objects) if (id.startsWith(prefix)) found.push(namedObject(id, place, configured));
  return found;
}

/** A named object as a policy would meet it: in everything above it. */
function namedObject(id: string, place: Place, configured: ConfiguredEntities): EntityJson {
  const words = id.split("/");
  const column = words.length > RELATION_PARTS;
  const plain = (word: string | undefined): string => (word ?? "").replaceAll("%2F", "/").replaceAll("%25", "%");
  const kind: Target["kind"] = words.length <= 3 ? "schema" : "relation";
  const target = {
    kind: kind,
    schema: plain(words[2]),
    name: plain(words[3]),
    relationKind: kind === "schema" ? "schema" : "table",
    columns: [],
    classes: [],
    carries: [],
    unknown: false,
  };
  return objectEntity(place, target, configured, [], column ? plain(words[4]) : undefined);
}

/** `*` takes in every column that a policy names. */
function namedColumns(lens: Lens, place: Place, target: Touch["target"], configured: ConfiguredEntities): EntityJson[] {
  const prefix = `${objectPath(place, target)}/`;
  const found: EntityJson[] = [];
  for (const id of lens.objects) if (id.startsWith(prefix)) found.push(namedObject(id, place, configured));
  return found;
}

function calledBy({ kind, schema, name }: Touch["target"]): string {
  if (kind === "database") return "the database";
  if (kind === "schema") return `schema ${schema}`;
  const qualified = schema === "" ? name : `${schema}.${name}`;
  return kind === "function" ? `function ${qualified}()` : qualified;
}
