/** Principals, connections, classes and touched objects as Cedar entities. Ancestors are listed flat: no walk needed. */

import type { Connection, DataClass } from "@sallyport/proto/catalog_model";
import type { Principal } from "@sallyport/proto/principal";
import { PrincipalKind, TokenKind } from "@sallyport/proto/principal";
import type { Target } from "../check/touched.ts";
import type { EntityId, EntityJson } from "./engine.ts";

const PRINCIPAL_TYPES: Readonly<Record<number, string>> = {
  [PrincipalKind.PRINCIPAL_KIND_USER]: "User",
  [PrincipalKind.PRINCIPAL_KIND_WORKLOAD]: "Workload",
  [PrincipalKind.PRINCIPAL_KIND_AGENT]: "Agent",
};
const TOKEN_KINDS: Readonly<Record<number, string>> = {
  [TokenKind.TOKEN_KIND_ACCESS]: "access",
  [TokenKind.TOKEN_KIND_PERSONAL]: "personal",
  [TokenKind.TOKEN_KIND_WORKLOAD]: "workload",
};

/** undefined: the principal is not one that can be decided about. */
export function principalEntity(principal: Principal | undefined): EntityJson | undefined {
  const type = PRINCIPAL_TYPES[principal?.kind ?? PrincipalKind.PRINCIPAL_KIND_UNSPECIFIED];
  if (principal === undefined || type === undefined) return undefined;
  const colon = principal.id.indexOf(":");
  const kind = principal.id.slice(0, colon);
  const name = principal.id.slice(colon + 1);
  // `user:NAME`: an id that says another kind than the field is nobody's.
  if (colon <= 0 || name === "" || kind !== type.toLowerCase()) return undefined;
  return {
    uid: { type, id: name },
    attrs: {
      name,
      issuer: principal.issuer,
      actors: principal.actors.map((actor) => actor.id),
      token_kind: TOKEN_KINDS[principal.tokenKind] ?? "",
      token_label: principal.tokenLabel,
      created_by: [...principal.createdBy],
    },
    parents: [...new Set(principal.groups)].map((id) => ({ type: "Group", id })),
  };
}

export const GATEWAY: EntityJson = { uid: { type: "Gateway", id: "sallyport" }, attrs: {}, parents: [] };

/** Classes and connections of a configuration, made once for it. */
export class ConfiguredEntities {
  readonly #connections = new Map<string, EntityJson>();
  readonly #classes = new Map<string, EntityJson>();

  constructor(connections: readonly Connection[], classes: readonly DataClass[]) {
    for (const { name, protocol, labels } of connections) {
      const parents = Object.entries(labels).map(([key, value]) => ({ type: "Label", id: `${key}=${value}` }));
      this.#connections.set(name, { uid: { type: "Connection", id: name }, attrs: { name, protocol }, parents });
    }
    const parentOf = new Map(classes.map((c) => [c.name, c.parent]));
    for (const { name } of classes)
      this.#classes.set(name, { uid: { type: "Class", id: name }, attrs: {}, parents: above(name, parentOf) });
  }

  connection(name: string): EntityJson | undefined {
    return this.#connections.get(name);
  }

  get connections(): ReadonlySet<string> {
    return new Set(this.#connections.keys());
  }

  /** Names of every configured class. */
  get classes(): readonly string[] {
    return [...this.#classes.keys()];
  }

  /** One that is not configured stands for itself: `statement-text`. */
  class(name: string): EntityJson {
    return this.#classes.get(name) ?? { uid: { type: "Class", id: name }, attrs: {}, parents: [] };
  }
}

/** A class's ancestors. A circle ends where it closes. */
function above(name: string, parentOf: ReadonlyMap<string, string>): EntityId[] {
  const seen = new Set<string>([name]);
  const found: EntityId[] = [];
  for (let at = parentOf.get(name); at !== undefined && at !== "" && !seen.has(at); at = parentOf.get(at)) {
    seen.add(at);
    found.push({ type: "Class", id: at });
  }
  return found;
}

/** `/` separates the parts of an object's id. */
const part = (text: string): string => text.replaceAll("%", "%25").replaceAll("/", "%2F");

export interface Place {
  connection: string;
  database: string;
}

export function objectPath(place: Place, target: Pick<Target, "kind" | "schema" | "name">, column?: string): string {
  const database = `${part(place.connection)}/${part(place.database)}`;
  if (target.kind === "database") return database;
  const schema = `${database}/${target.schema === "" ? "?" : part(target.schema)}`;
  if (target.kind === "schema") return schema;
  const named = `${schema}/${part(target.name)}`;
  if (target.kind === "function") return `${named}()`;
  return column === undefined ? named : `${named}/${part(column)}`;
}

/**
 * `classes`: the classes that the entity is in. `column`: the relation's column of that name, with its own id.
 */
export function objectEntity(
  place: Place,
  target: Target,
  configured: ConfiguredEntities,
  classes: readonly string[],
  column?: string,
): EntityJson {
  const parents: EntityId[] = [];
  const object = (id: string): void => void parents.push({ type: "Object", id });
  const kind = target.kind;
  if (column !== undefined) object(objectPath(place, target));
  if (kind === "relation" || kind === "function")
    object(objectPath(place, { kind: "schema", schema: target.schema, name: "" }));
  if (kind !== "database") object(objectPath(place, { kind: "database", schema: "", name: "" }));
  const connection = configured.connection(place.connection);
  if (connection !== undefined) parents.push(connection.uid as EntityId, ...(connection.parents as EntityId[]));
  const within = new Set<string>();
  for (const name of classes) {
    const entity = configured.class(name);
    for (const { id } of [entity.uid as EntityId, ...(entity.parents as EntityId[])]) within.add(id);
  }
  for (const id of within) parents.push({ type: "Class", id });
  return {
    uid: { type: "Object", id: objectPath(place, target, column) },
    attrs: {
      kind: column === undefined ? target.relationKind : "column",
      name: column ?? target.name,
      schema: target.schema,
      database: place.database,
      classified: classes.length > 0,
      carries: [...target.carries],
    },
    parents,
  };
}
