/**
 * The shape of the syntax tree's JSON. A field of type Node holds `{ TypeName: {…} }`; a field whose type is fixed holds
 * the bare value, and its type must be known from here. From @pgsql/types; a test compares.
 */

import type { Json, JsonObject } from "./parser.ts";

/** Node type → field → type of the bare value in it. Fields that only the server's later stages fill are left out. */
export const FIXED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  AlterDatabaseSetStmt: { setstmt: "VariableSetStmt" },
  AlterDefaultPrivilegesStmt: { action: "GrantStmt" },
  AlterFunctionStmt: { func: "ObjectWithArgs" },
  AlterObjectDependsStmt: { relation: "RangeVar", extname: "String" },
  AlterObjectSchemaStmt: { relation: "RangeVar" },
  AlterOperatorStmt: { opername: "ObjectWithArgs" },
  AlterOwnerStmt: { relation: "RangeVar", newowner: "RoleSpec" },
  AlterPolicyStmt: { table: "RangeVar" },
  AlterRoleSetStmt: { role: "RoleSpec", setstmt: "VariableSetStmt" },
  AlterRoleStmt: { role: "RoleSpec" },
  AlterSeqStmt: { sequence: "RangeVar" },
  AlterSystemStmt: { setstmt: "VariableSetStmt" },
  AlterTableCmd: { newowner: "RoleSpec" },
  AlterTableStmt: { relation: "RangeVar" },
  AlterUserMappingStmt: { user: "RoleSpec" },
  CallStmt: { funccall: "FuncCall" },
  ClusterStmt: { relation: "RangeVar" },
  ColumnDef: { typeName: "TypeName", identitySequence: "RangeVar", collClause: "CollateClause" },
  CommonTableExpr: { search_clause: "CTESearchClause", cycle_clause: "CTECycleClause" },
  CompositeTypeStmt: { typevar: "RangeVar" },
  Constraint: { pktable: "RangeVar" },
  CopyStmt: { relation: "RangeVar" },
  CreateCastStmt: { sourcetype: "TypeName", targettype: "TypeName", func: "ObjectWithArgs" },
  CreateDomainStmt: { typeName: "TypeName", collClause: "CollateClause" },
  CreateForeignTableStmt: { base: "CreateStmt" },
  CreateFunctionStmt: { returnType: "TypeName" },
  CreateOpClassItem: { name: "ObjectWithArgs", storedtype: "TypeName" },
  CreateOpClassStmt: { datatype: "TypeName" },
  CreatePolicyStmt: { table: "RangeVar" },
  CreateSchemaStmt: { authrole: "RoleSpec" },
  CreateSeqStmt: { sequence: "RangeVar" },
  CreateStmt: {
    relation: "RangeVar",
    partbound: "PartitionBoundSpec",
    partspec: "PartitionSpec",
    ofTypename: "TypeName",
  },
  CreateTableAsStmt: { into: "IntoClause" },
  CreateTableSpaceStmt: { owner: "RoleSpec" },
  CreateTransformStmt: { type_name: "TypeName", fromsql: "ObjectWithArgs", tosql: "ObjectWithArgs" },
  CreateTrigStmt: { relation: "RangeVar", constrrel: "RangeVar" },
  CreateUserMappingStmt: { user: "RoleSpec" },
  DeleteStmt: { relation: "RangeVar", returningClause: "ReturningClause", withClause: "WithClause" },
  DropUserMappingStmt: { user: "RoleSpec" },
  FuncCall: { over: "WindowDef" },
  FunctionParameter: { argType: "TypeName" },
  GrantRoleStmt: { grantor: "RoleSpec" },
  GrantStmt: { grantor: "RoleSpec" },
  IndexStmt: { relation: "RangeVar" },
  InsertStmt: {
    relation: "RangeVar",
    onConflictClause: "OnConflictClause",
    returningClause: "ReturningClause",
    withClause: "WithClause",
  },
  IntoClause: { rel: "RangeVar" },
  JoinExpr: { join_using_alias: "Alias", alias: "Alias" },
  JsonAggConstructor: { output: "JsonOutput", over: "WindowDef" },
  JsonArgument: { val: "JsonValueExpr" },
  JsonArrayAgg: { constructor: "JsonAggConstructor", arg: "JsonValueExpr" },
  JsonArrayConstructor: { output: "JsonOutput" },
  JsonArrayQueryConstructor: { output: "JsonOutput", format: "JsonFormat" },
  JsonFuncExpr: {
    context_item: "JsonValueExpr",
    output: "JsonOutput",
    on_empty: "JsonBehavior",
    on_error: "JsonBehavior",
  },
  JsonIsPredicate: { format: "JsonFormat" },
  JsonKeyValue: { value: "JsonValueExpr" },
  JsonObjectAgg: { constructor: "JsonAggConstructor", arg: "JsonKeyValue" },
  JsonObjectConstructor: { output: "JsonOutput" },
  JsonOutput: { typeName: "TypeName", returning: "JsonReturning" },
  JsonParseExpr: { expr: "JsonValueExpr", output: "JsonOutput" },
  JsonReturning: { format: "JsonFormat" },
  JsonScalarExpr: { output: "JsonOutput" },
  JsonSerializeExpr: { expr: "JsonValueExpr", output: "JsonOutput" },
  JsonTable: { context_item: "JsonValueExpr", pathspec: "JsonTablePathSpec", on_error: "JsonBehavior", alias: "Alias" },
  JsonTableColumn: {
    typeName: "TypeName",
    pathspec: "JsonTablePathSpec",
    format: "JsonFormat",
    on_empty: "JsonBehavior",
    on_error: "JsonBehavior",
  },
  JsonValueExpr: { format: "JsonFormat" },
  MergeStmt: { relation: "RangeVar", returningClause: "ReturningClause", withClause: "WithClause" },
  OnConflictClause: { infer: "InferClause" },
  PLAssignStmt: { val: "SelectStmt" },
  PartitionCmd: { name: "RangeVar", bound: "PartitionBoundSpec" },
  PublicationObjSpec: { pubtable: "PublicationTable" },
  PublicationTable: { relation: "RangeVar" },
  RangeFunction: { alias: "Alias" },
  RangeSubselect: { alias: "Alias" },
  RangeTableFunc: { alias: "Alias" },
  RangeTableFuncCol: { typeName: "TypeName" },
  RangeVar: { alias: "Alias" },
  ReassignOwnedStmt: { newrole: "RoleSpec" },
  RefreshMatViewStmt: { relation: "RangeVar" },
  ReindexStmt: { relation: "RangeVar" },
  RenameStmt: { relation: "RangeVar" },
  RuleStmt: { relation: "RangeVar" },
  SelectStmt: { intoClause: "IntoClause", withClause: "WithClause", larg: "SelectStmt", rarg: "SelectStmt" },
  TableLikeClause: { relation: "RangeVar" },
  TypeCast: { typeName: "TypeName" },
  UpdateStmt: { relation: "RangeVar", returningClause: "ReturningClause", withClause: "WithClause" },
  VacuumRelation: { relation: "RangeVar" },
  ViewStmt: { view: "RangeVar" },
  XmlSerialize: { typeName: "TypeName" },
};

export interface Child {
  type: string;
  node: JsonObject;
  /** of the parent, by which this child is reached */
  field: string;
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isTypeName = (key: string): boolean => key.charCodeAt(0) >= 65 && key.charCodeAt(0) <= 90;

/** `{ TypeName: {…} }` → its type and value. */
export function unwrap(value: Json | undefined): { type: string; node: JsonObject } | undefined {
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  const type = keys[0];
  if (keys.length !== 1 || type === undefined || !isTypeName(type)) return undefined;
  const node = value[type];
  return isObject(node) ? { type, node } : { type, node: {} };
}

/** The type given to a bare object in a field that FIXED does not know: it is then treated as opaque. */
export const UNKNOWN_SHAPE = "?";

/** Children of a node in source order, lists of lists included. No recursion: lists are unrolled with a stack. */
export function children(type: string, node: JsonObject, skip?: ReadonlySet<string>): Child[] {
  const found: Child[] = [];
  // Its value is never looked at.
  if (type === "A_Const") return found;
  const fixed = FIXED[type];
  for (const field of Object.keys(node)) {
    if (skip?.has(field)) continue;
    const value = node[field];
    if (typeof value !== "object" || value === null) continue;
    const fixedType = fixed?.[field];
    if (fixedType !== undefined) {
      if (isObject(value)) found.push({ type: fixedType, node: value, field });
      continue;
    }
    unroll(value, field, found);
  }
  return found;
}

function unroll(value: Json, field: string, found: Child[]): void {
  const pending: Json[] = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (next === undefined || typeof next !== "object" || next === null) continue;
    if (Array.isArray(next)) {
      for (let i = next.length - 1; i >= 0; i--) pending.push(next[i] as Json);
      continue;
    }
    if (Object.keys(next).length === 0) continue;
    const inner = unwrap(next);
    if (inner !== undefined) found.push({ ...inner, field });
    else found.push({ type: UNKNOWN_SHAPE, node: next, field });
  }
}

/** The words of a list of String nodes: `[{ String: { sval } }, …]`. Anything else in it is left out. */
export function strings(value: Json | undefined): string[] {
  if (!Array.isArray(value)) return [];
  const words: string[] = [];
  for (const item of value) {
    const inner = unwrap(item);
    if (inner?.type === "String" && typeof inner.node["sval"] === "string") words.push(inner.node["sval"]);
  }
  return words;
}

/** A number, string or boolean as text. */
export const scalar = (value: Json): string => (typeof value === "string" ? value : JSON.stringify(value));

export const text = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value.length > 0 ? value : undefined;

/** `schema.name` from a list of words; a third word in front is a database. */
export function qualified(words: string[]): { schema?: string; name: string } {
  const name = words[words.length - 1] ?? "";
  const schema = words[words.length - 2];
  return schema === undefined ? { name } : { schema, name };
}
