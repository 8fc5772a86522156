/**
 * What the server's own functions do beyond computing a value. Those that are not listed compute, look at catalogs or
 * lock: nothing beyond the `read` of the statement that calls them.
 *
 * administer   reaches into the server, its files, its other sessions or its replication
 * opaque       runs text that it is given, or returns what no analysis of the call can name
 * write        changes data or a sequence
 * hidden       returns what a hidden catalog holds (see catalogs.ts)
 */

export interface BuiltinEffect {
  administer?: true;
  opaque?: true;
  write?: true;
  /** a relation of pg_catalog that it reads from, or writes to */
  hidden?: string;
}

const list = (text: string): string[] => text.split(/\s+/).filter((word) => word.length > 0);

const EFFECTS = new Map<string, BuiltinEffect>();

function effect(names: string, what: BuiltinEffect): void {
  for (const name of list(names)) EFFECTS.set(name, what);
}

// Files and directories of the server.
effect(
  `pg_read_file pg_read_file_old pg_read_binary_file pg_file_read pg_file_write pg_file_rename pg_file_unlink pg_file_sync
   pg_file_length pg_stat_file pg_logdir_ls pg_ls_dir pg_ls_archive_statusdir pg_ls_logdir pg_ls_logicalmapdir
   pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir lo_import lo_export`,
  { administer: true, opaque: true },
);

// Text that is run as SQL, or a cursor or relation named by a value.
effect(
  `query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema
   table_to_xml table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema
   schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema ts_stat
   dblink dblink_exec dblink_open dblink_fetch dblink_close dblink_connect dblink_connect_u dblink_send_query
   dblink_get_result dblink_build_sql_insert dblink_build_sql_update dblink_build_sql_delete
   dblink_get_notify postgres_fdw_get_connections crosstab crosstab2 crosstab3 crosstab4 connectby xpath_table`,
  { opaque: true },
);

// A type named by a value: its input function, or a domain's checks, are run.
effect(
  `pg_input_is_valid pg_input_error_info domain_in domain_recv array_in array_recv record_in record_recv enum_in
   enum_recv range_in range_recv multirange_in multirange_recv`,
  { opaque: true },
);

// Replication, write-ahead log, backup, other sessions, statistics, upgrade support.
effect(
  `pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_current_logfile
   pg_switch_wal pg_switch_xlog pg_create_restore_point pg_promote pg_wal_replay_pause pg_wal_replay_resume
   pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
   pg_create_physical_replication_slot pg_create_logical_replication_slot pg_copy_physical_replication_slot
   pg_copy_logical_replication_slot pg_drop_replication_slot pg_replication_slot_advance pg_sync_replication_slots
   pg_replication_origin_advance pg_replication_origin_create pg_replication_origin_drop
   pg_replication_origin_session_reset pg_replication_origin_session_setup pg_replication_origin_xact_reset
   pg_replication_origin_xact_setup pg_log_backend_memory_contexts pg_log_standby_snapshot
   pg_logical_emit_message pg_import_system_collations pg_nextoid pg_stop_making_pinned_objects
   pg_restore_attribute_stats pg_restore_relation_stats pg_clear_attribute_stats pg_clear_relation_stats
   pg_stat_reset pg_stat_reset_backend_stats pg_stat_reset_replication_slot pg_stat_reset_shared
   pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters pg_stat_reset_slru
   pg_stat_reset_subscription_stats pg_stat_statements_reset pg_extension_config_dump
   brin_summarize_new_values brin_summarize_range brin_desummarize_range gin_clean_pending_list
   pg_show_all_file_settings pg_hba_file_rules pg_ident_file_mappings`,
  { administer: true },
);
effect(
  `pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_logical_slot_peek_changes
   pg_logical_slot_peek_binary_changes pg_wal_summary_contents`,
  { administer: true, opaque: true },
);

// Sequences. currval and lastval only tell the session what it did itself.
effect("nextval setval", { write: true });
// A notification reaches other sessions; its payload is looked at where it is called (walk.ts).
effect("pg_notify", { write: true });

// Large objects have no relation that a classification could name.
effect("lo_get loread lo_open lo_lseek lo_lseek64 lo_tell lo_tell64", { hidden: "pg_largeobject" });
effect("lo_put lowrite lo_create lo_creat lo_unlink lo_from_bytea lo_truncate lo_truncate64", {
  write: true,
  hidden: "pg_largeobject",
});

// Texts that other sessions run, and samples of data.
effect("pg_stat_get_activity pg_stat_get_backend_activity", { hidden: "pg_stat_activity" });
effect("pg_stat_get_wal_receiver", { hidden: "pg_stat_wal_receiver" });
effect("pg_mcv_list_items", { hidden: "pg_statistic_ext_data" });

/** `args`: how many the call has; undefined for `value.name`. */
export function builtinEffect(name: string, args: number | undefined): BuiltinEffect | undefined {
  // ts_rewrite(query, text) runs the text; with three arguments it only computes.
  if (name === "ts_rewrite") return args === 3 ? undefined : { opaque: true };
  if (name.startsWith("binary_upgrade_")) return { administer: true };
  return EFFECTS.get(name);
}
