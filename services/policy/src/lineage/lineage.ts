/**
 * Where the columns of a text's results come from, what the text only probes, and what it writes where: by its syntax
 * tree and the observed schema. Conservative: what is not recognised is unknown, never nothing. Pure, and never throws.
 */

import { StatementLineage } from "@sallyport/proto/verdict";
import type { ColumnFlow, NamedStatement, Probe } from "@sallyport/proto/verdict";
import type { SchemaIndex } from "../schema/schema-index.ts";
import type { JsonObject, RawStatement } from "../sql/parser.ts";
import { unwrap } from "../sql/tree.ts";
import { insert, remove, update } from "./dml.ts";
import { expression } from "./expressions.ts";
import { NOTHING, columnKey, unknownShape } from "./flow.ts";
import type { Shape } from "./flow.ts";
import { merge } from "./merge.ts";
import { baseColumns, columnFlow, outputColumn, temporaryRelations } from "./messages.ts";
import { Run } from "./run.ts";
import type { Names, Syntax, Walkers } from "./run.ts";
import type { Env } from "./scope.ts";
import { select } from "./select.ts";
import { resultOf } from "./statements.ts";
import type { Result } from "./statements.ts";

export interface LineageInput {
  /** undefined: nothing was observed */
  index: SchemaIndex | undefined;
  /** the connection's database: a name may repeat it */
  database: string;
  /** schemas in effect; undefined: not known */
  searchPath: readonly string[] | undefined;
  /** the open transaction has changed the schema: what was observed may be out of date */
  schemaTouched: boolean;
  /** the first statement of the text that changes the schema: the same for those behind it */
  definesFrom?: number | undefined;
  /** prepared statements and cursors of the session, and those that the text makes */
  named: readonly NamedStatement[];
  /** what is known of the session's temporary relations */
  temporary: readonly ColumnFlow[];
  /** trees of views' definitions and of named statements */
  syntax: Syntax;
}

export interface TextLineage {
  /** one for each statement, in order */
  statements: StatementLineage[];
  probes: Probe[];
  flows: ColumnFlow[];
  /** something could not be told: there may be more probes */
  incomplete: boolean;
  /** something could not be walked: there may be more flows, too */
  unwalked: boolean;
  /** texts that `syntax` did not know yet: what depends on them is unknown here */
  missing: string[];
}

const walkers: Walkers = { query, expression };

const TOP: Env = { level: undefined, ctes: undefined, serverWritten: false, parameters: NOTHING };

export function lineageOf(statements: readonly RawStatement[], input: LineageInput): TextLineage {
  const { index, database, searchPath, schemaTouched, definesFrom = Number.POSITIVE_INFINITY } = input;
  const temporary = temporaryRelations(input.temporary);
  const probes = new Set<number>();
  const searches = new Set<number>();
  const missing = new Set<string>();
  const found: TextLineage = { statements: [], probes: [], flows: [], incomplete: false, unwalked: false, missing: [] };
  for (const [statement, { stmt }] of statements.entries()) {
    const names: Names = { index, database, searchPath, stale: schemaTouched || statement > definesFrom, temporary };
    const run = new Run(names, input.syntax, walkers);
    found.statements.push(described(statement, resultIn(stmt, run, input), index));
    for (const key of run.probes) probes.add(key);
    for (const key of run.searches) searches.add(key);
    for (const text of run.missing) missing.add(text);
    found.incomplete ||= run.incomplete;
    found.unwalked ||= run.unwalked;
    for (const written of run.written) found.flows.push(columnFlow(written, index));
  }
  found.probes = baseColumns(probes, index).map((column) => {
    return { column, searched: searches.has(columnKey(column.relationOid, column.number)) };
  });
  found.missing = [...missing];
  return found;
}

function resultIn(stmt: JsonObject, run: Run, input: LineageInput): Result {
  const inner = unwrap(stmt);
  if (inner === undefined) return { kind: "silent" };
  try {
    return resultOf(inner.type, inner.node, { env: TOP, run, named: input.named, nesting: 0 });
  } catch (error) {
    run.notWalked();
    // A stack that overflows, or a shape of the tree that nothing here has foreseen.
    const why = error instanceof RangeError ? "it nests too deeply to be followed" : "it could not be followed";
    return { kind: "rows", shape: unknownShape(why) };
  }
}

function described(statement: number, result: Result, index: SchemaIndex | undefined): StatementLineage {
  if (result.kind === "silent") return StatementLineage.fromPartial({ statement, silent: true });
  const { shape } = result;
  if (shape.open !== undefined) {
    const unknown =
      shape.open.unknown === "" ? "the columns of a relation or function are not known" : shape.open.unknown;
    return StatementLineage.fromPartial({ statement, unknown });
  }
  const outputs = shape.columns.map((column) => outputColumn(column, index));
  return { statement, outputs, unknown: "", silent: false };
}

/** Statements that give rows. */
function query(type: string, node: JsonObject, env: Env, run: Run): Shape {
  switch (type) {
    case "SelectStmt":
      return select(node, env, run);
    case "InsertStmt":
      return insert(node, env, run);
    case "UpdateStmt":
      return update(node, env, run);
    case "DeleteStmt":
      return remove(node, env, run);
    case "MergeStmt":
      return merge(node, env, run);
    default:
      return unknownShape(run.note(`syntax (${type})`));
  }
}
