/** What each kind of statement answers. A kind that is not in the table may answer anything. */

import { NamedStatement_Kind } from "@sallyport/proto/verdict";
import type { NamedStatement } from "@sallyport/proto/verdict";
import { option } from "../sql/collector.ts";
import type { Json, JsonObject } from "../sql/parser.ts";
import { STATEMENTS } from "../sql/statements.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";
import { relationItem } from "./catalog.ts";
import { altered, created, createdTable, createdView } from "./created.ts";
import { NOTHING, eitherShape, join, openShape, unknownShape } from "./flow.ts";
import type { Column, Shape } from "./flow.ts";
import { flowOfSetting } from "./function-flow.ts";
import { NO_COLUMN } from "./run.ts";
import type { Run } from "./run.ts";
import { columnOf, shapeOf } from "./scope.ts";
import type { Env } from "./scope.ts";

export type Result = { kind: "silent" } | { kind: "rows"; shape: Shape };

const SILENT: Result = { kind: "silent" };
const rows = (shape: Shape): Result => ({ kind: "rows", shape });
const MAX_NESTING = 8;
const OFF = new Set(["false", "off", "0", "no", "none"]);

export interface Around {
  env: Env;
  run: Run;
  named: readonly NamedStatement[];
  /** EXECUTE of EXECUTE … */
  nesting: number;
}

export function resultOf(type: string, node: JsonObject, around: Around): Result {
  const { env, run } = around;
  switch (type) {
    case "SelectStmt":
      return selected(node, around);
    case "InsertStmt":
    case "UpdateStmt":
    case "DeleteStmt":
    case "MergeStmt": {
      const shape = run.query(type, node, env);
      return node["returningClause"] === undefined ? SILENT : rows(shape);
    }
    case "CreateTableAsStmt": {
      const into = isObject(node["into"]) ? node["into"] : {};
      const shape = inner(node["query"], around);
      created(into["rel"], into["colNames"], shape, run);
      return SILENT;
    }
    case "ViewStmt":
      createdView(node, inner(node["query"], around), run);
      return SILENT;
    case "CreateStmt":
      createdTable(node, run);
      return SILENT;
    case "AlterTableStmt":
    case "RenameStmt":
      altered(node, run);
      return SILENT;
    case "DeclareCursorStmt":
      inner(node["query"], around);
      return SILENT;
    case "CopyStmt":
      return copied(node, around);
    case "ExplainStmt":
      return explained(node, around);
    case "ExecuteStmt":
      return executed(NamedStatement_Kind.KIND_PREPARED, node["name"], node["params"], around);
    case "FetchStmt":
      return node["ismove"] === true
        ? SILENT
        : executed(NamedStatement_Kind.KIND_CURSOR, node["portalname"], undefined, around);
    case "VariableShowStmt":
      return rows(shown(text(node["name"]) ?? "", run));
    case "CallStmt":
      return rows(unknownShape(run.note("what a procedure returns")));
    default:
      // The server answers nothing to any other of the statements that are known.
      return STATEMENTS.has(type) ? SILENT : rows(unknownShape(run.note(`a statement that is not known (${type})`)));
  }
}

/** The rows of a statement within another. */
function inner(value: Json | undefined, around: Around): Shape {
  const statement = unwrap(value);
  if (statement === undefined) return unknownShape(around.run.note("syntax"));
  const result = resultOf(statement.type, statement.node, around);
  return result.kind === "rows" ? result.shape : { columns: [], open: undefined };
}

/** SELECT … INTO: of a set operation, the first SELECT has it. */
function selected(node: JsonObject, { env, run }: Around): Result {
  let first = node;
  while (isObject(first["larg"])) first = first["larg"];
  const shape = run.query("SelectStmt", node, env);
  const into = isObject(first["intoClause"]) ? first["intoClause"] : undefined;
  if (into === undefined) return rows(shape);
  created(into["rel"], into["colNames"], shape, run);
  return SILENT;
}

function copied(node: JsonObject, around: Around): Result {
  const toServer = node["is_program"] === true || text(node["filename"]) !== undefined;
  if (node["is_from"] === true) return SILENT;
  if (node["query"] !== undefined) {
    const shape = inner(node["query"], around);
    return toServer ? SILENT : rows(shape);
  }
  if (toServer || !isObject(node["relation"])) return SILENT;
  return rows(copiedTable(node["relation"], strings(node["attlist"]), around));
}

/** COPY of a table: its columns without the generated ones, unless a list names them. */
function copiedTable(rangeVar: JsonObject, listed: readonly string[], { env, run }: Around): Shape {
  // COPY of a table that has heirs copies its own rows only; but partitions are part of a partitioned table.
  const item = relationItem({ ...rangeVar, inh: true }, env, run);
  if (listed.length === 0) {
    const shape = shapeOf(item);
    if (shape.open !== undefined) return shape;
    return { columns: shape.columns.filter(({ name }) => !isGenerated(rangeVar, name, run)), open: undefined };
  }
  const columns = listed.map((name): Column => {
    return { name, flow: columnOf(item, name) ?? run.unknown(NO_COLUMN) };
  });
  return { columns, open: undefined };
}

function isGenerated(rangeVar: JsonObject, column: string, run: Run): boolean {
  const named = run.names.index?.named(text(rangeVar["relname"]) ?? "", text(rangeVar["schemaname"])) ?? [];
  return named.some((relation) => relation.columns.some((one) => one.name === column && one.generatedFrom.length > 0));
}

/**
 * A plan shows the statement's own text, constants that were folded, and numbers of rows. So nothing of what is stored, as
 * long as every function in it is known: one that claims to be immutable is run while the plan is made.
 */
function explained(node: JsonObject, around: Around): Result {
  const { run } = around;
  const analyze = option(node["options"], "analyze");
  const before = run.written.length;
  const statement = unwrap(node["query"]);
  if (statement === undefined) return rows(unknownShape(run.note("syntax")));
  resultOf(statement.type, statement.node, around);
  // Without ANALYZE nothing is written.
  if (analyze === undefined || OFF.has(analyze)) run.written.length = before;
  const flow = run.unrecognised === "" ? NOTHING : run.unknown(run.unrecognised);
  return rows({ columns: [{ name: "QUERY PLAN", flow }], open: undefined });
}

/** EXECUTE, FETCH: of every statement that the name could stand for. */
function executed(
  kind: NamedStatement["kind"],
  name: Json | undefined,
  params: Json | undefined,
  around: Around,
): Result {
  const { env, run, named, nesting } = around;
  const texts = new Set(named.filter((one) => one.kind === kind && one.name === name).map((one) => one.text));
  if (texts.size === 0 || nesting >= MAX_NESTING) return rows(unknownShape(run.note("a statement that is not known")));
  const parameters = join(
    (Array.isArray(params) ? params : []).map((param) => run.expression(param, env)),
    true,
  );
  const shapes: Shape[] = [];
  for (const inside of texts) {
    const statements = run.syntax(inside);
    if (statements === undefined) run.missing.add(inside);
    const only = statements === undefined || statements === "unknown" ? undefined : statements[0];
    const statement = unwrap(only?.stmt);
    if (statement === undefined || statements?.length !== 1) {
      shapes.push(unknownShape(run.note("a statement that is not known")));
      continue;
    }
    // A cursor's names were settled when it was opened, under a path that may have moved since.
    const cursor = kind === NamedStatement_Kind.KIND_CURSOR;
    const child = cursor ? run.within({ ...run.names, searchPath: undefined }) : run;
    const below = { env: { ...env, parameters }, run: child, named, nesting: nesting + 1 };
    const result = resultOf(statement.type, statement.node, below);
    if (child !== run) run.adopt(child);
    if (result.kind === "rows") shapes.push(result.shape);
  }
  return shapes.length === 0 ? SILENT : rows(eitherShape(shapes));
}

function shown(name: string, run: Run): Shape {
  if (name.toLowerCase() === "all") {
    const setting = run.unknown("settings that a session may have set");
    const columns = [
      { name: "name", flow: NOTHING },
      { name: "setting", flow: setting },
      { name: "description", flow: NOTHING },
    ];
    return { columns, open: undefined };
  }
  const flow = flowOfSetting(name) === "nothing" ? NOTHING : run.unknown("a setting that a session may have set");
  return name === "" ? openShape(flow) : { columns: [{ name, flow }], open: undefined };
}
