/** One database of one connection, as last observed, for looking names up. */

import type { Classification, ColumnCopy, Relation, Schema } from "@sallyport/proto/catalog_model";
import type { Outline, Understanding } from "../sql/outline.ts";
import { isRefused } from "../sql/outline.ts";
import { ColumnClasses } from "./classes.ts";
import { ColumnUses } from "./column-uses.ts";
import { RecordedCopies } from "./recorded-copies.ts";

/** What is known of a text, if it has been understood already. */
export type Lookup = (text: string) => Understanding | undefined;

/** What reading a relation means beyond its own columns. */
export interface Reach {
  classes: ReadonlySet<string>;
  /** its definition runs code that the gateway cannot look into */
  userCode: boolean;
}

export const MAX_VIEW_DEPTH = 32;

export class SchemaIndex {
  readonly #relations = new Map<string, Relation[]>();
  readonly #byOid = new Map<number, Relation>();
  readonly #children = new Map<number, Relation[]>();
  readonly #functions: ReadonlySet<string>;
  readonly #operators: ReadonlySet<string>;
  readonly #types: ReadonlySet<string>;
  readonly #classes: ColumnClasses;
  readonly #views = new Map<number, Reach>();
  readonly #reads = new Map<number, readonly number[]>();

  /** major version; 0: not known */
  readonly serverMajor: number;

  constructor(schema: Schema, classes: ColumnClasses) {
    this.#classes = classes;
    this.serverMajor = Number.parseInt(schema.serverVersion, 10) || 0;
    for (const relation of schema.relations) {
      const named = this.#relations.get(relation.name);
      if (named === undefined) this.#relations.set(relation.name, [relation]);
      else named.push(relation);
      this.#byOid.set(relation.oid, relation);
      for (const parent of relation.parents) {
        const children = this.#children.get(parent);
        if (children === undefined) this.#children.set(parent, [relation]);
        else children.push(relation);
      }
    }
    this.#functions = lastWords(schema.functions);
    this.#operators = lastWords(schema.operators);
    this.#types = lastWords(schema.types);
  }

  /** Relations of that name, in one schema or in all. */
  named(name: string, schema?: string): readonly Relation[] {
    const found = this.#relations.get(name) ?? [];
    return schema === undefined ? found : found.filter((relation) => relation.schema === schema);
  }

  withOid(oid: number): Relation | undefined {
    return this.#byOid.get(oid);
  }

  /** Partitions and heirs, theirs too, each once. */
  heirs(relation: Relation): readonly Relation[] {
    const found = new Map<number, Relation>();
    const pending = [relation.oid];
    for (let oid = pending.pop(); oid !== undefined; oid = pending.pop()) {
      for (const heir of this.#children.get(oid) ?? []) {
        if (found.has(heir.oid)) continue;
        found.set(heir.oid, heir);
        pending.push(heir.oid);
      }
    }
    return [...found.values()];
  }

  /** Classes of one column of a table by itself. */
  classesOf(relation: Relation, number: number): readonly string[] {
    return this.#classes.of(relation, number);
  }

  hasFunction(name: string): boolean {
    return this.#functions.has(name);
  }

  hasOperator(name: string): boolean {
    return this.#operators.has(name);
  }

  hasType(name: string): boolean {
    return this.#types.has(name);
  }

  /**
   * Classes that `columns` of a relation hold (`*`: all of them): its own, those of the same columns of its partitions and
   * heirs, and for a view everything that its definition reads. `undefined`: `lookup` does not know a definition yet; its
   * text is added to `missing`.
   */
  reach(relation: Relation, columns: readonly string[], lookup: Lookup, missing: Set<string>): Reach {
    const classes = new Set<string>();
    let userCode = false;
    const pending: { relation: Relation; columns: readonly string[] }[] = [{ relation, columns }];
    const seen = new Set<number>();
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (seen.has(next.relation.oid)) continue;
      seen.add(next.relation.oid);
      this.#own(next.relation, next.columns, classes);
      const heirs = this.#children.get(next.relation.oid) ?? [];
      for (const heir of heirs) pending.push({ relation: heir, columns: next.columns });
      if (next.relation.viewDefinition === "" || next.columns.length === 0) continue;
      const view = this.#view(next.relation, lookup, missing, 0);
      for (const name of view.classes) classes.add(name);
      userCode ||= view.userCode;
    }
    return { classes, userCode };
  }

  /**
   * Tables that a view's definition names, through other views too, with their heirs: sorted oids. 0 is among them when it may
   * read more: a definition that is not understood, or a relation that was not observed.
   */
  readsOf(view: Relation, lookup: Lookup, missing: Set<string>): readonly number[] {
    const kept = this.#reads.get(view.oid);
    if (kept !== undefined) return kept;
    const tables = new Set<number>();
    const seen = new Set<number>([view.oid]);
    const pending = [view];
    const before = missing.size;
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const understanding = lookup(next.viewDefinition);
      if (understanding === undefined) missing.add(next.viewDefinition);
      if (understanding === undefined || isRefused(understanding)) {
        tables.add(0);
        continue;
      }
      for (const { name, schema } of understanding.relations) {
        const found = this.named(name, schema);
        if (found.length === 0 && !maybeCatalog(schema)) tables.add(0);
        for (const source of found) {
          if (seen.has(source.oid)) continue;
          seen.add(source.oid);
          if (source.viewDefinition !== "") pending.push(source);
          else for (const table of [source, ...this.heirs(source)]) tables.add(table.oid);
        }
      }
    }
    const reads = [...tables].toSorted((a, b) => a - b);
    if (missing.size === before) this.#reads.set(view.oid, reads);
    return reads;
  }

  /** Classes of a column of a table, of its heirs' and its parents' columns of that name: a partition is part of its table. */
  familyClasses(relation: Relation, number: number): ReadonlySet<string> {
    const name = relation.columns.find((column) => column.number === number)?.name;
    const classes = new Set<string>();
    if (name === undefined) return classes;
    const seen = new Set<number>();
    const pending = [relation.oid];
    for (let oid = pending.pop(); oid !== undefined; oid = pending.pop()) {
      const one = this.#byOid.get(oid);
      if (one === undefined || seen.has(oid)) continue;
      seen.add(oid);
      pending.push(...one.parents);
      this.#own(one, [name], classes);
    }
    for (const heir of this.heirs(relation)) this.#own(heir, [name], classes);
    return classes;
  }

  #own(relation: Relation, columns: readonly string[], into: Set<string>): void {
    const all = columns.includes("*");
    for (const column of relation.columns) {
      if (!all && !columns.includes(column.name)) continue;
      for (const name of this.#classes.of(relation, column.number)) into.add(name);
      // A generated column holds what it was made from.
      for (const source of column.generatedFrom) for (const name of this.#classes.of(relation, source)) into.add(name);
    }
  }

  /** All that a view's definition reads, through other views. */
  #view(view: Relation, lookup: Lookup, missing: Set<string>, depth: number): Reach {
    const known = this.#views.get(view.oid);
    if (known !== undefined) return known;
    const unknown: Reach = { classes: this.#allClasses(), userCode: true };
    const before = missing.size;
    const understanding = lookup(view.viewDefinition);
    if (understanding === undefined) {
      missing.add(view.viewDefinition);
      return unknown;
    }
    // Should definitions refer to each other in a circle, the inner one counts as unknown.
    this.#views.set(view.oid, unknown);
    const reach =
      isRefused(understanding) || depth > MAX_VIEW_DEPTH
        ? unknown
        : this.#sources(understanding, lookup, missing, depth);
    if (missing.size === before) this.#views.set(view.oid, reach);
    else this.#views.delete(view.oid);
    return reach;
  }

  #sources(outline: Outline, lookup: Lookup, missing: Set<string>, depth: number): Reach {
    const classes = new Set<string>();
    let userCode = outline.opaque || outline.functions.some((f) => f.how === "call" && this.hasFunction(f.name));
    const uses = new ColumnUses(outline);
    for (const ref of outline.relations) {
      const found = this.named(ref.name, ref.schema);
      for (const source of found) {
        this.#own(source, uses.of(ref, source), classes);
        if (source.viewDefinition === "") continue;
        const inner = this.#view(source, lookup, missing, depth + 1);
        for (const name of inner.classes) classes.add(name);
        userCode ||= inner.userCode;
      }
      // Catalogs aside, a view reads only what the schema knows, or it is not the schema that was observed.
      if (found.length === 0 && !maybeCatalog(ref.schema)) for (const name of this.#allClasses()) classes.add(name);
    }
    return { classes, userCode };
  }

  #allClasses(): ReadonlySet<string> {
    return this.#classes.all();
  }
}

/** Of a definition as the server writes it: a name without a schema is its own, or that of a common table expression. */
const maybeCatalog = (schema: string | undefined): boolean =>
  schema === undefined || schema === "pg_catalog" || schema === "information_schema";

/** `schema.name` → every part that may be the name, as either may hold a dot. */
function lastWords(qualifiedNames: readonly string[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const qualifiedName of qualifiedNames) {
    names.add(qualifiedName);
    for (let dot = qualifiedName.indexOf("."); dot >= 0; dot = qualifiedName.indexOf(".", dot + 1)) {
      names.add(qualifiedName.slice(dot + 1));
    }
  }
  return names;
}

/** Every database that was observed. */
export class Schemas {
  #classifications: readonly Classification[] = [];
  readonly #observed = new Map<
    string,
    { connection: string; database: string; schema: Schema; classes: ColumnClasses }
  >();
  readonly #index = new Map<string, SchemaIndex>();
  readonly #copies = new Map<string, RecordedCopies>();

  setClassifications(classifications: readonly Classification[], connections: ReadonlySet<string>): void {
    this.#classifications = classifications;
    for (const [key, { connection, database, schema, classes }] of this.#observed) {
      if (!connections.has(connection)) {
        this.#observed.delete(key);
        this.#index.delete(key);
        continue;
      }
      classes.setRules(classifications, connection, database);
      classes.observe(schema.relations, this.#copiesIn(key, schema));
      this.#index.set(key, new SchemaIndex(schema, classes));
    }
  }

  observe(connection: string, database: string, schema: Schema): void {
    const key = `${connection}\u0000${database}`;
    const classes = this.#observed.get(key)?.classes ?? new ColumnClasses();
    classes.setRules(this.#classifications, connection, database);
    classes.observe(schema.relations, this.#copiesIn(key, schema));
    this.#observed.set(key, { connection, database, schema, classes });
    this.#index.set(key, new SchemaIndex(schema, classes));
  }

  /** Into a database that was not observed, nothing known can have been copied: it has no tables yet. */
  copied(connection: string, database: string, copies: readonly ColumnCopy[]): void {
    const key = `${connection}\u0000${database}`;
    const observed = this.#observed.get(key);
    if (observed === undefined) return;
    const recorded = this.#copiesIn(key, observed.schema);
    recorded.record(copies);
    for (const [other, { schema, classes }] of this.#observed) {
      if (this.#copiesIn(other, schema) !== recorded) continue;
      classes.observe(schema.relations, recorded);
      this.#index.set(other, new SchemaIndex(schema, classes));
    }
  }

  /** By what the server says the database is: another connection may lead to the same one. */
  #copiesIn(key: string, { identity }: Schema): RecordedCopies {
    const of = identity === "" ? key : identity;
    const copies = this.#copies.get(of) ?? new RecordedCopies();
    this.#copies.set(of, copies);
    return copies;
  }

  of(connection: string, database: string): SchemaIndex | undefined {
    return this.#index.get(`${connection}\u0000${database}`);
  }
}
