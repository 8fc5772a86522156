/** What the connection's roles are and may do at the target, for `sallyport doctor`. No decision depends on it. */
import { ObservedGrant, ObservedRole } from "@sallyport/proto/catalog_model";
import { OF_USERS } from "./of-users.ts";
import type { SideRows } from "./side-query.ts";

type Ask = (sql: string) => Promise<SideRows>;

const PUBLIC = "PUBLIC";

/** Of each role that is named, and of everybody. Within the observation's transaction, with an empty search_path. */
export async function observeRoles(ask: Ask, names: readonly string[]): Promise<ObservedRole[]> {
  const roles = new Map<string, ObservedRole>();
  for (const name of new Set(names)) roles.set(name, ObservedRole.fromPartial({ name, missing: true }));
  const list = `ARRAY[${[...roles.keys()].map(literal).join(", ")}]::pg_catalog.name[]`;
  for (const row of await ask(attributesOf(list))) {
    const [name, superuser, bypasses, creates, replicates, createsSchemas, memberOf, createsIn] = row;
    roles.set(
      name ?? "",
      ObservedRole.fromPartial({
        name: name ?? "",
        superuser: superuser === "t",
        bypassesRowSecurity: bypasses === "t",
        createsRoles: creates === "t",
        replicates: replicates === "t",
        createsSchemas: createsSchemas === "t",
        memberOf: listOf(memberOf),
        createsIn: listOf(createsIn),
      }),
    );
  }
  for (const row of await ask(grantsOf(list))) roles.get(row[0] ?? "")?.grants.push(grantOf(row));
  // Everybody's, as the functions name it; a role cannot have that name.
  const everybody = ObservedRole.fromPartial({ name: PUBLIC });
  const [schemas] = await ask(
    `SELECT pg_catalog.array_to_json(ARRAY(SELECT n.nspname FROM pg_catalog.pg_namespace n
       WHERE ${OF_USERS} AND pg_catalog.has_schema_privilege('public', n.oid, 'CREATE') ORDER BY 1))`,
  );
  everybody.createsIn = listOf(schemas?.[0]);
  for (const row of await ask(PUBLIC_GRANTS)) everybody.grants.push(grantOf(row));
  return [...[...roles.values()].map(withoutNothing), withoutNothing(everybody)];
}

/** Of this session: what the analysis of commands relies on, and whether anybody could listen. */
export async function observeSettings(ask: Ask): Promise<Record<string, string>> {
  const settings: Record<string, string> = {};
  for (const [name, value] of await ask(SETTINGS)) settings[name ?? ""] = value ?? "";
  return settings;
}

const SETTINGS = `SELECT name, setting FROM pg_catalog.pg_settings
    WHERE name IN ('server_encoding', 'standard_conforming_strings')
  UNION ALL SELECT 'tls', CASE WHEN s.ssl THEN s.version ELSE '' END
    FROM pg_catalog.pg_stat_ssl s WHERE s.pid = pg_catalog.pg_backend_pid()`;

/** A superuser is a member of nothing here: it needs to be none. */
const attributesOf = (
  names: string,
): string => `SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication,
    pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE'),
    pg_catalog.array_to_json(ARRAY(SELECT g.rolname FROM pg_catalog.pg_roles g
      WHERE NOT r.rolsuper AND g.oid <> r.oid AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER') ORDER BY 1)),
    pg_catalog.array_to_json(ARRAY(SELECT n.nspname FROM pg_catalog.pg_namespace n
      WHERE ${OF_USERS} AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') ORDER BY 1))
  FROM pg_catalog.pg_roles r WHERE r.rolname = ANY (${names})`;

const READABLE = "c.relkind IN ('r', 'v', 'm', 'p', 'f')";

/** `who`: oid or name as the privilege functions take it. A role that owns can grant itself what it lacks. */
const privileges = (who: string): string => `pg_catalog.has_table_privilege(${who}, c.oid, 'SELECT'),
    CASE WHEN pg_catalog.has_table_privilege(${who}, c.oid, 'SELECT')
        OR NOT pg_catalog.has_any_column_privilege(${who}, c.oid, 'SELECT') THEN '[]'
      ELSE pg_catalog.array_to_json(ARRAY(SELECT a.attnum FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND pg_catalog.has_column_privilege(${who}, c.oid, a.attnum, 'SELECT') ORDER BY 1)) END,
    pg_catalog.has_table_privilege(${who}, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
      OR pg_catalog.has_any_column_privilege(${who}, c.oid, 'INSERT, UPDATE')`;

const grantsOf = (names: string): string => `SELECT r.rolname, c.oid,
    pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE'), ${privileges("r.oid")}
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE r.rolname = ANY (${names}) AND ${READABLE} AND ${OF_USERS} ORDER BY r.rolname, c.oid`;

const PUBLIC_GRANTS = `SELECT '', c.oid, false, ${privileges("'public'")}
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE ${READABLE} AND ${OF_USERS} ORDER BY c.oid`;

function grantOf([, oid, owns, reads, columns, writes]: SideRows[number]): ObservedGrant {
  return {
    relationOid: Number(oid),
    owns: owns === "t",
    reads: reads === "t",
    columns: (JSON.parse(columns ?? "[]") as number[]).map(Number),
    writes: writes === "t",
  };
}

function withoutNothing(role: ObservedRole): ObservedRole {
  const grants = role.grants.filter(
    ({ owns, reads, columns, writes }) => owns || reads || writes || columns.length > 0,
  );
  return { ...role, grants };
}

const listOf = (json: string | null | undefined): string[] => JSON.parse(json ?? "[]") as string[];

/** Whatever standard_conforming_strings is there. */
const literal = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
