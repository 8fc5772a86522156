/**
 * Asks Cedar about each (action, object) that a command touches, and takes the strictest answer: block > hold > allow.
 * Base must allow everything before a hold counts.
 */

import type { LoadedSet, PolicyAction, SetKind } from "../cedar/compile.ts";
import { evaluate } from "../cedar/engine.ts";
import type { CedarRequest, CedarValueJson, EntityId, EntityJson } from "../cedar/engine.ts";
import { objectEntity, objectPath } from "../cedar/entities.ts";
import type { ConfiguredEntities, Place } from "../cedar/entities.ts";
import type { References } from "../cedar/references.ts";
import type { Touch } from "./touched.ts";

/** One question to Cedar. `only`: `forbids` asks whether something speaks against it, not whether something allows it. */
export interface Question {
  action: PolicyAction;
  resource: EntityJson;
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
  shadow: Set<string>;
  /** policies that failed to evaluate */
  errors: Set<string>;
}

export const noFindings = (): Findings => ({
  permits: new Set(),
  forbids: new Set(),
  notPermitted: [],
  holds: new Set(),
  shadow: new Set(),
  errors: new Set(),
});

export interface Asking {
  set: LoadedSet;
  principal: EntityJson;
  context: Record<string, CedarValueJson>;
  /** entities that the context refers to */
  entities?: EntityJson[];
}

export function ask(question: Question, asking: Asking, findings: Findings): void {
  const request: CedarRequest = {
    principal: asking.principal.uid as EntityId,
    action: question.action,
    resource: question.resource.uid as EntityId,
    context: asking.context,
    entities: [asking.principal, question.resource, ...(asking.entities ?? [])],
  };
  const run = (kind: SetKind) => {
    const name = asking.set.name(kind, question.action);
    return name === undefined ? undefined : evaluate(name, request);
  };
  const base = run("base");
  for (const id of base?.errors ?? []) findings.errors.add(id);
  if (base?.allowed === true) for (const id of base.reasons) findings.permits.add(id);
  else if (base !== undefined && base.reasons.length > 0) for (const id of base.reasons) findings.forbids.add(id);
  else if (question.only === undefined)
    findings.notPermitted.push({ action: question.action, called: question.called });

  // Sets of forbids never allow: what matched is in the reasons.
  const holds = run("holds");
  for (const id of holds?.errors ?? []) findings.errors.add(id);
  for (const id of holds?.reasons ?? []) findings.holds.add(id);
  for (const id of run("shadow")?.reasons ?? []) findings.shadow.add(id);
}

/** Questions about everything touched; objects that no policy can tell apart are asked about once. */
export function questionsFor(
  touches: readonly Touch[],
  place: Place,
  set: LoadedSet,
  configured: ConfiguredEntities,
): Question[] {
  const questions = new Map<string, Question>();
  for (const { action, target } of touches) {
    const references = set.references(action);
    const distinct = distinctions(references);
    const add = (resource: EntityJson, called: string, only?: "forbids"): void => {
      const key = `${action} ${only ?? ""} ${signature(resource, distinct)}`;
      const question: Question = { action, resource, called };
      if (only !== undefined) question.only = only;
      if (!questions.has(key)) questions.set(key, question);
    };
    const called = calledBy(target);
    add(objectEntity(place, target, configured, target.classes), called);
    if (target.unknown) {
      // It may be any relation: nothing may speak against any class of data, nor against any object that is named.
      add(objectEntity(place, target, configured, configured.classes), called, "forbids");
      for (const resource of namedObjects(references, place, configured)) add(resource, called, "forbids");
    }
    if (distinct.columns) {
      for (const column of target.columns) {
        // A column is in the relation's classes: which of them are its own is not told apart here.
        if (column !== "*")
          add(objectEntity(place, target, configured, target.classes, column), `${called}.${column}`, "forbids");
      }
      if (target.columns.includes("*")) {
        for (const resource of namedColumns(references, place, target, configured)) add(resource, called, "forbids");
      }
    }
  }
  return [...questions.values()];
}

interface Distinctions {
  /** ids of objects that policies name */
  named: ReadonlySet<string>;
  /** policies look at `resource.name` */
  byName: boolean;
  /** a policy may mean a single column */
  columns: boolean;
}

const COLUMN_DEPTH = 4;

const known = new WeakMap<References, Distinctions>();

function distinctions(references: References): Distinctions {
  const before = known.get(references);
  if (before !== undefined) return before;
  const found = findDistinctions(references);
  known.set(references, found);
  return found;
}

function findDistinctions(references: References): Distinctions {
  const named = new Set<string>();
  let columns = references.attributes.has("kind") && references.attributes.has("name");
  for (const { type, id } of references.entities) {
    if (type !== "Object") continue;
    named.add(id);
    if (id.split("/").length > COLUMN_DEPTH) columns = true;
  }
  return { named, byName: references.attributes.has("name"), columns };
}

/** Equal for objects that every policy must treat alike: the same parents, the same attributes, not named itself. */
function signature(resource: EntityJson, { named, byName }: Distinctions): string {
  const { id } = resource.uid as EntityId;
  const attrs = byName || named.has(id) ? resource.attrs : { ...resource.attrs, name: "" };
  const parents = (resource.parents as EntityId[]).map((parent) => `${parent.type}::${parent.id}`).toSorted();
  return JSON.stringify([named.has(id) ? id : "", attrs, parents]);
}

/** Objects that policies name in this database: an unknown relation may be any of them. */
function namedObjects(references: References, place: Place, configured: ConfiguredEntities): EntityJson[] {
  const prefix = `${objectPath(place, { kind: "database", schema: "", name: "" })}/`;
  const found: EntityJson[] = [];
  for (const { type, id } of references.entities) {
    if (type !== "Object" || !id.startsWith(prefix)) continue;
    found.push(namedObject(id, place, configured));
  }
  return found;
}

/** A named object as a policy would meet it: in everything above it. */
function namedObject(id: string, place: Place, configured: ConfiguredEntities): EntityJson {
  const words = id.split("/");
  const column = words.length > COLUMN_DEPTH;
  const plain = (word: string | undefined): string => (word ?? "").replaceAll("%2F", "/").replaceAll("%25", "%");
  const kind = words.length <= 3 ? "schema" : "relation";
  const target = {
    kind: kind as "schema" | "relation",
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
function namedColumns(
  references: References,
  place: Place,
  target: Touch["target"],
  configured: ConfiguredEntities,
): EntityJson[] {
  const prefix = `${objectPath(place, target)}/`;
  const found: EntityJson[] = [];
  for (const { type, id } of references.entities) {
    if (type === "Object" && id.startsWith(prefix)) found.push(namedObject(id, place, configured));
  }
  return found;
}

function calledBy({ kind, schema, name }: Touch["target"]): string {
  if (kind === "database") return "the database";
  if (kind === "schema") return `schema ${schema}`;
  const qualified = schema === "" ? name : `${schema}.${name}`;
  return kind === "function" ? `function ${qualified}()` : qualified;
}
