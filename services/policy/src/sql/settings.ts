/**
 * SET, RESET and set_config: which settings a session may change freely, which need `administer`, and which are refused
 * because the analysis of later commands would not hold under them.
 */

const list = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter((word) => word.length > 0));

/** They change how results look, how long a statement may take, or how the planner works for this session only. */
const HARMLESS = list(`
  application_name array_nulls bytea_output check_function_bodies client_encoding client_min_messages constraint_exclusion
  cursor_tuple_fraction datestyle deadlock_timeout default_statistics_target default_table_access_method
  default_tablespace default_text_search_config default_toast_compression default_transaction_deferrable
  default_transaction_isolation default_transaction_read_only default_with_oids effective_cache_size
  effective_io_concurrency escape_string_warning exit_on_error extra_float_digits from_collapse_limit geqo
  geqo_effort geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit
  gin_pending_list_limit hash_mem_multiplier idle_in_transaction_session_timeout idle_session_timeout intervalstyle
  jit jit_above_cost jit_inline_above_cost jit_optimize_above_cost join_collapse_limit lc_messages lc_monetary
  lc_numeric lc_time lock_timeout logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem
  max_parallel_maintenance_workers max_parallel_workers max_parallel_workers_per_gather
  min_parallel_index_scan_size min_parallel_table_scan_size names parallel_leader_participation
  parallel_setup_cost parallel_tuple_cost plan_cache_mode quote_all_identifiers random_page_cost
  recursive_worktable_factor restrict_nonsystem_relation_kind row_security search_path seed seq_page_cost
  standard_conforming_strings statement_timeout stats_fetch_consistency synchronize_seqscans synchronous_commit
  temp_buffers temp_tablespaces timezone transaction_deferrable transaction_isolation transaction_read_only
  transaction_timeout transform_null_equals vacuum_cost_delay work_mem xmlbinary xmloption
  cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost commit_delay commit_siblings tcp_keepalives_count
  tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout client_connection_check_interval time_zone
`);

export interface SettingChange {
  /** lower case */
  name: string;
  /** a value that stands in the text; undefined: DEFAULT, RESET, or something that the text does not tell */
  value: string | undefined;
  /** false: an expression decides the value */
  known: boolean;
}

export interface SettingEffect {
  administer: boolean;
  movesSearchPath: boolean;
  /** why it is refused */
  unsafe?: string;
}

const UTF8 = new Set(["utf8", "utf-8", "unicode", "sql_ascii"]);
const ON = new Set(["on", "true", "yes", "1", "t", "tr", "tru", "y", "ye"]);
/** Back to what the session began with. */
const INITIAL = new Set(["none", "default"]);

export function settingEffect(change: SettingChange): SettingEffect {
  const { name, known } = change;
  const value = change.value?.toLowerCase();
  const movesSearchPath = name === "search_path";
  if (name === "standard_conforming_strings") {
    // RESET and DEFAULT may lead to `off`, if the session began so.
    if (value !== undefined && known && ON.has(value)) return { administer: false, movesSearchPath };
    return { administer: false, movesSearchPath, unsafe: "standard_conforming_strings must stay on" };
  }
  if (name === "client_encoding" || name === "names") {
    if (value === undefined && known) return { administer: false, movesSearchPath };
    if (value !== undefined && UTF8.has(value)) return { administer: false, movesSearchPath };
    return { administer: false, movesSearchPath, unsafe: "client_encoding must be UTF8" };
  }
  if (name === "role" || name === "session_authorization") {
    const back = known && (value === undefined || INITIAL.has(value));
    return { administer: !back, movesSearchPath };
  }
  if (name.startsWith("enable_")) return { administer: false, movesSearchPath };
  // A setting of the application's own (`app.tenant`): the text may set it, an expression may not (see walk.ts).
  const dot = name.indexOf(".");
  const ownSetting = dot > 0 && !OF_EXTENSIONS.has(name.slice(0, dot));
  return { administer: !(HARMLESS.has(name) || ownSetting), movesSearchPath };
}

/** Prefixes of extensions whose settings reach beyond the session, or load code. */
const OF_EXTENSIONS = list(
  "auto_explain pg_stat_statements pgaudit plperl plpgsql pltcl plpython plpython3u postgres_fdw dblink sepgsql pg_hint_plan",
);
