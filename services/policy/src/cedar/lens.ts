/**
 * What the policies for one action can tell apart. An entity seen through it keeps the attributes that some policy looks
 * at, the ancestors that some policy names, and its id if some policy names it: nothing else can change the answer. So the
 * engine gets less to read, and answers can be kept for all that looks the same.
 */

import type { EntityId, EntityJson } from "./engine.ts";
import type { References } from "./references.ts";

export class Lens {
  readonly #attributes: ReadonlySet<string>;
  readonly #named: ReadonlySet<string>;
  /** ids of objects that policies name */
  readonly objects: readonly string[];
  /** a policy may mean a single column */
  readonly seesColumns: boolean;

  constructor({ attributes, entities }: References) {
    this.#attributes = attributes;
    this.#named = new Set(entities.map(key));
    this.objects = [...new Set(entities.filter(({ type }) => type === "Object").map(({ id }) => id))];
    const names = attributes.has("kind") && attributes.has("name");
    this.seesColumns = names || this.objects.some((id) => id.split("/").length > RELATION_PARTS);
  }

  see(entity: EntityJson): EntityJson {
    const uid = entity.uid as EntityId;
    const attrs: EntityJson["attrs"] = {};
    for (const [name, value] of Object.entries(entity.attrs)) if (this.#attributes.has(name)) attrs[name] = value;
    return {
      uid: this.#named.has(key(uid)) ? uid : { type: uid.type, id: "" },
      attrs,
      parents: (entity.parents as EntityId[]).filter((parent) => this.#named.has(key(parent))),
    };
  }
}

/** `<connection>/<database>/<schema>/<relation>`; a fifth part is a column. */
export const RELATION_PARTS = 4;

const key = ({ type, id }: EntityId): string => `${type}::${id}`;
