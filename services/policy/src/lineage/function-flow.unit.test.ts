import { expect, test } from "vitest";
import { builtinEffect } from "../sql/builtin-functions.ts";
import { BUILTIN_FUNCTIONS } from "../sql/builtin-names.ts";
import { columnsOf, flowOf, flowOfSetting, keepsArguments } from "./function-flow.ts";

const each = (names: string): string[] => names.split(" ");

test.each(
  each("count row_number rank dense_rank now clock_timestamp gen_random_uuid version current_database pg_typeof"),
)("%s carries nothing", (name) => expect(flowOf(name)).toBe("nothing"));

test.each(
  each(
    "lower upper substr md5 sha256 length pg_column_size max min sum avg mode percentile_disc array_agg string_agg json_agg " +
      "jsonb_object_agg to_json row_to_json concat format to_char date_trunc lag first_value ntile unnest generate_series " +
      "has_table_privilege random uuidv7 set_config setval encode jsonb_path_query regexp_replace ts_headline array_shuffle",
  ),
)("%s carries its arguments", (name) => expect(flowOf(name)).toBe("arguments"));

test.each(
  each("pg_get_viewdef pg_get_expr format_type pg_table_is_visible obj_description pg_get_userbyid _pg_expandarray"),
)("%s describes, and carries its arguments at most", (name) => expect(flowOf(name)).toBe("arguments"));

test.each(
  each(
    "current_setting query_to_xml table_to_xml cursor_to_xml ts_stat ts_rewrite lo_get loread pg_read_file " +
      "pg_read_binary_file pg_ls_dir pg_stat_get_activity pg_stat_get_backend_activity pg_mcv_list_items " +
      "pg_input_error_info pg_input_is_valid record_in array_in pg_logical_slot_get_changes currtid2 " +
      "pg_show_all_settings pg_get_backend_memory_contexts dblink my_function Lower",
  ),
)("%s could carry anything", (name) => expect(flowOf(name)).toBe("unknown"));

test("what runs a text, reaches into the server or reads a hidden catalog is never trusted", () => {
  const trusted = [...BUILTIN_FUNCTIONS].filter((name) => {
    const effect = builtinEffect(name, undefined);
    const reaches = effect?.opaque === true || effect?.administer === true || effect?.hidden !== undefined;
    return reaches && flowOf(name) !== "unknown";
  });
  expect(trusted).toEqual([]);
});

test("a name that is not in the list of the server's own functions is not trusted", () => {
  expect(BUILTIN_FUNCTIONS.has("lower")).toBe(true);
  for (const name of each("_pg_expandarray _pg_index_position")) expect(BUILTIN_FUNCTIONS.has(name)).toBe(false);
  expect(flowOf("constructor")).toBe("unknown");
  expect(flowOf("")).toBe("unknown");
});

test("settings that hold a text of the session's own are unknown", () => {
  for (const name of ["server_version_num", "TimeZone", "datestyle", "transaction_isolation", "work_mem", "role_"])
    expect([name, flowOfSetting(name)]).toEqual([name, name === "role_" ? "unknown" : "nothing"]);
  for (const name of ["application_name", "my.value", "", undefined, "session_authorization"])
    expect([name, flowOfSetting(name)]).toEqual([name, "unknown"]);
});

test("functions that keep what they are given", () => {
  for (const name of each("set_config setval pg_advisory_lock pg_notify lo_from_bytea setseed"))
    expect([name, keepsArguments(name)]).toEqual([name, true]);
  for (const name of each("lower now nextval")) expect([name, keepsArguments(name)]).toEqual([name, false]);
});

test("the columns of functions in FROM", () => {
  expect(columnsOf("json_each", 1)).toEqual(["key", "value"]);
  expect(columnsOf("jsonb_array_elements", 1)).toEqual(["value"]);
  expect(columnsOf("_pg_expandarray", 1)).toEqual(["x", "n"]);
  expect(columnsOf("aclexplode", 1)).toEqual(["grantor", "grantee", "privilege_type", "is_grantable"]);
  expect(columnsOf("generate_series", 2)).toEqual([]);
  expect(columnsOf("regexp_matches", 3)).toEqual([]);
  expect(columnsOf("now", 0)).toEqual([]);
});

test("columns that depend on the call, on the overload or on the version are not known", () => {
  // unnest(anyarray) may return rows; unnest(tsvector) returns three columns.
  expect(columnsOf("unnest", 1)).toBeUndefined();
  expect(columnsOf("json_to_record", 1)).toBeUndefined();
  // PostgreSQL 18 has more of them than 15.
  expect(columnsOf("pg_stat_get_wal", 0)).toBeUndefined();
  expect(columnsOf("json_each", 2)).toBeUndefined();
  expect(columnsOf("my_function", 0)).toBeUndefined();
});
