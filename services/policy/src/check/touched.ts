/** What a command touches, as the objects that policies speak of. */

import type { Action } from "../sql/outline.ts";

/**
 * An object of one database: `schema` and `name` empty: the database; `name` empty: the schema.
 * `unknown`: it could be any relation of the database.
 */
export interface Target {
  kind: "database" | "schema" | "relation" | "function";
  schema: string;
  name: string;
  /** table, view, …, catalog, temporary, unknown; `database`, `schema`, `function` for those */
  relationKind: string;
  /** named; `*` for all */
  columns: readonly string[];
  /** classes of data in those columns, views and heirs included */
  classes: readonly string[];
  /** written or defined: classes that the command reads elsewhere, and may put here */
  carries: readonly string[];
  /** it may be, or hold, anything of the database */
  unknown: boolean;
}

export interface Touch {
  action: Action;
  target: Target;
  /** a write that only locks rows */
  locks?: boolean;
}

export const databaseTarget: Target = {
  kind: "database",
  schema: "",
  name: "",
  relationKind: "database",
  columns: [],
  classes: [],
  carries: [],
  unknown: false,
};

export const schemaTarget = (schema: string, relationKind = "schema"): Target => ({
  ...databaseTarget,
  kind: "schema",
  schema,
  relationKind,
});

export const functionTarget = (schema: string, name: string): Target => ({
  ...databaseTarget,
  kind: "function",
  schema,
  name,
  relationKind: "function",
});
