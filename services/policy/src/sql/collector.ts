/** Gathers an outline while the tree is walked; says everything once. */

import type { Json } from "./parser.ts";
import type { Action, BareAction, FunctionUse, NameUse, NamedUse, Outline, RelationRef } from "./outline.ts";
import type { SettingEffect } from "./settings.ts";
import { isTemporarySchema } from "./catalogs.ts";
import { isObject, scalar, text } from "./tree.ts";

/** Bounds on one text. Beyond them it is refused, as a text that cannot be understood. */
export const LIMITS = {
  nodes: 2_000_000,
  depth: 5_000,
  relations: 2_000,
  columns: 20_000,
  names: 20_000,
  statements: 10_000,
};

export class BeyondLimits extends Error {}

/** Where in the text the walk is. */
export interface Place {
  statement: number;
  /** plan: the statement is named, but not run (EXPLAIN without ANALYZE, PREPARE) */
  mode: "run" | "plan";
  /** what is read leaves through COPY */
  transfer: boolean;
  /** rows that are read are locked, too (FOR UPDATE and its like) */
  locks: boolean;
  /** of the parent, by which the node was reached */
  field: string;
}

type Drafted = Pick<
  Outline,
  | "relations"
  | "columns"
  | "derived"
  | "functions"
  | "types"
  | "operators"
  | "bare"
  | "named"
  | "uses"
  | "hasWhere"
  | "opaque"
  | "defines"
  | "sessionEffect"
  | "movesSearchPath"
  | "definesFrom"
  | "transferColumns"
  | "unsafeSetting"
>;

export class Collector {
  readonly draft: Drafted = {
    relations: [],
    columns: [],
    derived: [],
    functions: [],
    types: [],
    operators: [],
    bare: [],
    named: [],
    uses: [],
    hasWhere: true,
    opaque: false,
    defines: false,
    sessionEffect: false,
    movesSearchPath: false,
  };
  readonly verbs = new Set<string>();
  /** set by the walk: what is only planned leaves no verb */
  planning = false;
  readonly settings = new Set<string>();
  /** locations of constants that are compared in WHERE */
  readonly compared: number[] = [];
  readonly #seen = new Set<string>();

  verb(name: string): void {
    if (!this.planning) this.verbs.add(name);
  }

  opaque(place: Place): void {
    // Naming something opaque without running it (EXPLAIN) still cannot be understood.
    this.draft.opaque = true;
    this.bare("opaque", place);
    this.draft.sessionEffect = true;
  }

  bare(action: Action, place: Place, schema?: string): void {
    const planned: Action = place.mode === "plan" && action === "write" ? "read" : action;
    const entry: BareAction = schema === undefined ? { action: planned } : { action: planned, schema };
    if (this.#once(`b:${planned}:${schema ?? ""}`)) this.draft.bare.push(entry);
    if (action === "define" && place.mode === "run") this.changesSchema(place);
  }

  /** A relation node (RangeVar). Returns the entry, so that the caller may add columns to it. */
  relation(rangeVar: Json | undefined, actions: Action[], place: Place): RelationRef | undefined {
    if (!isObject(rangeVar)) return undefined;
    const name = text(rangeVar["relname"]);
    if (name === undefined) return undefined;
    const ref = this.relationNamed(
      { name, schema: text(rangeVar["schemaname"]), catalog: text(rangeVar["catalogname"]) },
      actions,
      place,
    );
    const alias = isObject(rangeVar["alias"]) ? rangeVar["alias"] : undefined;
    const aliasName = alias === undefined ? undefined : text(alias["aliasname"]);
    // With an alias, the relation's own name means nothing to the statement; but nothing is lost by knowing both.
    if (aliasName !== undefined) ref.names.push(aliasName);
    // Renamed columns: which is which is not followed.
    if (alias !== undefined && Array.isArray(alias["colnames"])) ref.columns.push("*");
    if (rangeVar["relpersistence"] === "t") ref.temporary = true;
    if (ref.schema !== undefined && isTemporarySchema(ref.schema)) ref.temporary = true;
    return ref;
  }

  relationNamed(
    named: { name: string; schema?: string | undefined; catalog?: string | undefined },
    actions: Action[],
    place: Place,
  ): RelationRef {
    if (this.draft.relations.length >= LIMITS.relations) throw new BeyondLimits("it names too many relations");
    const effective = new Set<Action>();
    for (const action of actions) effective.add(place.mode === "plan" && action === "write" ? "read" : action);
    if (place.transfer && effective.has("read")) effective.add("transfer");
    // The view's rules set what it is told to, behind every look at settings.
    const ofServer = named.schema === undefined || named.schema === "pg_catalog";
    if (named.name === "pg_settings" && ofServer && effective.has("write")) {
      this.draft.unsafeSetting = "settings are changed with SET, not through pg_settings";
    }
    if (effective.has("define") && place.mode === "run") this.changesSchema(place);
    const ref: RelationRef = {
      statement: place.statement,
      name: named.name,
      actions: [...effective],
      names: [named.name],
      columns: [],
    };
    if (named.schema !== undefined) ref.schema = named.schema;
    if (named.catalog !== undefined) ref.catalog = named.catalog;
    this.draft.relations.push(ref);
    return ref;
  }

  column(place: Place, column: string, qualifier?: string): void {
    if (!this.#once(`c:${place.statement}:${qualifier ?? ""}\u0000${column}`)) return;
    if (this.draft.columns.length >= LIMITS.columns) throw new BeyondLimits("it names too many columns");
    this.draft.columns.push(
      qualifier === undefined
        ? { statement: place.statement, column }
        : { statement: place.statement, qualifier, column },
    );
  }

  derived(place: Place, name: string | undefined): void {
    if (name === undefined || !this.#once(`d:${place.statement}:${name}`)) return;
    this.draft.derived.push({ statement: place.statement, name });
  }

  function(use: FunctionUse): void {
    if (!this.#once(`f:${use.how}:${use.schema ?? ""}\u0000${use.name}`)) return;
    if (this.draft.functions.length >= LIMITS.names) throw new BeyondLimits("it names too many functions");
    this.draft.functions.push(use);
  }

  type(use: NameUse): void {
    if (this.#once(`t:${use.schema ?? ""}\u0000${use.name}`)) this.draft.types.push(use);
  }

  operator(use: NameUse): void {
    if (this.#once(`o:${use.schema ?? ""}\u0000${use.name}`)) this.draft.operators.push(use);
  }

  use(kind: NamedUse["kind"], name: string, place: Place): void {
    this.draft.uses.push({ kind, name, mode: place.mode, transfer: place.transfer, statement: place.statement });
  }

  named(kind: "prepared" | "cursor", name: string, inner: string, place: Place): void {
    this.draft.named.push({ kind, name, text: inner, statement: place.statement });
  }

  setting(name: string, effect: SettingEffect, place: Place): void {
    this.settings.add(name);
    this.draft.sessionEffect = true;
    if (effect.movesSearchPath) this.draft.movesSearchPath = true;
    if (effect.unsafe !== undefined) this.draft.unsafeSetting = effect.unsafe;
    if (effect.administer) this.bare("administer", place);
  }

  changesSchema(place: Place): void {
    this.draft.defines = true;
    this.draft.definesFrom ??= place.statement;
  }

  /** An UPDATE, DELETE or its like that nothing restricts. */
  everyRow(place: Place): void {
    if (place.mode === "run") this.draft.hasWhere = false;
  }

  #once(key: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }
}

/** A node's list of column names: ResTargets (INSERT, UPDATE) or Strings (COPY). */
export function targetColumns(list: Json | undefined): string[] {
  if (!Array.isArray(list)) return [];
  const names: string[] = [];
  for (const item of list) {
    if (!isObject(item)) continue;
    const target = item["ResTarget"];
    const plain = item["String"];
    const name = isObject(target) ? text(target["name"]) : isObject(plain) ? text(plain["sval"]) : undefined;
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** Value of an option `( name value )` in a list of DefElems, as text; "true" where it stands alone. */
export function option(list: Json | undefined, name: string): string | undefined {
  if (!Array.isArray(list)) return undefined;
  let found: string | undefined;
  for (const item of list) {
    const element = isObject(item) && isObject(item["DefElem"]) ? item["DefElem"] : undefined;
    if (element === undefined || text(element["defname"])?.toLowerCase() !== name) continue;
    found = optionValue(element["arg"]);
  }
  return found;
}

function optionValue(arg: Json | undefined): string {
  if (!isObject(arg)) return "true";
  const inner = arg["String"] ?? arg["Integer"] ?? arg["Boolean"] ?? arg["Float"];
  if (!isObject(inner)) return "true";
  const value = inner["sval"] ?? inner["ival"] ?? inner["boolval"] ?? inner["fval"];
  // protobuf leaves out zero and false
  return value === undefined ? (arg["Integer"] !== undefined ? "0" : "false") : scalar(value).toLowerCase();
}
