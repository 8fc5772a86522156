/** What one analysis of a text knows and gathers. The walkers are given here, so that modules do not import in a circle. */

import type { ColumnFlow } from "@sallyport/proto/verdict";
import type { SchemaIndex } from "../schema/schema-index.ts";
import type { Json, JsonObject, RawStatement } from "../sql/parser.ts";
import { NOTHING, unknownFlow, unknownShape } from "./flow.ts";
import type { Flow, Shape } from "./flow.ts";
import type { Env } from "./scope.ts";

/** The syntax tree of another text; "unknown": it cannot be followed; undefined: not yet known. */
export type Syntax = (text: string) => readonly RawStatement[] | "unknown" | undefined;

export interface Walkers {
  /** any statement that gives rows: SELECT, VALUES, or one that writes, with RETURNING */
  query(type: string, node: JsonObject, env: Env, run: Run): Shape;
  expression(value: Json | undefined, env: Env, run: Run): Flow;
}

/** Something written, before its base columns have names. */
export interface Written {
  target: Pick<ColumnFlow, "schema" | "relation" | "relationOid" | "column" | "temporary">;
  flow: Flow;
}

export interface Names {
  index: SchemaIndex | undefined;
  /** the connection's database: a name may repeat it */
  database: string;
  /** schemas in effect; undefined: not known */
  searchPath: readonly string[] | undefined;
  /** what was observed may be out of date */
  stale: boolean;
  /** of the session's temporary relations */
  temporary: ReadonlyMap<string, Shape>;
}

/** Beyond it the stack of this thread might not bear the walk. */
const MAX_DEPTH = 300;
/** Of expressions and queries, those that are walked again counted again. */
const MAX_STEPS = 50_000;
export const NO_RELATION = "a relation that was not observed";
export const NO_COLUMN = "a column that was not observed";
const TOO_DEEP = "it nests too deeply to be followed";
const TOO_LARGE = "it is too large to be followed";

export class Run {
  readonly probes = new Set<number>();
  /** those of them that are searched (conditions.ts) */
  readonly searches = new Set<number>();
  readonly #guesses = new Map<number, number>();
  readonly written: Written[] = [];
  /** texts whose syntax is needed first */
  readonly missing = new Set<string>();
  /** the first thing that was not recognised, wherever it stands */
  unrecognised = "";
  /** a temporary relation has been named */
  usesTemporary = false;
  /** there may be more probes */
  incomplete = false;
  /** it was too much: there may be more that is written, too */
  unwalked = false;
  readonly names: Names;
  readonly syntax: Syntax;
  readonly #walkers: Walkers;
  readonly #shapes = new WeakMap<JsonObject, { env: Env; shape: Shape }>();
  #depth = 0;
  #steps = 0;

  constructor(names: Names, syntax: Syntax, walkers: Walkers) {
    this.names = names;
    this.syntax = syntax;
    this.#walkers = walkers;
  }

  /** For a definition that this text refers to: other names, the same ways. */
  within(names: Names): Run {
    return new Run(names, this.syntax, this.#walkers);
  }

  /** What a part of this text, analysed under other names, has found. */
  adopt(part: Run): void {
    for (const key of part.probes) this.probes.add(key);
    for (const key of part.searches) this.searches.add(key);
    for (const text of part.missing) this.missing.add(text);
    this.written.push(...part.written);
    if (part.unrecognised !== "") this.note(part.unrecognised);
    this.usesTemporary ||= part.usesTemporary;
    this.incomplete ||= part.incomplete;
    this.unwalked ||= part.unwalked;
  }

  query(type: string, node: JsonObject, env: Env): Shape {
    const bound = this.#enter();
    try {
      if (bound !== undefined) return unknownShape(this.note(bound));
      const shape = this.#walkers.query(type, node, env, this);
      this.#shapes.set(node, { env, shape });
      return shape;
    } finally {
      this.#depth--;
    }
  }

  /** The same, where it has been walked in that place already. */
  queryAgain(type: string, node: JsonObject, env: Env): Shape {
    const known = this.#shapes.get(node);
    return known?.env === env ? known.shape : this.query(type, node, env);
  }

  expression(value: Json | undefined, env: Env): Flow {
    if (value === undefined || value === null) return NOTHING;
    const bound = this.#enter();
    try {
      if (bound !== undefined) return this.unknown(bound);
      const flow = this.#walkers.expression(value, env, this);
      // The rows of wide tables, and of those with many partitions, are more work.
      this.#steps += flow.sources.length >> 6;
      return flow;
    } finally {
      this.#depth--;
    }
  }

  #enter(): string | undefined {
    const tooDeep = ++this.#depth > MAX_DEPTH;
    if (!tooDeep && ++this.#steps <= MAX_STEPS) return undefined;
    this.notWalked();
    return tooDeep ? TOO_DEEP : TOO_LARGE;
  }

  /** Part of the text is left out. */
  notWalked(): void {
    this.incomplete = true;
    this.unwalked = true;
  }

  /** Results depend on it without showing it. */
  probe(flow: Flow): void {
    // What nothing is known of could be anything.
    if (flow.temporary.length > 0 || flow.unknown === NO_RELATION || flow.unknown === NO_COLUMN) this.incomplete = true;
    for (const key of flow.sources) this.probes.add(key);
  }

  /** Results depend on parts of it, or on lists of its values. */
  search(flow: Flow): void {
    this.probe(flow);
    for (const key of flow.sources) this.searches.add(key);
  }

  /** How many values of it the text has guessed, with this one. */
  guess(flow: Flow): number {
    let most = 0;
    for (const key of flow.sources) {
      const count = (this.#guesses.get(key) ?? 0) + 1;
      this.#guesses.set(key, count);
      most = Math.max(most, count);
    }
    return most;
  }

  unknown(why: string): Flow {
    return unknownFlow(this.note(why));
  }

  note(why: string): string {
    if (this.unrecognised === "") this.unrecognised = why;
    return why;
  }
}
