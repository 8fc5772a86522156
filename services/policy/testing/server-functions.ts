/** The functions of a server that a statement can call, as its own catalogs describe them. */

import type pg from "pg";

export interface ServerFunction {
  schema: "pg_catalog" | "information_schema";
  name: string;
  volatility: "immutable" | "stable" | "volatile";
  /** `f` function, `a` aggregate, `w` window, `p` procedure */
  kind: "f" | "a" | "w" | "p";
  /** how many arguments a call may have */
  least: number;
  /** Infinity: VARIADIC */
  most: number;
  returns: string;
  /** names of OUT, INOUT and TABLE columns, in order */
  columns: string[];
  source: string;
}

/** Not what can only be called by the server itself: with `internal`, as a trigger, as a handler. */
export async function serverFunctions(client: pg.Client): Promise<ServerFunction[]> {
  const { rows } = await client.query<Omit<ServerFunction, "most"> & { most: number }>(`
    SELECT n.nspname AS schema, p.proname AS name, p.prokind AS kind, p.prosrc AS source,
      CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
      p.pronargs - p.pronargdefaults AS least,
      CASE WHEN p.provariadic <> 0 THEN -1 ELSE p.pronargs END AS most,
      p.prorettype::regtype::text AS returns,
      ARRAY(SELECT p.proargnames[i] FROM generate_subscripts(p.proargmodes, 1) AS i
        WHERE p.proargmodes[i] IN ('o', 'b', 't') ORDER BY i)::text[] AS columns
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname IN ('pg_catalog', 'information_schema') AND p.oid < 16384
      AND NOT ('internal'::regtype = ANY (p.proargtypes))
      AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype,
        'language_handler'::regtype, 'fdw_handler'::regtype, 'index_am_handler'::regtype, 'tsm_handler'::regtype,
        'table_am_handler'::regtype)
    ORDER BY p.proname, p.oid`);
  return rows.map((row) => ({
    ...row,
    // VARIADIC "any" takes none as well; json_build_object() is an overload of its own.
    most: row.most < 0 ? Number.POSITIVE_INFINITY : row.most,
  }));
}
