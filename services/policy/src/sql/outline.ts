/**
 * What a text says by itself, before anything is known of the session that sends it or of the target's schema.
 * Depends on the text alone, so it may be kept by text. Plain data: it crosses from a worker thread.
 */

import type { RawStatement } from "./parser.ts";

/** A business action (see architecture, "Policy"). */
export type Action = "connect" | "read" | "write" | "define" | "administer" | "transfer" | "opaque" | "tunnel";

/** A relation as it is written. */
export interface RelationRef {
  /** top-level statement, from 0 */
  statement: number;
  /** a database was named too (`db.schema.name`) */
  catalog?: string;
  schema?: string;
  name: string;
  actions: Action[];
  /** names by which columns refer to it: its own, and its alias */
  names: string[];
  /** columns that stand at the relation itself: an INSERT's list, an UPDATE's targets; `*` for all */
  columns: string[];
  /** made by the command itself */
  created?: boolean;
  /** in the session's temporary schema */
  temporary?: boolean;
  /** its rows are locked (FOR UPDATE and its like): that is a write which puts nothing anywhere */
  lockOnly?: boolean;
}

/** A column as it is written: `column`, `qualifier.column`; `*` for all. */
export interface ColumnUse {
  statement: number;
  qualifier?: string;
  column: string;
}

export interface FunctionUse {
  schema?: string;
  name: string;
  /** `attribute`: `value.name`, which PostgreSQL may take for `name(value)` */
  how: "call" | "attribute" | "syntax";
}

export interface NameUse {
  schema?: string;
  name: string;
}

/** Something done that is about no relation. */
export interface BareAction {
  action: Action;
  /** the schema that it happens in; absent: the database */
  schema?: string;
}

export interface Named {
  kind: "prepared" | "cursor";
  name: string;
  text: string;
  statement: number;
}

/** EXECUTE or FETCH: what it does is said by the statement of that name. */
export interface NamedUse {
  kind: "prepared" | "cursor";
  name: string;
  /** plan: named only, not run (EXPLAIN without ANALYZE) */
  mode: "run" | "plan";
  transfer: boolean;
  statement: number;
}

export interface Outline {
  statementCount: number;
  verbs: string[];
  relations: RelationRef[];
  columns: ColumnUse[];
  /** names of sub-queries, functions and common table expressions: they are no relations */
  derived: { statement: number; name: string }[];
  functions: FunctionUse[];
  types: NameUse[];
  operators: NameUse[];
  bare: BareAction[];
  hasWhere: boolean;
  opaque: boolean;
  defines: boolean;
  /** the first statement that defines: names in later ones may mean something else */
  definesFrom?: number;
  sessionEffect: boolean;
  /** it changes the search path, so that later names in it mean something else */
  movesSearchPath: boolean;
  named: Named[];
  uses: NamedUse[];
  /** settings named by SET, RESET and set_config, lower case */
  settings: string[];
  /** a setting under which the analysis of later commands would not hold */
  unsafeSetting?: string;
  /** COPY of a plain relation to the client */
  transferColumns?: { schema?: string; name: string; columns: string[] };
  normalized: string;
  fingerprint: string;
  /** byte offsets of literals that are compared in WHERE */
  erasable: number[];
  /** the syntax tree, for lineage; of a large text, without its long lists of constants; undefined: too large even so */
  tree: RawStatement[] | undefined;
}

/** A text that was not understood. `message` is for the person who sent it. */
export interface Refused {
  refused: string;
}

export type Understanding = Outline | Refused;

export const isRefused = (understanding: Understanding): understanding is Refused => "refused" in understanding;
