/**
 * What the value of a call carries, by the function's name. Only for names that mean the server's own function: the
 * caller has made sure that no function of a user shares the name (docs/masking-functions.md).
 *
 * Immutable functions carry their arguments, by the server's own word; the generated table knows them. What is stable or
 * volatile is listed here, with the reason, or it is unknown. An overload that could do more decides for all of its name.
 */

import { HARMLESS_SETTINGS, IMMUTABLE, RESULT_COLUMNS } from "./function-table.ts";

/**
 * `arguments`: nothing but what its arguments carry, and descriptions of the database that everybody may read.
 * `nothing`: not even that; the arguments are probed at most.
 * `unknown`: anything at all.
 */
export type FunctionFlow = "arguments" | "nothing" | "unknown";

const FLOWS = new Map<string, FunctionFlow>();

function are(flow: FunctionFlow, names: string): void {
  for (const name of names.split(/\s+/)) if (name !== "") FLOWS.set(name, flow);
}

// Counts and positions. How many there are is not hidden; what was counted is probed. Not `ntile`, whose result is
// computed from its argument.
are("nothing", "count regr_count row_number rank dense_rank percent_rank cume_dist");

// The type and the collation of an expression are known before it has a value.
are("nothing", "pg_typeof pg_collation_for");

// Clocks, chance, identity of the session, the server and the transaction; nobody's data. (Where chance has arguments, they
// are its bounds: see below.)
are(
  "nothing",
  `now clock_timestamp statement_timestamp transaction_timestamp timeofday gen_random_uuid uuidv4 version unicode_version
   icu_unicode_version pg_backend_pid pg_postmaster_start_time pg_conf_load_time pg_is_in_recovery pg_jit_available
   pg_numa_available current_database current_catalog current_schema current_user session_user user system_user
   getpgusername getdatabaseencoding pg_client_encoding inet_client_addr inet_client_port inet_server_addr
   inet_server_port pg_my_temp_schema pg_trigger_depth pg_current_xact_id pg_current_xact_id_if_assigned
   pg_current_snapshot txid_current txid_current_if_assigned txid_current_snapshot pg_export_snapshot
   pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn
   pg_last_xact_replay_timestamp pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_control_checkpoint
   pg_control_init pg_control_recovery pg_control_system pg_last_committed_xact lastval get_current_ts_config
   pg_notification_queue_usage pg_stat_get_snapshot_timestamp pg_stat_clear_snapshot pg_stat_force_next_flush`,
);

// Lists that come with the server, and what the session itself has sent in the clear.
are(
  "nothing",
  `pg_get_keywords pg_timezone_names pg_timezone_abbrevs pg_timezone_abbrevs_abbrevs pg_timezone_abbrevs_zone
   pg_available_extensions pg_available_extension_versions pg_get_catalog_foreign_keys pg_get_wait_events
   pg_get_wal_resource_managers current_query pg_prepared_statement pg_cursor pg_listening_channels`,
);

// They return void, or whether a lock was got. What they do with their arguments is another matter: keepsArguments().
are(
  "nothing",
  `pg_sleep pg_sleep_for pg_sleep_until setseed pg_notify pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock
   pg_advisory_xact_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
   pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared`,
);

// Stable because of the session's time zone, date style, money format, encoding, XML option or text search
// configuration; or because they call the output function or a cast of their argument's type.
are(
  "arguments",
  `age date date_add date_part date_subtract date_trunc extract generate_series make_timestamptz overlaps time timestamp
   timestamptz timetz timezone to_char to_date to_number to_timestamp in_range money numeric xml xml_is_well_formed
   concat concat_ws format quote_literal quote_nullable array_to_string textanycat anytextcat length convert convert_from
   convert_to to_json to_jsonb row_to_json array_to_json json_agg json_agg_strict jsonb_agg jsonb_agg_strict
   json_build_array json_build_object jsonb_build_array jsonb_build_object json_object_agg json_object_agg_strict
   json_object_agg_unique json_object_agg_unique_strict json_populate_record json_populate_recordset json_to_record
   json_to_recordset jsonb_populate_record jsonb_populate_record_valid jsonb_populate_recordset jsonb_to_record
   jsonb_to_recordset jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_tz jsonb_path_query_array_tz
   jsonb_path_query_first_tz to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery
   json_to_tsvector jsonb_to_tsvector ts_headline ts_match_tq ts_match_tt ts_parse ts_token_type ts_debug
   interval_pl_timestamptz timestamptz_pl_interval timestamptz_mi_interval`,
);

// Chance within its arguments, or a choice of them. The time within a uuidv7 is shifted by its argument.
are("arguments", "random random_normal array_sample array_shuffle uuidv7");

// Enums: their labels are part of the schema.
are("arguments", "enum_first enum_last enum_range");

// Names, definitions, comments, privileges and visibility of objects: what the catalogs say to everybody. A definition
// has the constants that its author wrote, as pg_views has.
are(
  "arguments",
  `format_type oidvectortypes obj_description col_description shobj_description regclass to_regclass to_regcollation
   to_regnamespace to_regoper to_regoperator to_regproc to_regprocedure to_regrole to_regtype to_regtypemod pg_basetype
   pg_get_constraintdef pg_get_expr pg_get_function_arg_default pg_get_function_arguments
   pg_get_function_identity_arguments pg_get_function_result pg_get_function_sqlbody pg_get_functiondef pg_get_indexdef
   pg_get_object_address pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables
   pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
   pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid pg_get_viewdef
   pg_get_acl aclexplode pg_describe_object pg_identify_object pg_identify_object_as_address pg_options_to_table
   pg_partition_ancestors pg_partition_tree pg_sequence_parameters pg_extension_update_paths pg_settings_get_flags
   pg_tablespace_databases pg_tablespace_location pg_filenode_relation pg_relation_filenode pg_relation_filepath
   pg_relation_is_publishable pg_relation_is_updatable pg_column_is_updatable pg_index_column_has_property
   pg_index_has_property pg_indexam_has_property pg_collation_actual_version pg_database_collation_actual_version
   pg_char_to_encoding pg_encoding_to_char pg_is_other_temp_schema current_schemas row_security_active amvalidate
   pg_collation_is_visible pg_conversion_is_visible pg_function_is_visible pg_opclass_is_visible pg_operator_is_visible
   pg_opfamily_is_visible pg_statistics_obj_is_visible pg_table_is_visible pg_ts_config_is_visible pg_ts_dict_is_visible
   pg_ts_parser_is_visible pg_ts_template_is_visible pg_type_is_visible has_any_column_privilege has_column_privilege
   has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege
   has_largeobject_privilege has_parameter_privilege has_schema_privilege has_sequence_privilege has_server_privilege
   has_table_privilege has_tablespace_privilege has_type_privilege pg_has_role _pg_index_position`,
);

// Sizes and counters of relations, databases and transactions: numbers about the storage, not about a value. The size of
// one value is computed from it.
are(
  "arguments",
  `pg_column_size pg_column_compression pg_column_toast_chunk_id pg_database_size pg_indexes_size pg_relation_size
   pg_table_size pg_tablespace_size pg_total_relation_size mxid_age txid_status pg_xact_status pg_xact_commit_timestamp
   pg_xact_commit_timestamp_origin pg_blocking_pids pg_safe_snapshot_blocking_pids pg_split_walfile_name
   pg_stat_get_analyze_count pg_stat_get_autoanalyze_count pg_stat_get_autovacuum_count pg_stat_get_blocks_fetched
   pg_stat_get_blocks_hit pg_stat_get_dead_tuples pg_stat_get_function_calls pg_stat_get_function_self_time
   pg_stat_get_function_total_time pg_stat_get_ins_since_vacuum pg_stat_get_last_analyze_time
   pg_stat_get_last_autoanalyze_time pg_stat_get_last_autovacuum_time pg_stat_get_last_vacuum_time pg_stat_get_lastscan
   pg_stat_get_live_tuples pg_stat_get_mod_since_analyze pg_stat_get_numscans pg_stat_get_tuples_deleted
   pg_stat_get_tuples_fetched pg_stat_get_tuples_hot_updated pg_stat_get_tuples_inserted pg_stat_get_tuples_newpage_updated
   pg_stat_get_tuples_returned pg_stat_get_tuples_updated pg_stat_get_vacuum_count pg_stat_get_db_numbackends
   pg_stat_get_db_xact_commit pg_stat_get_db_xact_rollback`,
);

// The state of a sequence is a counter; setval returns what it was given, and so does set_config.
are("arguments", "nextval currval setval pg_sequence_last_value pg_get_sequence_data set_config");

// Not listed, and so unknown: current_setting (settings hold what set_config put there; flowOfSetting), lo_* and loread,
// files and directories, *_to_xml and ts_stat (run a text), ts_rewrite (one overload does), pg_input_* and *_in (run code of
// the type they are told), logical slots, pg_stat_get_activity and all about other sessions, pg_mcv_list_items (samples),
// pg_show_all_settings, pg_lock_status, pg_get_backend_memory_contexts (texts of statements), currtid2.

/** @param name without its schema, as the server has it (lower case unless quoted) */
export function flowOf(name: string): FunctionFlow {
  return FLOWS.get(name) ?? (IMMUTABLE.has(name) ? "arguments" : "unknown");
}

/**
 * What SHOW and current_setting('…') tell. Numbers, booleans and words of a short list, settings that no session can
 * change, and a few that every driver asks for: nothing. Texts that a session can set freely, custom settings, and what
 * is not a constant (undefined): unknown.
 */
export function flowOfSetting(name: string | undefined): "nothing" | "unknown" {
  return name !== undefined && HARMLESS_SETTINGS.has(name.toLowerCase()) ? "nothing" : "unknown";
}

// A later statement, or another session, can read there what was given to them: in pg_locks, in a sequence, in a
// setting, by a notification, in a large object, in the write-ahead log, out of random().
const KEEPERS: ReadonlySet<string> = new Set([
  ..."pg_advisory_lock pg_advisory_lock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared".split(" "),
  ..."pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock".split(" "),
  ..."pg_try_advisory_xact_lock_shared setval set_config setseed pg_notify lo_put lowrite lo_from_bytea lo_create".split(
    " ",
  ),
  ..."lo_creat lo_import lo_export pg_logical_emit_message pg_create_restore_point".split(" "),
  ..."pg_replication_origin_create pg_create_logical_replication_slot pg_create_physical_replication_slot".split(" "),
]);

/** Does the function put its arguments where they can be read again? Its result says nothing about that. */
export const keepsArguments = (name: string): boolean => KEEPERS.has(name);

interface Overload {
  least: number;
  most: number;
  /** undefined: what it returns depends on the call */
  columns: readonly string[] | undefined;
}

const OVERLOADS: ReadonlyMap<string, readonly Overload[]> = parseColumns(RESULT_COLUMNS);
const ONE_VALUE: readonly string[] = [];

function parseColumns(table: string): Map<string, Overload[]> {
  const overloads = new Map<string, Overload[]>();
  for (const line of table.trim().split("\n")) {
    const [name = "", counts = "", ...columns] = line.split(" ");
    const [least = "", most = least] = counts.split("-");
    const overload: Overload = {
      least: Number(least),
      most: most === "" ? Number.POSITIVE_INFINITY : Number(most),
      columns: columns[0] === "?" ? undefined : columns,
    };
    overloads.set(name, [...(overloads.get(name) ?? []), overload]);
  }
  return overloads;
}

/**
 * The columns of a function in FROM.
 *
 * - one or more names: its OUT or TABLE columns. A single one keeps its name whatever the alias of the item is
 *   (`json_array_elements(…) AS e` is `e.value`), unless the alias lists columns.
 * - `[]`: it returns one plain value. The column has the alias of the item, or else the name of the function.
 * - undefined: not known. No function of this name is known, or its overloads or versions differ, or the columns depend
 *   on the call (`unnest` of an array of rows, `json_to_record` with its list of columns).
 */
export function columnsOf(name: string, argumentCount: number): readonly string[] | undefined {
  const known = OVERLOADS.get(name);
  if (known === undefined) return FLOWS.has(name) || IMMUTABLE.has(name) ? ONE_VALUE : undefined;
  const fitting = known.filter(({ least, most }) => least <= argumentCount && argumentCount <= most);
  const [first, ...others] = fitting;
  if (first?.columns === undefined) return undefined;
  return others.every(({ columns }) => columns?.join(" ") === first.columns?.join(" ")) ? first.columns : undefined;
}
