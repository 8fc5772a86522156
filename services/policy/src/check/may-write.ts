/**
 * Could the policies permit a principal anything that changes a connection's data, schema or server, whatever the command?
 * Whom they could not is logged in to the target with its `read_role`: a second wall, should the first ever err.
 *
 * The policies' syntax is folded with what is known before there is a command: who asks, and on which connection and
 * database. All else (context, attributes, classes) is unknown, and an unknown permit counts as one. So `false` is said only
 * of those whom no command could get past the base set. A hold forbids nothing here, for people can lift it.
 *
 * Not Cedar's own partial evaluation: it parses the set anew for each question, which is too slow for a login.
 */

import type { CompiledPolicy, LoadedSet, PolicyAction } from "../cedar/compile.ts";
import type { EntityId, EntityJson, PolicyJson } from "../cedar/engine.ts";
import { entityOf } from "../cedar/references.ts";
import type { EntityReference } from "../cedar/references.ts";
import type { Place } from "../cedar/entities.ts";
import { objectPath } from "../cedar/entities.ts";
import type { Published } from "../state.ts";

const WRITING: readonly PolicyAction[] = ["write", "define", "administer", "opaque"];
const MAX_KEPT = 10_000;
/** Conditions nest as deep as their author likes; what is deeper counts as unknown. */
const MAX_DEPTH = 200;

export interface Writer {
  principal: EntityJson;
  connection: EntityJson;
  place: Place;
}

/** Kept by principal, connection and database until the configuration changes. */
export class Writers {
  readonly #kept = new Map<string, boolean>();
  #generation = -1;

  may({ generation, set }: Published, writer: Writer): boolean {
    if (generation !== this.#generation) this.#kept.clear();
    this.#generation = generation;
    if (set === undefined) return false;
    const key = JSON.stringify([writer.principal.uid, writer.principal.parents, writer.place]);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const found = mayWrite(set, writer);
    if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
    this.#kept.set(key, found);
    return found;
  }
}

export function mayWrite(set: Pick<LoadedSet, "policies">, writer: Writer): boolean {
  const base = [...set.policies.values()].filter(({ kind }) => kind === "base");
  return WRITING.some((action) => {
    const about = base.filter(({ actions }) => actions?.includes(action) ?? true);
    const applies = (policy: CompiledPolicy): Truth => appliesTo(policy.syntax, writer);
    const permitted = about.some((policy) => policy.effect === "permit" && applies(policy) !== false);
    return permitted && !about.some((policy) => policy.effect === "forbid" && applies(policy) === true);
  });
}

/** undefined: it depends on what is not known yet */
type Truth = boolean | undefined;

const and = (...all: Truth[]): Truth => (all.includes(false) ? false : all.includes(undefined) ? undefined : true);
const or = (...all: Truth[]): Truth => (all.includes(true) ? true : all.includes(undefined) ? undefined : false);
const not = (truth: Truth): Truth => (truth === undefined ? undefined : !truth);

/** Whether a policy about commands applies to whoever asks there, as far as is known without the command. */
export function appliesTo(policy: PolicyJson, writer: Writer): Truth {
  const conditions = policy.conditions.map(({ kind, body }) => {
    const truth = fold(body, writer, 0);
    return kind === "when" ? truth : not(truth);
  });
  return and(scoped("principal", policy.principal, writer), scoped("resource", policy.resource, writer), ...conditions);
}

function scoped(variable: Variable, scope: unknown, writer: Writer): Truth {
  const { op, entity, entity_type: type, in: within } = record(scope);
  switch (op) {
    case "All":
      return true;
    case "==":
      return is(variable, entityOf(entity), writer);
    case "in":
      return isIn(variable, entityOf(entity), writer);
    case "is": {
      const parent = within === undefined ? true : isIn(variable, entityOf(record(within)["entity"]), writer);
      return and(isA(variable, type, writer), parent);
    }
    default:
      return undefined;
  }
}

function fold(node: unknown, writer: Writer, depth: number): Truth {
  if (depth > MAX_DEPTH) return undefined;
  const below = (inner: unknown): Truth => fold(inner, writer, depth + 1);
  const [[operator, operand] = ["", undefined]] = Object.entries(record(node));
  const { left, right, arg, ...more } = record(operand);
  switch (operator) {
    case "Value":
      return typeof operand === "boolean" ? operand : undefined;
    case "&&":
      return and(below(left), below(right));
    case "||":
      return or(below(left), below(right));
    case "!":
      return not(below(arg));
    case "if-then-else": {
      const condition = below(more["if"]);
      if (condition === undefined) return undefined;
      return below(condition ? more["then"] : more["else"]);
    }
    case "==":
      return compared(left, right, writer);
    case "!=":
      return not(compared(left, right, writer));
    case "in": {
      const variable = variableOf(left);
      if (variable === undefined) return undefined;
      const list = record(right)["Set"];
      const among: unknown[] = Array.isArray(list) ? list : [right];
      return or(...among.map((entity) => isIn(variable, entityOf(record(entity)["Value"]), writer)));
    }
    case "is": {
      const variable = variableOf(left);
      if (variable === undefined) return undefined;
      const parent = more["in"] === undefined ? true : isIn(variable, entityOf(record(more["in"])["Value"]), writer);
      return and(isA(variable, more["entity_type"], writer), parent);
    }
    default:
      return undefined;
  }
}

type Variable = "principal" | "resource";

function variableOf(node: unknown): Variable | undefined {
  const name = record(node)["Var"];
  return name === "principal" || name === "resource" ? name : undefined;
}

function compared(left: unknown, right: unknown, writer: Writer): Truth {
  const [one, other] = variableOf(left) === undefined ? [right, left] : [left, right];
  const variable = variableOf(one);
  return variable === undefined ? undefined : is(variable, entityOf(record(other)["Value"]), writer);
}

function isA(variable: Variable, type: unknown, { principal }: Writer): Truth {
  return type === (variable === "resource" ? "Object" : (principal.uid as EntityId).type);
}

function is(variable: Variable, entity: EntityReference | undefined, writer: Writer): Truth {
  if (entity === undefined) return undefined;
  if (variable === "principal") return same(writer.principal.uid as EntityId, entity);
  // Which object it will be is not known, only where it is.
  return isIn(variable, entity, writer) === false || entity.type !== "Object" ? false : undefined;
}

function isIn(variable: Variable, entity: EntityReference | undefined, writer: Writer): Truth {
  if (entity === undefined) return undefined;
  if (variable === "principal") {
    const { uid, parents } = writer.principal;
    return [uid as EntityId, ...(parents as EntityId[])].some((own) => same(own, entity));
  }
  switch (entity.type) {
    case "Connection":
    case "Label": {
      const { uid, parents } = writer.connection;
      return [uid as EntityId, ...(parents as EntityId[])].some((own) => same(own, entity));
    }
    case "Object": {
      const database = objectPath(writer.place, { kind: "database", schema: "", name: "" });
      if (entity.id === database) return true;
      return entity.id.startsWith(`${database}/`) ? undefined : false;
    }
    case "Class":
      return undefined;
    default:
      return false;
  }
}

const same = (one: EntityReference, other: EntityReference): boolean => one.type === other.type && one.id === other.id;

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
