/** The table of functions against a real server: its own word on volatility, and the columns that it describes. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { startPostgres } from "../../testing/postgres.ts";
import type { TestPostgres } from "../../testing/postgres.ts";
import { serverFunctions } from "../../testing/server-functions.ts";
import type { ServerFunction } from "../../testing/server-functions.ts";
import { columnsOf, flowOf, flowOfSetting } from "./function-flow.ts";

let postgres: TestPostgres;
let functions: ServerFunction[];

beforeAll(async () => {
  postgres = await startPostgres();
  functions = await serverFunctions(postgres.client);
}, 120_000);

afterAll(() => postgres?.stop());

/**
 * Volatile, and trusted all the same: clocks, chance, locks, sizes, positions, counters. Whoever adds one says in
 * function-flow.ts why its value carries no row of a table.
 */
const TRUSTED_VOLATILE = `
  amvalidate array_sample array_shuffle clock_timestamp current_query currval gen_random_uuid lastval nextval
  pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
  pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_blocking_pids pg_collation_actual_version pg_control_checkpoint
  pg_control_init pg_control_recovery pg_control_system pg_current_wal_flush_lsn pg_current_wal_insert_lsn
  pg_current_wal_lsn pg_database_collation_actual_version pg_database_size pg_export_snapshot pg_get_sequence_data
  pg_get_wait_events pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_indexes_size pg_is_in_recovery
  pg_is_wal_replay_paused pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn
  pg_last_xact_replay_timestamp pg_notification_queue_usage pg_notify pg_partition_ancestors pg_partition_tree
  pg_relation_size pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_sleep pg_sleep_for pg_sleep_until
  pg_stat_clear_snapshot pg_stat_force_next_flush pg_table_size pg_tablespace_size pg_total_relation_size
  pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
  pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_xact_status random random_normal set_config setseed
  setval timeofday txid_status uuidv4 uuidv7`;

test("no volatile function is trusted but those that somebody thought about", () => {
  const trusted = functions.filter(({ name, volatility }) => volatility === "volatile" && flowOf(name) !== "unknown");
  expect([...new Set(trusted.map(({ name }) => name))].toSorted()).toEqual(
    TRUSTED_VOLATILE.trim().split(/\s+/).toSorted(),
  );
});

test("what runs SQL that it is given is not trusted", () => {
  // Written in SQL or reaching SPI by their sources' names; the rest is covered by their effects (unit test).
  const running = functions.filter(({ source }) => /_to_xml|ts_stat|ts_rewrite_query|cursor_to/.test(source));
  expect(running.length).toBeGreaterThan(10);
  expect(running.filter(({ name }) => flowOf(name) !== "unknown")).toEqual([]);
});

test("every function of the server is in the table or counts as unknown; most of the callable ones are in it", () => {
  const names = [...new Set(functions.map(({ name }) => name))];
  const unknown = names.filter((name) => flowOf(name) === "unknown");
  expect(names.length - unknown.length).toBeGreaterThan(1_800);
  // Immutable ones are not forgotten.
  const byName = Map.groupBy(functions, ({ name }) => name);
  const forgotten = unknown.filter((name) => byName.get(name)?.every(({ volatility }) => volatility === "immutable"));
  expect(forgotten).toEqual([]);
});

test("the server describes the columns that the table has for a function in FROM", async () => {
  const { client } = postgres;
  const { rows } = await client.query<{ name: string; schema: string; types: string[] }>(`
    SELECT p.proname AS name, n.nspname AS schema,
      ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, i) ORDER BY i)::text[] AS types
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('pg_catalog', 'information_schema') AND p.oid < 16384 AND p.prokind = 'f' AND p.provariadic = 0
      AND NOT EXISTS (SELECT FROM unnest(p.proargtypes || p.prorettype) AS t(oid) JOIN pg_type USING (oid)
        WHERE typtype = 'p' AND typname NOT IN ('void', 'record'))`);
  const wrong: string[] = [];
  let described = 0;
  for (const { name, schema, types } of rows) {
    const columns = columnsOf(name, types.length);
    if (columns === undefined) continue;
    const call = `${schema}."${name}"(${types.map((type) => `NULL::${type}`).join(", ")})`;
    // Nothing is called: the condition is false for the planner.
    const result = await client.query(`SELECT f.* FROM ${call} AS f WHERE false`).catch(() => undefined);
    if (result === undefined) continue;
    described += 1;
    const names = result.fields.map((field) => field.name);
    if (names.join(" ") !== (columns.length === 0 ? "f" : columns.join(" ")))
      wrong.push(`${call}: ${names.join(", ")}`);
  }
  expect(wrong).toEqual([]);
  expect(described).toBeGreaterThan(1_500);
});

test("a setting that a session can fill with any text tells nothing only if it is one of the common ones", async () => {
  const { rows } = await postgres.client.query<{ name: string }>(
    "SELECT name FROM pg_settings WHERE vartype = 'string' AND context IN ('user', 'superuser')",
  );
  const trusted = rows.map(({ name }) => name).filter((name) => flowOfSetting(name) === "nothing");
  expect(trusted.toSorted()).toEqual(["DateStyle", "TimeZone", "client_encoding", "search_path"]);
});
