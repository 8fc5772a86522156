/**
 * The server's own schemas. Their relations describe; some of them also hold data of users, credentials or the texts
 * that other sessions run. Those are hidden catalogs: a fact about them has kind `unknown`, so that masking treats a
 * statement that touches one as reading what its facts do not name.
 */

import { CATALOG_RELATIONS, INFORMATION_SCHEMA_RELATIONS } from "./builtin-names.ts";

const HIDDEN: ReadonlySet<string> = new Set([
  // samples of the columns' values
  "pg_statistic",
  "pg_statistic_ext_data",
  "pg_stats",
  "pg_stats_ext",
  "pg_stats_ext_exprs",
  // texts that others run
  "pg_stat_activity",
  // data outside of relations
  "pg_largeobject",
  // credentials
  "pg_authid",
  "pg_shadow",
  "pg_subscription",
  "pg_user_mapping",
  "pg_user_mappings",
  "pg_stat_wal_receiver",
  "pg_hba_file_rules",
  "pg_ident_file_mappings",
  "pg_file_settings",
]);

const HIDDEN_INFORMATION: ReadonlySet<string> = new Set(["_pg_user_mappings", "user_mapping_options"]);

/** undefined: the schema is not the server's own. */
export function catalogKind(schema: string, name: string): "catalog" | "hidden" | undefined {
  if (schema === "pg_catalog") return CATALOG_RELATIONS.has(name) && !HIDDEN.has(name) ? "catalog" : "hidden";
  if (schema === "information_schema") {
    return INFORMATION_SCHEMA_RELATIONS.has(name) && !HIDDEN_INFORMATION.has(name) ? "catalog" : "hidden";
  }
  // Chunks of long values of ordinary tables.
  if (schema === "pg_toast") return "hidden";
  return undefined;
}

/** Would the name, unqualified, reach pg_catalog, which is searched first? */
export const inCatalog = (name: string): boolean => CATALOG_RELATIONS.has(name);

export const isTemporarySchema = (schema: string): boolean =>
  schema === "pg_temp" || schema.startsWith("pg_temp_") || schema.startsWith("pg_toast_temp");
