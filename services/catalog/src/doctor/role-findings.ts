/** Are the connection's roles at the target as weak as they can be? */
import { type Finding, Finding_Level } from "@sallyport/proto/catalog";
import type { Connection, ObservedRole, Schema } from "@sallyport/proto/catalog_model";
import { finding } from "./connection-findings.ts";
import { grantee, qualified, quoted } from "./sql-names.ts";

const { LEVEL_ADVICE, LEVEL_OK, LEVEL_PROBLEM, LEVEL_WARNING } = Finding_Level;

export const PUBLIC = "PUBLIC";
const LISTED = 200;

/** https://www.postgresql.org/docs/current/predefined-roles.html */
const ON_THE_HOST = ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"];
const ON_ALL_DATA = ["pg_read_all_data", "pg_write_all_data"];
/** whoever owns the database is a member */
const DATABASE_OWNER = "pg_database_owner";
const ON_SESSIONS = [
  "pg_monitor",
  "pg_read_all_settings",
  "pg_read_all_stats",
  "pg_signal_backend",
  "pg_stat_scan_tables",
];

export interface RolesOf {
  connection: Connection;
  database: string;
  schema: Schema;
}

export function roleFindings({ connection, database, schema }: RolesOf): Finding[] {
  const { role, readRole } = connection;
  if (schema.roles.length === 0) {
    return [finding(LEVEL_WARNING, "role", "What the target's roles may do has not been observed yet.")];
  }
  const everybody = schema.roles.find(({ name }) => name === PUBLIC);
  const known = (name: string | undefined): ObservedRole | undefined =>
    schema.roles.find((one) => one.name === name && name !== PUBLIC);
  const writer = known(role?.user);
  const reader = known(readRole?.user);
  const findings: Finding[] = [];
  if (writer !== undefined) findings.push(...powers("role", writer, everybody, database));
  if (readRole === undefined) {
    findings.push(
      finding(
        LEVEL_ADVICE,
        "read-role",
        `There is no read_role: whoever may not write is logged in as ${role?.user ?? "the role"} too. One that can only read would be a second wall.`,
      ),
    );
  } else if (reader !== undefined) {
    findings.push(...powers("read-role", reader, everybody, database));
    findings.push(...writesOf(reader, writer, schema));
  }
  return findings;
}

/** What a role could do past every policy, should one be written too wide. */
function powers(check: string, role: ObservedRole, everybody: ObservedRole | undefined, database: string): Finding[] {
  const name = quoted(role.name);
  if (role.missing) return [finding(LEVEL_PROBLEM, check, `There is no role ${role.name} at the target.`)];
  if (role.superuser) {
    return [
      finding(
        LEVEL_PROBLEM,
        check,
        `${role.name} is a superuser: no grant holds it, and it reaches the server's files and programs.`,
        [`ALTER ROLE ${name} NOSUPERUSER;`],
      ),
    ];
  }
  const findings: Finding[] = [];
  const say = (level: Finding["level"], message: string, statements: readonly string[]): void =>
    void findings.push(finding(level, check, `${role.name} ${message}`, statements));
  if (role.replicates)
    say(LEVEL_PROBLEM, "may replicate: it can read every row", [`ALTER ROLE ${name} NOREPLICATION;`]);
  if (role.bypassesRowSecurity) say(LEVEL_WARNING, "passes row security", [`ALTER ROLE ${name} NOBYPASSRLS;`]);
  if (role.createsRoles) say(LEVEL_WARNING, "may create roles, and grant them", [`ALTER ROLE ${name} NOCREATEROLE;`]);
  const member = (of: readonly string[]): string[] => of.filter((one) => role.memberOf.includes(one));
  const revoke = (of: readonly string[]): string[] => of.map((one) => `REVOKE ${quoted(one)} FROM ${name};`);
  const host = member(ON_THE_HOST);
  if (host.length > 0) say(LEVEL_PROBLEM, `reaches the server's files or programs (${host.join(", ")})`, revoke(host));
  const data = member(ON_ALL_DATA);
  if (data.length > 0) say(LEVEL_WARNING, `needs no grant for any data (${data.join(", ")})`, revoke(data));
  const sessions = member(ON_SESSIONS);
  if (sessions.length > 0) say(LEVEL_WARNING, `sees what other sessions do (${sessions.join(", ")})`, revoke(sessions));
  findings.push(...creating(check, role, everybody, database));
  if (findings.length === 0) findings.push(finding(LEVEL_OK, check, `${role.name} has no power beyond its grants`));
  return findings;
}

/** Functions are code that runs with somebody's rights; who needs none of it should not be able to make any. */
function creating(check: string, role: ObservedRole, everybody: ObservedRole | undefined, database: string): Finding[] {
  const level = check === "role" ? LEVEL_ADVICE : LEVEL_PROBLEM;
  const needed = check === "role" ? "; needed only where policies let somebody define" : "";
  if (role.memberOf.includes(DATABASE_OWNER)) {
    const message = `${role.name} owns the database: it may create schemas, tables and functions${needed}. Give it another owner (ALTER DATABASE ${quoted(database)} OWNER TO …)`;
    return [finding(level, check, message)];
  }
  const findings: Finding[] = [];
  if (role.createsIn.length > 0) {
    const statements = role.createsIn.flatMap((schema) =>
      [...(everybody?.createsIn.includes(schema) === true ? [PUBLIC] : []), role.name].map(
        (one) => `REVOKE CREATE ON SCHEMA ${quoted(schema)} FROM ${grantee(one)};`,
      ),
    );
    const message = `${role.name} may create tables and functions in ${role.createsIn.join(", ")}${needed}${inherited(role)}`;
    findings.push(finding(level, check, message, statements));
  }
  if (role.createsSchemas) {
    findings.push(
      finding(level, check, `${role.name} may create schemas and extensions${needed}${inherited(role)}`, [
        `REVOKE CREATE ON DATABASE ${quoted(database)} FROM ${quoted(role.name)};`,
      ]),
    );
  }
  return findings;
}

/** What is revoked from a role stays with it where one that it is a member of has it. */
export function inherited({ memberOf }: ObservedRole): string {
  const through = memberOf.filter((name) => name !== DATABASE_OWNER);
  return through.length === 0 ? "" : `. What it has through ${through.join(", ")} must be revoked there`;
}

function writesOf(reader: ObservedRole, writer: ObservedRole | undefined, schema: Schema): Finding[] {
  const findings: Finding[] = [];
  if (reader.missing || reader.superuser) return findings;
  const name = quoted(reader.name);
  if (writer !== undefined && reader.memberOf.includes(writer.name)) {
    findings.push(
      finding(LEVEL_PROBLEM, "read-role", `${reader.name} is a member of ${writer.name}, and can become it`, [
        `REVOKE ${quoted(writer.name)} FROM ${name};`,
      ]),
    );
  }
  const relations = new Map(schema.relations.map((relation) => [relation.oid, relation]));
  const written = reader.grants
    .filter(({ writes }) => writes)
    .flatMap(({ relationOid }) => relations.get(relationOid) ?? []);
  if (written.length > 0) {
    findings.push(
      finding(
        LEVEL_PROBLEM,
        "read-role",
        `${reader.name} may write to ${written.length} relation${written.length === 1 ? "" : "s"}`,
        written
          .slice(0, LISTED)
          .map((relation) => `REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ${qualified(relation)} FROM ${name};`),
      ),
    );
  }
  return findings;
}
