/** Everything that a definition may read, found by walking its whole tree: what is not recognised as harmless counts. */
export interface Reads {
  /** relations named, except common table expressions */
  relations: { schema: string | undefined; name: string }[];
  /** functions, operators or types that are not the server's own, or built-in ones that read what they are told to */
  unbounded: boolean;
}

/** The names that user functions of the database have, so that an unqualified call is not taken for a built-in one. */
export type UserFunctions = ReadonlySet<string>;

// Built-in functions that run a query, or read a file, a large object, another session or a log that they are given the name of.
const READERS = new Set(
  `query_to_xml query_to_xmlschema query_to_xml_and_xmlschema table_to_xml table_to_xmlschema table_to_xml_and_xmlschema
  cursor_to_xml cursor_to_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema database_to_xml
  database_to_xmlschema database_to_xml_and_xmlschema ts_stat pg_read_file pg_read_binary_file pg_ls_dir lo_get loread lo_open
  pg_stat_get_activity pg_stat_get_backend_activity pg_logical_slot_get_changes pg_logical_slot_peek_changes
  pg_logical_slot_get_binary_changes pg_logical_slot_peek_binary_changes current_setting pg_prepared_statement pg_cursor
  pg_show_all_settings pg_show_all_file_settings pg_hba_file_rules pg_mcv_list_items`.split(/\s+/),
);

type Tree = Readonly<Record<string, unknown>>;

export function readsOf(tree: unknown, userFunctions: UserFunctions): Reads {
  const reads: Reads = { relations: [], unbounded: false };
  const ctes = new Set<string>();
  visit(tree, (kind, node) => {
    if (kind === "CommonTableExpr" && typeof node["ctename"] === "string") ctes.add(node["ctename"]);
  });
  visit(tree, (kind, node) => {
    if (kind === "RangeVar") {
      // `relation` of other nodes holds a node with its kind, which is seen by itself
      if (node["relname"] === undefined) return;
      const name = text(node["relname"]);
      const schema = node["schemaname"] === undefined ? undefined : text(node["schemaname"]);
      if (schema !== undefined || !ctes.has(name)) reads.relations.push({ schema, name });
      return;
    }
    const names =
      kind === "FuncCall"
        ? node["funcname"]
        : kind === "TypeName"
          ? node["names"]
          : kind === "A_Expr"
            ? node["name"]
            : undefined;
    if (names === undefined) return;
    const path = strings(names);
    const last = path.at(-1) ?? "";
    const foreign = path.length > 1 && path[0] !== "pg_catalog";
    if (foreign) reads.unbounded = true;
    if (kind === "FuncCall" && (READERS.has(last) || (path.length === 1 && userFunctions.has(last))))
      reads.unbounded = true;
  });
  return reads;
}

/** Calls `see` for every node `{Kind: {…}}` and every bare child of a known kind, depth first. */
function visit(value: unknown, see: (kind: string, node: Tree) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see);
    return;
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    if (typeof child === "object" && child !== null && !Array.isArray(child)) {
      // the parser's JSON writes some children without their kind: the field's name tells it
      const kind = BARE[key] ?? key;
      see(kind, child as Tree);
    }
    visit(child, see);
  }
}

const BARE: Readonly<Record<string, string>> = { relation: "RangeVar", typeName: "TypeName" };

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The texts of a list of `{String: {sval}}`. */
export function strings(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.map((item) => text((item as { String?: { sval?: unknown } }).String?.sval));
}
