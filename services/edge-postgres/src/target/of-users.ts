/** Not the server's own, not temporary, not TOAST. `n` is pg_namespace. */
export const OF_USERS =
  "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_temp\\_%' " +
  "AND n.nspname NOT LIKE 'pg\\_toast\\_temp\\_%'";
