/**
 * From a text's outline to the facts and the objects it touches, for one session. Pure: what it needs to know of other
 * texts (prepared statements, views) it asks `lookup` for, and names what is missing.
 */

import type { ColumnFlow, NamedStatement as NamedStatementMessage } from "@sallyport/proto/verdict";
import { Access, CommandFacts, ExecutedStatement, NamedStatement_Kind, RelationFact } from "@sallyport/proto/verdict";
import { ColumnUses } from "../schema/column-uses.ts";
import type { Lookup, SchemaIndex } from "../schema/schema-index.ts";
import { BUILTIN_FUNCTIONS, BUILTIN_TYPES, CATALOG_RELATIONS } from "../sql/builtin-names.ts";
import { isTemporarySchema } from "../sql/catalogs.ts";
import type { Action, FunctionUse, NamedUse, Outline, RelationRef } from "../sql/outline.ts";
import { isRefused } from "../sql/outline.ts";
import { lineageFacts } from "./lineage-facts.ts";
import type { LineageFacts } from "./lineage-facts.ts";
import type { Candidate, NameScope } from "./resolve-names.ts";
import { candidates } from "./resolve-names.ts";
import type { Target, Touch } from "./touched.ts";
import { databaseTarget, functionTarget, schemaTarget } from "./touched.ts";

export interface ResolveInput extends NameScope {
  /** prepared statements and cursors of the session */
  named: readonly NamedStatementMessage[];
  /** what is known of the session's temporary relations */
  temporary: readonly ColumnFlow[];
  /** classes that the principal may not see */
  hidden: readonly string[];
  /** results are followed even so */
  followAll?: boolean | undefined;
  lookup: Lookup;
}

export interface Resolved {
  kind: "resolved";
  facts: CommandFacts;
  touches: Touch[];
  /** settings that the command changes */
  settings: string[];
  /** EXECUTE and FETCH depend on statements that are not in the text */
  usesNamed: boolean;
}

export interface Missing {
  kind: "missing";
  texts: string[];
}

const MAX_NESTING = 8;
/** A statement of that many relations is decided in pieces; beyond, it is refused (check.ts). */
export const MAX_TARGETS = 2_000;

export function resolve(outline: Outline, input: ResolveInput): Resolved | Missing {
  const work = new Resolving(input);
  work.text(outline, { transfer: false, plan: false, pathUnknown: false, nesting: 0 });
  if (work.missing.size > 0) return { kind: "missing", texts: [...work.missing] };
  return work.done(outline);
}

interface Nested {
  transfer: boolean;
  plan: boolean;
  pathUnknown: boolean;
  nesting: number;
}

interface RelationEntry {
  candidate: Candidate;
  actions: Set<Action>;
  columns: Set<string>;
  /** something is put into it, or into its definition: its rows are not only locked */
  changed: boolean;
}

class Resolving {
  readonly missing = new Set<string>();
  readonly #input: ResolveInput;
  readonly #relations = new Map<string, RelationEntry>();
  readonly #bare = new Map<string, { action: Action; schema: string | undefined }>();
  readonly #userFunctions = new Map<string, { schema: string; name: string }>();
  readonly #functions = new Set<string>();
  readonly #verbs = new Set<string>();
  readonly #settings = new Set<string>();
  #opaque = false;
  #userCode = false;
  #hasWhere = true;
  #defines = false;
  #sessionEffect = false;
  #usesNamed = false;
  #lineage: LineageFacts | undefined;
  readonly #executes = new Map<string, ExecutedStatement>();

  constructor(input: ResolveInput) {
    this.#input = input;
  }

  text(outline: Outline, nested: Nested): void {
    const several = outline.statementCount > 1;
    // Whatever may move the search path in front of a name makes the path unknown for the whole text.
    const moved = several && (outline.movesSearchPath || outline.opaque || outline.sessionEffect);
    const scope = { ...this.#input, searchPath: moved || nested.pathUnknown ? undefined : this.#input.searchPath };
    if (nested.nesting === 0) this.#lineage = lineageFacts(outline, scope, this.missing);
    if (!nested.plan) for (const verb of outline.verbs) this.#verbs.add(verb);
    for (const name of outline.settings) this.#settings.add(name);
    this.#opaque ||= outline.opaque;
    this.#hasWhere &&= outline.hasWhere || nested.plan;
    this.#defines ||= outline.defines;
    this.#sessionEffect ||= outline.sessionEffect;
    const columns = new ColumnUses(outline);
    for (const ref of outline.relations) this.#relation(ref, outline, scope, columns, nested);
    for (const { action, schema } of outline.bare) {
      const actual = planned(action, nested);
      this.#bare.set(`${actual} ${schema ?? ""}`, { action: actual, schema });
      if (nested.transfer && actual === "read") this.#bare.set("transfer ", { action: "transfer", schema: undefined });
    }
    this.#code(outline, scope);
    for (const use of outline.uses) this.#use(use, outline, nested);
  }

  #relation(ref: RelationRef, outline: Outline, scope: NameScope, uses: ColumnUses, nested: Nested): void {
    for (const candidate of candidates(ref, outline, scope)) {
      const key = `${candidate.schema}\u0000${candidate.name}\u0000${candidate.kind}`;
      const entry = this.#relations.get(key) ?? {
        candidate,
        actions: new Set<Action>(),
        columns: new Set<string>(),
        changed: false,
      };
      if (ref.lockOnly !== true) entry.changed ||= ref.actions.includes("write") || ref.actions.includes("define");
      this.#relations.set(key, entry);
      for (const action of ref.actions) {
        const actual = planned(action, nested);
        entry.actions.add(actual);
        if (nested.transfer && actual === "read") entry.actions.add("transfer");
      }
      const named = ref.created === true ? ref.columns : uses.of(ref, candidate.relation);
      for (const column of named) entry.columns.add(column);
      const writes = ref.actions.includes("write") && ref.lockOnly !== true && !nested.plan;
      const relation = candidate.relation;
      if (writes && relation !== undefined && (relation.hasTriggers || relation.hasRules || isView(relation.kind))) {
        this.#userCode = true;
      }
    }
  }

  /** Functions, types and operators that are not the server's own. */
  #code(outline: Outline, scope: NameScope): void {
    const { index } = this.#input;
    for (const use of outline.functions) this.#function(use, outline, scope);
    for (const { schema, name } of outline.types) {
      const base = name.startsWith("_") ? name.slice(1) : name;
      const builtin = BUILTIN_TYPES.has(base) || CATALOG_RELATIONS.has(base);
      if (schema === "pg_catalog" ? !builtin : schema !== undefined || !builtin || index?.hasType(name) !== false) {
        this.#userCode = true;
      }
    }
    for (const { schema, name } of outline.operators) {
      if (schema !== undefined ? schema !== "pg_catalog" : index?.hasOperator(name) !== false) this.#userCode = true;
    }
  }

  #function(use: FunctionUse, outline: Outline, scope: NameScope): void {
    const { schema, name, how } = use;
    const { index } = this.#input;
    const users = index === undefined ? how === "call" : index.hasFunction(name);
    if (how === "attribute") {
      if (users && !isColumn(name, outline, index)) this.#userFunction(schema ?? "", name);
      return;
    }
    if (how === "syntax") {
      if (users) this.#userCode = true;
      return;
    }
    this.#functions.add(schema === undefined ? name : `${schema}.${name}`);
    if (schema === "pg_catalog") {
      if (!BUILTIN_FUNCTIONS.has(name)) this.#userFunction(schema, name);
    } else if (schema === "information_schema" && name.startsWith("_pg_")) {
      return;
    } else if (schema !== undefined || !BUILTIN_FUNCTIONS.has(name)) {
      this.#userFunction(schema ?? "", name);
    } else if (users || scope.schemaTouched) {
      // A user's function of the same name may be the one that is called.
      this.#userCode = true;
    }
  }

  #userFunction(schema: string, name: string): void {
    this.#userCode = true;
    this.#userFunctions.set(`${schema}\u0000${name}`, { schema, name });
  }

  /** EXECUTE and FETCH: every statement that the name could stand for; an unknown name could be anything. */
  #use(use: NamedUse, outline: Outline, nested: Nested): void {
    const kind = use.kind === "prepared" ? NamedStatement_Kind.KIND_PREPARED : NamedStatement_Kind.KIND_CURSOR;
    const texts = new Set<string>();
    for (const named of this.#input.named) if (named.kind === kind && named.name === use.name) texts.add(named.text);
    for (const named of outline.named) if (named.kind === use.kind && named.name === use.name) texts.add(named.text);
    this.#usesNamed = true;
    if (texts.size === 0) this.#executed(kind, use.name, "", "");
    if (texts.size === 0 || nested.nesting >= MAX_NESTING) return this.#unknownCommand();
    for (const text of texts) {
      const inner = this.#input.lookup(text);
      if (inner === undefined) {
        this.missing.add(text);
        continue;
      }
      this.#executed(kind, use.name, text, isRefused(inner) ? "" : inner.normalized);
      if (isRefused(inner)) {
        this.#unknownCommand();
        continue;
      }
      this.text(inner, {
        transfer: nested.transfer || use.transfer,
        plan: nested.plan || use.mode === "plan",
        // A cursor's names were settled when it was opened, under a path that may have moved since.
        pathUnknown: nested.pathUnknown || use.kind === "cursor",
        nesting: nested.nesting + 1,
      });
    }
  }

  #executed(kind: ExecutedStatement["kind"], name: string, text: string, normalized: string): void {
    this.#executes.set(JSON.stringify([kind, name, text]), { kind, name, text, normalized });
  }

  #unknownCommand(): void {
    this.#opaque = true;
    this.#sessionEffect = true;
    this.#defines = true;
    this.#bare.set("opaque ", { action: "opaque", schema: undefined });
  }

  done(outline: Outline): Resolved | Missing {
    const touches = this.#touches();
    if (this.missing.size > 0) return { kind: "missing", texts: [...this.missing] };
    const actions = [...new Set(touches.map((touch) => touch.action))].toSorted();
    const facts = CommandFacts.fromPartial({
      actions: actions.length > 0 ? actions : ["connect"],
      verbs: [...this.#verbs].toSorted(),
      relations: this.#facts(),
      functions: [...this.#functions].toSorted(),
      hasWhere: this.#hasWhere,
      statementCount: outline.statementCount,
      opaque: this.#opaque,
      defines: this.#defines,
      // What cannot be looked into may change settings, too.
      // … and after a change of the schema nothing that was decided before holds.
      sessionEffect: this.#sessionEffect || this.#defines || this.#opaque || this.#userFunctions.size > 0,
      userCode: this.#userCode,
      named: outline.named.map(({ kind, name, text }) => ({
        kind: kind === "prepared" ? NamedStatement_Kind.KIND_PREPARED : NamedStatement_Kind.KIND_CURSOR,
        name,
        text,
      })),
      normalized: outline.normalized,
      fingerprint: outline.fingerprint,
      transferColumns: this.#transferColumns(outline),
      executes: [...this.#executes.values()],
      ...this.#lineage,
    });
    if (this.missing.size > 0) return { kind: "missing", texts: [...this.missing] };
    return { kind: "resolved", facts, touches, settings: [...this.#settings].toSorted(), usesNamed: this.#usesNamed };
  }

  #touches(): Touch[] {
    const touches: Touch[] = [];
    const catalogs = new Map<string, Set<Action>>();
    for (const { candidate, actions, columns, changed } of this.#relations.values()) {
      // The server's own catalogs are one object a schema; writing to them is administering.
      if (candidate.kind === "catalog") {
        const of = catalogs.get(candidate.schema) ?? new Set<Action>();
        catalogs.set(candidate.schema, of);
        for (const action of actions) of.add(action);
        if (actions.has("write") || actions.has("define")) of.add("administer");
        continue;
      }
      const target = this.#target(candidate, [...columns]);
      for (const action of actions) touches.push({ action, target, locks: !changed });
    }
    for (const [schema, actions] of catalogs) {
      for (const action of actions) touches.push({ action, target: schemaTarget(schema, "catalog") });
    }
    const onRelations = new Set(touches.map((touch) => touch.action));
    for (const { action, schema } of this.#bare.values()) {
      // Reading and transferring are said of the relations, where there are any.
      if ((action === "read" || action === "transfer") && onRelations.has(action)) continue;
      touches.push({ action, target: schema === undefined ? databaseTarget : schemaTarget(schema) });
    }
    carry(touches);
    for (const { schema, name } of this.#userFunctions.values()) {
      touches.push({ action: "opaque", target: functionTarget(schema, name) });
    }
    return touches;
  }

  #target(candidate: Candidate, columns: string[]): Target {
    const { relation } = candidate;
    const base = {
      kind: "relation" as const,
      schema: candidate.schema,
      name: candidate.name,
      relationKind: candidate.kind,
      columns: columns.toSorted(),
    };
    // What a temporary relation was filled with is not followed: it may hold anything that the session could read.
    const unknown = candidate.kind === "unknown" || candidate.kind === "temporary";
    if (relation === undefined) return { ...base, classes: [], carries: [], unknown };
    const { index, lookup } = this.#input;
    const reach = index?.reach(relation, columns, lookup, this.missing);
    if (reach?.userCode === true) this.#userCode = true;
    return { ...base, classes: [...(reach?.classes ?? [])].toSorted(), carries: [], unknown: false };
  }

  #facts(): RelationFact[] {
    const facts: RelationFact[] = [];
    for (const { candidate, actions, columns } of this.#relations.values()) {
      const access: Access[] = [];
      if (actions.has("read")) access.push(Access.ACCESS_READ);
      if (actions.has("write")) access.push(Access.ACCESS_WRITE);
      if (actions.has("define")) access.push(Access.ACCESS_DEFINE);
      facts.push(
        RelationFact.fromPartial({
          schema: candidate.schema,
          name: candidate.name,
          oid: candidate.relation?.oid ?? 0,
          access,
          columns: columns.has("*") ? ["*"] : [...columns].toSorted(),
          kind: candidate.kind,
          reads: [...this.#readsOf(candidate)],
        }),
      );
    }
    return facts;
  }

  #readsOf({ relation }: Candidate): readonly number[] {
    const { index, lookup } = this.#input;
    if (relation === undefined || index === undefined || relation.viewDefinition === "") return [];
    return index.readsOf(relation, lookup, this.missing);
  }

  /** COPY leaves generated columns out unless they are named. */
  #transferColumns(outline: Outline): string[] {
    const copied = outline.transferColumns;
    if (copied === undefined || outline.statementCount !== 1) return [];
    if (copied.columns.length > 0) return copied.columns;
    const known = [...this.#relations.values()].filter(({ candidate, actions }) => {
      return candidate.name === copied.name && actions.has("transfer");
    });
    const relation = known.length === 1 ? known[0]?.candidate.relation : undefined;
    if (relation === undefined) return [];
    const plain = relation.columns.filter((column) => column.generatedFrom.length === 0);
    return plain.toSorted((a, b) => a.number - b.number).map((column) => column.name);
  }
}

/** What a command writes may hold everything that it reads: the classes that a relation does not hold itself. */
function carry(touches: Touch[]): void {
  const read = new Set<string>();
  for (const { action, target } of touches) if (action === "read") for (const name of target.classes) read.add(name);
  if (read.size === 0) return;
  for (const touch of touches) {
    if (touch.locks === true || (touch.action !== "write" && touch.action !== "define")) continue;
    const own = new Set(touch.target.classes);
    touch.target = { ...touch.target, carries: [...read].filter((name) => !own.has(name)).toSorted() };
  }
}

const isView = (kind: string): boolean => kind === "view" || kind === "materialized-view";

const planned = (action: Action, nested: Nested): Action => (nested.plan && action === "write" ? "read" : action);

/** `t.name` names a column of something that the text touches. */
function isColumn(name: string, outline: Outline, index: SchemaIndex | undefined): boolean {
  if (index === undefined) return false;
  return outline.relations.some((ref) => {
    if (ref.schema !== undefined && isTemporarySchema(ref.schema)) return false;
    return index
      .named(ref.name, ref.schema)
      .some((relation) => relation.columns.some((column) => column.name === name));
  });
}
