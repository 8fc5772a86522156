/**
 * What each kind of statement does. A kind that is not in the table is opaque and administers: a newer grammar is
 * refused by default, never waved through.
 */

import type { Collector, Place } from "./collector.ts";
import { option, targetColumns } from "./collector.ts";
import { restricts, targetNames } from "./effective-where.ts";
import type { Action, RelationRef } from "./outline.ts";
import type { Json, JsonObject } from "./parser.ts";
import { settingEffect } from "./settings.ts";
import { isObject, qualified, scalar, strings, text, unwrap } from "./tree.ts";

/** How the walk goes on below a node. */
export interface Below {
  /** fields that have been dealt with here */
  skip?: ReadonlySet<string>;
  mode?: Place["mode"];
  transfer?: boolean;
  locks?: boolean;
}

type Visit = (node: JsonObject, place: Place, out: Collector) => Below | undefined;

const skip = (...fields: string[]): Below => ({ skip: new Set(fields) });
const SKIP_RELATION = skip("relation");
const OFF = new Set(["false", "off", "0", "no", "none"]);

/** `OBJECT_FOREIGN_TABLE` → `foreign-table`. */
function kindOf(objectType: Json | undefined): string {
  const name = typeof objectType === "string" ? objectType : "OBJECT_UNKNOWN";
  return name.slice("OBJECT_".length).toLowerCase().replaceAll("_", "-").replace("matview", "materialized-view");
}

const RELATION_KINDS = new Set(["table", "view", "materialized-view", "foreign-table", "sequence"]);

/** Changes what a relation is. */
const defines =
  (verb: string, field = "relation", more: Action[] = []): Visit =>
  (node, place, out) => {
    out.verb(verb);
    if (out.relation(node[field], ["define", ...more], place) === undefined) out.bare("define", place);
    for (const action of more) if (!isObject(node[field])) out.bare(action, place);
    return skip(field);
  };

/** Something that no relation stands for. */
const bare =
  (verb: string, ...actions: Action[]): Visit =>
  (_node, place, out) => {
    out.verb(verb);
    for (const action of actions) {
      if (action === "opaque") out.opaque(place);
      else out.bare(action, place);
    }
    return undefined;
  };

/** Makes something whose code the gateway cannot look into. */
const definesCode = (verb: string): Visit => bare(verb, "define", "opaque");

const nothing = (verb: string): Visit => bare(verb);

function insert(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("insert");
  const target = out.relation(node["relation"], ["write"], place);
  const columns = targetColumns(node["cols"]);
  target?.columns.push(...(columns.length > 0 ? columns : ["*"]));
  if (node["returningClause"] !== undefined) target?.actions.push(...readIn(place));
  const conflict = node["onConflictClause"];
  if (isObject(conflict) && conflict["action"] === "ONCONFLICT_UPDATE") {
    out.verb("upsert");
    // Rows that are there are updated: a policy that speaks of `update` means them, too.
    out.verb("update");
    target?.actions.push(...readIn(place));
    if (target !== undefined) {
      target.names.push("excluded");
      target.columns.push(...targetColumns(conflict["targetList"]));
    }
  }
  return SKIP_RELATION;
}

/** Reading back what was written is reading; through COPY it leaves, too. */
const readIn = (place: Place): Action[] => (place.transfer ? ["read", "transfer"] : ["read"]);

function update(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("update");
  const target = out.relation(node["relation"], ["write", "read"], place);
  target?.columns.push(...targetColumns(node["targetList"]));
  if (!restricts(node["whereClause"], targetNames(node["relation"]))) out.everyRow(place);
  return SKIP_RELATION;
}

function remove(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("delete");
  const reads = ["whereClause", "usingClause", "returningClause"].some((field) => node[field] !== undefined);
  out.relation(node["relation"], reads ? ["write", ...readIn(place)] : ["write"], place);
  if (!restricts(node["whereClause"], targetNames(node["relation"]))) out.everyRow(place);
  return SKIP_RELATION;
}

function merge(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("merge");
  const target = out.relation(node["relation"], ["write", ...readIn(place)], place);
  const clauses = Array.isArray(node["mergeWhenClauses"]) ? node["mergeWhenClauses"] : [];
  let changesRows = false;
  for (const item of clauses) {
    const clause = unwrap(item)?.node;
    if (clause === undefined) continue;
    const command = clause["commandType"];
    target?.columns.push(...targetColumns(clause["targetList"]));
    if (command === "CMD_UPDATE") out.verb("update");
    if (command === "CMD_DELETE") out.verb("delete");
    if (command === "CMD_INSERT") out.verb("insert");
    // `WHEN NOT MATCHED BY SOURCE` reaches every row that the source does not have.
    const bySource = clause["matchKind"] === "MERGE_WHEN_NOT_MATCHED_BY_SOURCE";
    if (command === "CMD_UPDATE" || command === "CMD_DELETE") {
      const of = targetNames(node["relation"]);
      if (bySource ? !restricts(clause["condition"], of) : !restricts(node["joinCondition"], of)) changesRows = true;
    }
  }
  if (changesRows) out.everyRow(place);
  return SKIP_RELATION;
}

/** CASCADE reaches what refers to the named relations: the text does not say what that is. */
function cascades(action: Action, place: Place, out: Collector): void {
  out.relationNamed({ name: "?" }, [action], place).columns.push("*");
}

function truncate(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("truncate");
  for (const item of Array.isArray(node["relations"]) ? node["relations"] : []) {
    out.relation(unwrap(item)?.node, ["write"], place)?.columns.push("*");
  }
  if (node["behavior"] === "DROP_CASCADE") cascades("write", place, out);
  out.everyRow(place);
  return skip("relations");
}

const UTF8_NAMES = new Set(["utf8", "utf-8", "unicode"]);

function copy(node: JsonObject, place: Place, out: Collector): Below {
  const reads = node["is_from"] !== true;
  const server = node["is_program"] === true || text(node["filename"]) !== undefined;
  out.verb(reads ? "copy-to" : "copy-from");
  if (server) {
    out.verb(node["is_program"] === true ? "copy-program" : "copy-file");
    out.bare("administer", place);
    out.opaque(place);
  }
  const encoding = option(node["options"], "encoding");
  if (reads && encoding !== undefined && !UTF8_NAMES.has(encoding)) {
    out.draft.unsafeSetting = "COPY must send UTF8, which is what masks are applied to";
  }
  // What goes to a file of the server or to a program leaves as well.
  const inner: Place = { ...place, transfer: reads };
  if (reads) out.bare("transfer", place);
  const relation = node["relation"];
  if (isObject(relation)) {
    const ref = out.relation(relation, [reads ? "read" : "write"], inner);
    const columns = targetColumns(node["attlist"]);
    ref?.columns.push(...(columns.length > 0 ? columns : ["*"]));
    if (reads && ref !== undefined && !server) {
      const { schema, name } = ref;
      out.draft.transferColumns = schema === undefined ? { name, columns } : { schema, name, columns };
    }
  }
  return { skip: new Set(["relation", "attlist"]), transfer: reads };
}

function explain(node: JsonObject, place: Place, out: Collector): Below {
  const analyze = option(node["options"], "analyze");
  const runs = analyze !== undefined && !OFF.has(analyze);
  out.verb(runs ? "explain-analyze" : "explain");
  out.bare("read", place);
  return { skip: new Set(["options"]), mode: runs ? place.mode : "plan" };
}

function creation(ref: RelationRef | undefined): RelationRef | undefined {
  if (ref !== undefined) ref.created = true;
  return ref;
}

/** SELECT INTO and CREATE TABLE AS: a new relation, filled. */
function into(clause: Json | undefined, verb: string, place: Place, out: Collector): void {
  out.verb(verb);
  const rel = isObject(clause) ? clause["rel"] : undefined;
  creation(out.relation(rel, ["define", "write"], place))?.columns.push("*");
}

function createTableAs(node: JsonObject, place: Place, out: Collector): Below {
  into(node["into"], node["objtype"] === "OBJECT_MATVIEW" ? "create-materialized-view" : "create-table-as", place, out);
  return skip("into");
}

function select(node: JsonObject, place: Place, out: Collector): Below | undefined {
  const values = Array.isArray(node["valuesLists"]) && node["fromClause"] === undefined;
  if (!values) out.verb("select");
  if (!values || place.field !== "selectStmt") out.bare("read", place);
  if (values && place.field !== "selectStmt") out.verb("values");
  const below: Below = node["lockingClause"] === undefined ? {} : { locks: true };
  if (node["intoClause"] === undefined) return below;
  into(node["intoClause"], "select-into", place, out);
  return { ...below, ...skip("intoClause") };
}

function drop(node: JsonObject, place: Place, out: Collector): Below {
  const kind = kindOf(node["removeType"]);
  out.verb(`drop-${kind}`);
  for (const item of Array.isArray(node["objects"]) ? node["objects"] : []) {
    const words = nameWords(item);
    if (RELATION_KINDS.has(kind)) out.relationNamed(qualified(words), ["define"], place).columns.push("*");
    else if (kind === "trigger" || kind === "rule" || kind === "policy") {
      const of = words.slice(0, -1);
      if (of.length > 0)
        out.relationNamed(qualified(of), kind === "policy" ? ["define", "administer"] : ["define"], place);
      else out.bare("define", place);
    } else if (kind === "schema") out.bare("define", place, words[words.length - 1]);
    else out.bare("define", place, words.length > 1 ? words[words.length - 2] : undefined);
  }
  if (node["behavior"] === "DROP_CASCADE") cascades("define", place, out);
  if (ADMINISTERED_KINDS.has(kind)) out.bare("administer", place);
  if (!Array.isArray(node["objects"])) out.bare("define", place);
  return skip("objects");
}

const ADMINISTERED_KINDS = new Set([
  "extension",
  "event-trigger",
  "foreign-server",
  "fdw",
  "language",
  "access-method",
  "publication",
  "user-mapping",
]);

/** An object's name: a List of Strings, a String, a TypeName or an ObjectWithArgs. */
function nameWords(item: Json): string[] {
  const inner = unwrap(item);
  if (inner === undefined) return [];
  if (inner.type === "List") return strings(inner.node["items"]);
  if (inner.type === "String") return strings([item]);
  if (inner.type === "TypeName") return strings(inner.node["names"]);
  if (inner.type === "ObjectWithArgs") return strings(inner.node["objname"]);
  return [];
}

/** COMMENT, RENAME, OWNER, SET SCHEMA on an object of any kind. */
const alters =
  (verb: string, kindField: string, more: Action[] = []): Visit =>
  (node, place, out) => {
    const kind = kindOf(node[kindField]);
    out.verb(`${verb}${kind}`);
    const actions: Action[] = ["define", ...more];
    const object = isObject(node["object"]) ? node["object"] : undefined;
    const words = object === undefined ? [] : nameWords(object);
    // `COMMENT ON COLUMN a.b.c`, `… ON TRIGGER t ON a.b`: the last word is a part of the relation.
    const part =
      kind === "column" || kind === "tabconstraint" || kind === "trigger" || kind === "rule" || kind === "policy";
    if (isObject(node["relation"])) out.relation(node["relation"], actions, place);
    else if (words.length > 0 && RELATION_KINDS.has(kind)) out.relationNamed(qualified(words), actions, place);
    else if (words.length > 1 && part) out.relationNamed(qualified(words.slice(0, -1)), actions, place);
    else for (const action of actions) out.bare(action, place, kind === "schema" ? words[0] : undefined);
    return skip("relation", "object");
  };

const TRANSACTION_VERBS: Record<string, string> = {
  TRANS_STMT_BEGIN: "begin",
  TRANS_STMT_START: "begin",
  TRANS_STMT_COMMIT: "commit",
  TRANS_STMT_ROLLBACK: "rollback",
  TRANS_STMT_SAVEPOINT: "savepoint",
  TRANS_STMT_RELEASE: "release-savepoint",
  TRANS_STMT_ROLLBACK_TO: "rollback-to",
};

function transaction(node: JsonObject, place: Place, out: Collector): undefined {
  const kind = typeof node["kind"] === "string" ? node["kind"] : "TRANS_STMT_BEGIN";
  const verb = TRANSACTION_VERBS[kind];
  out.verb(verb ?? kind.slice("TRANS_STMT_".length).toLowerCase().replaceAll("_", "-"));
  // PREPARE TRANSACTION and its like leave locks behind that outlive the session.
  if (verb === undefined) out.bare("administer", place);
}

function setting(node: JsonObject, place: Place, out: Collector): Below {
  const kind = typeof node["kind"] === "string" ? node["kind"] : "VAR_SET_VALUE";
  const reset = kind === "VAR_RESET" || kind === "VAR_RESET_ALL" || kind === "VAR_SET_DEFAULT";
  out.verb(kind.startsWith("VAR_RESET") ? "reset" : "set");
  out.draft.sessionEffect = true;
  if (kind === "VAR_RESET_ALL") {
    out.settings.add("*");
    out.draft.movesSearchPath = true;
    return skip("args");
  }
  const name = (text(node["name"]) ?? "").toLowerCase();
  // SET TRANSACTION, SET SESSION CHARACTERISTICS; `SET TRANSACTION SNAPSHOT` too
  if (kind === "VAR_SET_MULTI") {
    out.settings.add(name);
    return skip("args");
  }
  const args = Array.isArray(node["args"]) ? node["args"] : [];
  const value = args.length === 1 ? constantText(args[0]) : undefined;
  const known =
    reset || kind === "VAR_SET_CURRENT" || (args.length === 1 ? value !== undefined : name === "search_path");
  out.setting(name, settingEffect({ name, value: reset ? undefined : value, known }), place);
  return skip("args");
}

/** The value of a constant as text; undefined: no constant. */
export function constantText(value: Json | undefined): string | undefined {
  const inner = unwrap(value);
  if (inner?.type !== "A_Const") return undefined;
  const node = inner.node;
  for (const field of ["sval", "fval", "ival", "boolval"]) {
    const holder = node[field];
    if (!isObject(holder)) continue;
    const held = holder["sval"] ?? holder["fval"] ?? holder["ival"] ?? holder["boolval"];
    return held === undefined ? (field === "sval" ? "" : field === "boolval" ? "false" : "0") : scalar(held);
  }
  return undefined;
}

function lock(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("lock");
  // ACCESS SHARE is what a SELECT takes (pg_dump asks for it); any other keeps somebody out.
  const shares = node["mode"] === 1 || node["mode"] === undefined;
  for (const item of Array.isArray(node["relations"]) ? node["relations"] : []) {
    out.relation(unwrap(item)?.node, [shares ? "read" : "write"], place);
  }
  return skip("relations");
}

function vacuum(node: JsonObject, place: Place, out: Collector): Below {
  out.verb(node["is_vacuumcmd"] === true ? "vacuum" : "analyze");
  const rels = Array.isArray(node["rels"]) ? node["rels"] : [];
  for (const item of rels) out.relation(unwrap(item)?.node["relation"], ["write"], place);
  if (rels.length === 0) out.bare("write", place);
  return skip("rels");
}

function trigger(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-trigger");
  out.relation(node["relation"], ["define"], place);
  // The trigger's function will run with whoever writes: what it does is not known here.
  out.opaque(place);
  return skip("relation", "funcname");
}

function createFunction(node: JsonObject, place: Place, out: Collector): Below {
  out.verb(node["is_procedure"] === true ? "create-procedure" : "create-function");
  const words = strings(node["funcname"]);
  out.bare("define", place, words.length > 1 ? words[words.length - 2] : undefined);
  out.opaque(place);
  return { skip: new Set(["funcname", "parameters", "returnType", "options"]), mode: "plan" };
}

function call(_node: JsonObject, place: Place, out: Collector): undefined {
  out.verb("call");
  out.opaque(place);
  out.changesSchema(place);
}

function runBlock(_node: JsonObject, place: Place, out: Collector): Below {
  out.verb("do");
  out.opaque(place);
  out.changesSchema(place);
  return skip("args");
}

function statistics(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-statistics");
  for (const item of Array.isArray(node["relations"]) ? node["relations"] : []) {
    out.relation(unwrap(item)?.node, ["define"], place);
  }
  return skip("relations", "defnames");
}

function reindex(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("reindex");
  if (node["kind"] === "REINDEX_OBJECT_TABLE") out.relation(node["relation"], ["define"], place);
  else out.bare("define", place);
  return SKIP_RELATION;
}

function rowLock(_node: JsonObject, _place: Place, out: Collector): Below {
  // lockedRels are aliases, not relations
  out.verb("lock-rows");
  return skip("lockedRels");
}

function createSchema(node: JsonObject, place: Place, out: Collector): undefined {
  out.verb("create-schema");
  out.bare("define", place, text(node["schemaname"]));
}

function create(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-table");
  const ref = creation(out.relation(node["relation"], ["define"], place));
  if (ref?.temporary === true) out.verb("create-temporary");
  return SKIP_RELATION;
}

function foreignTable(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-foreign-table");
  const base = isObject(node["base"]) ? node["base"] : {};
  creation(out.relation(base["relation"], ["define", "administer"], place));
  return skip("base", "options");
}

function view(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-view");
  creation(out.relation(node["view"], ["define"], place));
  return { skip: new Set(["view", "options"]), mode: "plan" };
}

function createSequence(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-sequence");
  creation(out.relation(node["sequence"], ["define"], place));
  return skip("sequence", "options");
}

function rule(node: JsonObject, place: Place, out: Collector): Below {
  out.verb("create-rule");
  out.relation(node["relation"], ["define"], place);
  return SKIP_RELATION;
}

function alterTable(node: JsonObject, place: Place, out: Collector): Below {
  const kind = kindOf(node["objtype"]);
  out.verb(`alter-${kind}`);
  const cmds = Array.isArray(node["cmds"]) ? node["cmds"] : [];
  let administers = false;
  for (const item of cmds) {
    const subtype = unwrap(item)?.node["subtype"];
    if (typeof subtype !== "string") continue;
    if (subtype === "AT_ChangeOwner" || subtype.endsWith("RowSecurity")) administers = true;
    if (subtype === "AT_DropColumn") out.verb("drop-column");
  }
  if (kind === "index") {
    out.bare("define", place);
    return SKIP_RELATION;
  }
  out.relation(node["relation"], administers ? ["define", "administer"] : ["define"], place);
  return SKIP_RELATION;
}

const fetch: Visit = (node, place, out) => {
  out.verb(node["ismove"] === true ? "move" : "fetch");
  out.use("cursor", text(node["portalname"]) ?? "", place);
  return undefined;
};

const execute: Visit = (node, place, out) => {
  out.verb("execute");
  out.use("prepared", text(node["name"]) ?? "", place);
  return undefined;
};

/** PREPARE only names: what it does is decided where it is executed. */
const prepare: Visit = (_node, _place, out) => {
  out.verb("prepare");
  return { mode: "plan" };
};

const declare: Visit = (_node, _place, out) => {
  out.verb("declare-cursor");
  return undefined;
};

const administer = (verb: string, ...more: Action[]): Visit => bare(verb, "administer", ...more);

/** GRANT and its like name objects and roles, never data. */
const SKIP_ALL = skip(
  "objects",
  "privileges",
  "grantees",
  "options",
  "action",
  "role",
  "granted_roles",
  "grantee_roles",
  "setstmt",
);
const administerOnly =
  (verb: string): Visit =>
  (_node, place, out) => {
    out.verb(verb);
    out.bare("administer", place);
    return SKIP_ALL;
  };

export const STATEMENTS: ReadonlyMap<string, Visit> = new Map<string, Visit>([
  ["SelectStmt", select],
  ["InsertStmt", insert],
  ["UpdateStmt", update],
  ["DeleteStmt", remove],
  ["MergeStmt", merge],
  ["TruncateStmt", truncate],
  ["CopyStmt", copy],
  ["ExplainStmt", explain],
  ["CreateTableAsStmt", createTableAs],
  ["PrepareStmt", prepare],
  ["ExecuteStmt", execute],
  ["DeallocateStmt", nothing("deallocate")],
  ["DeclareCursorStmt", declare],
  ["FetchStmt", fetch],
  ["ClosePortalStmt", nothing("close-cursor")],
  ["TransactionStmt", transaction],
  ["VariableSetStmt", setting],
  ["VariableShowStmt", nothing("show")],
  ["ConstraintsSetStmt", () => skip("constraints")],
  [
    "DiscardStmt",
    (_n, _p, out) => (
      out.verb("discard"),
      (out.draft.sessionEffect = true),
      (out.draft.movesSearchPath = true),
      undefined
    ),
  ],
  ["LockStmt", lock],
  ["LockingClause", rowLock],
  ["VacuumStmt", vacuum],
  ["ListenStmt", bare("listen", "read")],
  ["UnlistenStmt", nothing("unlisten")],
  ["NotifyStmt", bare("notify", "write")],

  ["CreateStmt", create],
  ["CreateForeignTableStmt", foreignTable],
  ["AlterTableStmt", alterTable],
  ["ViewStmt", view],
  ["IndexStmt", defines("create-index")],
  ["RefreshMatViewStmt", defines("refresh-materialized-view", "relation", ["write"])],
  ["ClusterStmt", defines("cluster")],
  ["ReindexStmt", reindex],
  ["CreateStatsStmt", statistics],
  ["AlterStatsStmt", bare("alter-statistics", "define")],
  ["CreateSeqStmt", createSequence],
  ["AlterSeqStmt", defines("alter-sequence", "sequence")],
  ["RuleStmt", rule],
  ["CreateTrigStmt", trigger],
  ["CreatePolicyStmt", defines("create-policy", "table", ["administer"])],
  ["AlterPolicyStmt", defines("alter-policy", "table", ["administer"])],
  ["CreateSchemaStmt", createSchema],
  ["DropStmt", drop],
  ["RenameStmt", alters("rename-", "renameType")],
  ["AlterObjectSchemaStmt", alters("alter-schema-of-", "objectType")],
  ["AlterObjectDependsStmt", alters("alter-depends-of-", "objectType")],
  ["AlterOwnerStmt", alters("alter-owner-of-", "objectType", ["administer"])],
  ["CommentStmt", alters("comment-on-", "objtype")],
  ["SecLabelStmt", alters("label-", "objtype", ["administer"])],
  ["CompositeTypeStmt", (_n, place, out) => (out.verb("create-type"), out.bare("define", place), skip("typevar"))],
  ["CreateEnumStmt", bare("create-type", "define")],
  ["CreateRangeStmt", definesCode("create-type")],
  ["AlterEnumStmt", bare("alter-type", "define")],
  ["AlterTypeStmt", definesCode("alter-type")],
  ["CreateDomainStmt", bare("create-domain", "define")],
  ["AlterDomainStmt", bare("alter-domain", "define")],
  ["AlterCollationStmt", bare("alter-collation", "define")],
  ["AlterTSDictionaryStmt", bare("alter-text-search", "define")],
  ["AlterTSConfigurationStmt", bare("alter-text-search", "define")],
  ["AlterOperatorStmt", definesCode("alter-operator")],
  ["CreateOpFamilyStmt", bare("create-operator-family", "define")],
  ["CreateOpClassStmt", definesCode("create-operator-class")],
  ["AlterOpFamilyStmt", definesCode("alter-operator-family")],
  [
    "DefineStmt",
    (node, place, out) => (definesCode(`create-${kindOf(node["kind"])}`)(node, place, out), skip("definition", "args")),
  ],
  ["CreateCastStmt", (node, place, out) => (definesCode("create-cast")(node, place, out), skip("func"))],
  ["CreateFunctionStmt", createFunction],
  [
    "AlterFunctionStmt",
    (node, place, out) => (definesCode("alter-function")(node, place, out), skip("func", "actions")),
  ],
  ["CallStmt", call],
  ["DoStmt", runBlock],

  ["GrantStmt", administerOnly("grant")],
  ["GrantRoleStmt", administerOnly("grant-role")],
  ["AlterDefaultPrivilegesStmt", administerOnly("alter-default-privileges")],
  ["CreateRoleStmt", administerOnly("create-role")],
  ["AlterRoleStmt", administerOnly("alter-role")],
  ["AlterRoleSetStmt", administerOnly("alter-role")],
  ["DropRoleStmt", administerOnly("drop-role")],
  ["DropOwnedStmt", administer("drop-owned", "define")],
  ["ReassignOwnedStmt", administer("reassign-owned", "define")],
  ["AlterSystemStmt", administerOnly("alter-system")],
  ["CheckPointStmt", administer("checkpoint")],
  ["LoadStmt", administer("load", "opaque")],
  ["CreatedbStmt", administerOnly("create-database")],
  ["AlterDatabaseStmt", administerOnly("alter-database")],
  ["AlterDatabaseRefreshCollStmt", administerOnly("alter-database")],
  ["AlterDatabaseSetStmt", administerOnly("alter-database")],
  ["DropdbStmt", administerOnly("drop-database")],
  ["CreateTableSpaceStmt", administerOnly("create-tablespace")],
  ["DropTableSpaceStmt", administerOnly("drop-tablespace")],
  ["AlterTableSpaceOptionsStmt", administerOnly("alter-tablespace")],
  ["AlterTableMoveAllStmt", administer("alter-table", "define")],
  ["ReplicaIdentityStmt", () => undefined],
  ["CreateExtensionStmt", administer("create-extension", "define", "opaque")],
  ["AlterExtensionStmt", administer("alter-extension", "define", "opaque")],
  [
    "AlterExtensionContentsStmt",
    (node, place, out) => (administer("alter-extension", "define")(node, place, out), skip("object")),
  ],
  [
    "CreateFdwStmt",
    (node, place, out) => (
      administer("create-foreign-data-wrapper", "define", "opaque")(node, place, out),
      skip("func_options", "options")
    ),
  ],
  [
    "AlterFdwStmt",
    (node, place, out) => (
      administer("alter-foreign-data-wrapper", "define", "opaque")(node, place, out),
      skip("func_options", "options")
    ),
  ],
  ["CreateForeignServerStmt", administer("create-server", "define")],
  ["AlterForeignServerStmt", administer("alter-server", "define")],
  ["CreateUserMappingStmt", administerOnly("create-user-mapping")],
  ["AlterUserMappingStmt", administerOnly("alter-user-mapping")],
  ["DropUserMappingStmt", administerOnly("drop-user-mapping")],
  [
    "ImportForeignSchemaStmt",
    (node, place, out) => (administer("import-foreign-schema", "define")(node, place, out), skip("table_list")),
  ],
  ["CreateAmStmt", administer("create-access-method", "define", "opaque")],
  [
    "CreateEventTrigStmt",
    (node, place, out) => (administer("create-event-trigger", "define", "opaque")(node, place, out), skip("funcname")),
  ],
  ["AlterEventTrigStmt", administer("alter-event-trigger", "define")],
  ["CreatePLangStmt", administer("create-language", "define", "opaque")],
  ["CreateConversionStmt", administer("create-conversion", "define", "opaque")],
  [
    "CreateTransformStmt",
    (node, place, out) => (
      administer("create-transform", "define", "opaque")(node, place, out),
      skip("fromsql", "tosql")
    ),
  ],
  ["CreatePublicationStmt", administer("create-publication", "define")],
  ["AlterPublicationStmt", administer("alter-publication", "define")],
  ["CreateSubscriptionStmt", administer("create-subscription", "define", "opaque")],
  ["AlterSubscriptionStmt", administer("alter-subscription", "define", "opaque")],
  ["DropSubscriptionStmt", administer("drop-subscription", "define")],
]);

/** A kind that the table does not know. */
export function unknownStatement(type: string, place: Place, out: Collector): void {
  out.verb(type.replace("Stmt", "").toLowerCase());
  out.bare("administer", place);
  out.opaque(place);
  out.changesSchema(place);
}
