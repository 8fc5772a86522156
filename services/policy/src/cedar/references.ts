/**
 * What a policy looks at, read off its syntax: so that only that is put into a request, a verdict is cached no longer and
 * no wider than it holds, and objects that no policy can tell apart are asked about once.
 */

import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";

export interface EntityReference {
  type: string;
  id: string;
}

export interface References {
  /** attribute paths of `context`: `session.age`, `command.verbs`; `*` for the whole of it */
  context: Set<string>;
  /** attributes that are looked at anywhere, of whatever entity */
  attributes: Set<string>;
  entities: EntityReference[];
}

/** Actions that the policy's scope names; undefined: all of them. */
export function actionsOf(policy: PolicyJson): string[] | undefined {
  const { action } = policy;
  if (action.op === "All") return undefined;
  if (action.op === "==") return "entity" in action ? [uid(action.entity).id] : [];
  const list = "entities" in action ? action.entities : [action.entity];
  return list.map((entity) => uid(entity).id);
}

type Uid = { type: string; id: string } | { __entity: { type: string; id: string } };
const uid = (entity: Uid): EntityReference => ("__entity" in entity ? entity["__entity"] : entity);

/** An entity as the syntax spells it; undefined: it is none. */
export function entityOf(value: unknown): EntityReference | undefined {
  const plain = isRecord(value) && isRecord(value["__entity"]) ? value["__entity"] : value;
  if (!isRecord(plain)) return undefined;
  const { type, id } = plain;
  return typeof type === "string" && typeof id === "string" ? { type, id } : undefined;
}

export function referencesOf(policy: PolicyJson): References {
  const references: References = { context: new Set(), attributes: new Set(), entities: [] };
  visit([policy.principal, policy.resource, policy.conditions], references);
  return references;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Iterative: conditions nest as deep as their author likes. */
function visit(root: unknown, out: References): void {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const node = pending.pop();
    if (Array.isArray(node)) {
      pending.push(...node);
      continue;
    }
    if (!isRecord(node)) continue;
    if (typeof node["type"] === "string" && typeof node["id"] === "string") {
      out.entities.push({ type: node["type"], id: node["id"] });
      continue;
    }
    if (node["Var"] === "context") {
      out.context.add("*");
      continue;
    }
    const access = node["."] ?? node["has"];
    if (isRecord(access)) {
      noteAttributes(access["attr"], out);
      const path = contextPath(access);
      if (path !== undefined) {
        out.context.add(path);
        continue;
      }
    }
    pending.push(...Object.values(node));
  }
}

function noteAttributes(attr: unknown, out: References): void {
  for (const name of Array.isArray(attr) ? attr : [attr]) if (typeof name === "string") out.attributes.add(name);
}

/** `context.a.b` and `context.a has b` → `a.b`; undefined: something else's attribute. */
function contextPath(access: Record<string, unknown>): string | undefined {
  const words: string[] = [];
  let at: unknown = access;
  for (;;) {
    if (!isRecord(at)) return undefined;
    const attr: unknown = at["attr"];
    for (const word of (Array.isArray(attr) ? attr : [attr]).toReversed()) {
      if (typeof word !== "string") return undefined;
      words.unshift(word);
    }
    const left: unknown = at["left"];
    if (!isRecord(left)) return undefined;
    if (left["Var"] === "context") return words.slice(0, 2).join(".");
    at = left["."];
  }
}

/** Does a set of paths take in `path`? A path above it, or one below it, does. */
export function mentions(paths: ReadonlySet<string>, path: string): boolean {
  if (paths.has("*") || paths.has(path)) return true;
  const top = path.split(".")[0] as string;
  if (paths.has(top)) return true;
  if (path !== top) return false;
  for (const mentioned of paths) if (mentioned.startsWith(`${top}.`)) return true;
  return false;
}
