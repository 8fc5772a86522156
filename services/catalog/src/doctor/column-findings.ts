/**
 * A second wall behind masking: a role without the grant on a column cannot read it, whatever the gateway overlooks. It also
 * cannot read it to be masked, so it is for columns that nobody needs at all.
 */
import { type Finding, Finding_Level } from "@sallyport/proto/catalog";
import type { Connection, ObservedGrant, ObservedRole, Schema } from "@sallyport/proto/catalog_model";
import { finding } from "./connection-findings.ts";
import type { HiddenColumns } from "./hidden-columns.ts";
import { inherited, PUBLIC } from "./role-findings.ts";
import { grantee, qualified, quoted } from "./sql-names.ts";

const { LEVEL_ADVICE, LEVEL_OK, LEVEL_WARNING } = Finding_Level;
const LISTED = 200;

export interface ColumnGrants {
  connection: Connection;
  schema: Schema;
  /** of tables, by class that nobody may see */
  hidden: readonly HiddenColumns[];
  classes: readonly string[];
}

export function columnFindings({ connection, schema, hidden, classes }: ColumnGrants): Finding[] {
  if (schema.roles.length === 0) return [];
  if (hidden.length === 0) {
    const message =
      classes.length === 0
        ? "Every class may be seen by somebody: there is no column that the roles could do without."
        : `No column is of a class that nobody may see (${classes.join(", ")}).`;
    return [finding(LEVEL_OK, "columns", message)];
  }
  const everybody = schema.roles.find(({ name }) => name === PUBLIC);
  const names = [...new Set([connection.role?.user, connection.readRole?.user])];
  return names.flatMap((name) => {
    const role = schema.roles.find((one) => one.name === name && name !== PUBLIC);
    return role === undefined || role.missing ? [] : ofRole(role, everybody, hidden, schema);
  });
}

function ofRole(
  role: ObservedRole,
  everybody: ObservedRole | undefined,
  hidden: readonly HiddenColumns[],
  schema: Schema,
): Finding[] {
  if (role.superuser || role.memberOf.includes("pg_read_all_data")) {
    return [finding(LEVEL_WARNING, "columns", `${role.name} reads all columns: no column grant holds it (see above).`)];
  }
  const readable = hidden.flatMap((one): Readable[] => {
    const grant = role.grants.find(({ relationOid }) => relationOid === one.relation.oid);
    if (grant === undefined) return [];
    const columns = [...one.columns.keys()].filter((number) => grant.reads || grant.columns.includes(number));
    return columns.length === 0 ? [] : [{ ...one, grant, readable: columns }];
  });
  if (readable.length === 0) {
    return [finding(LEVEL_OK, "columns", `${role.name} has no grant on the columns that nobody may see`)];
  }
  const findings: Finding[] = [];
  const owned = readable.filter(({ grant }) => grant.owns);
  if (owned.length > 0) {
    const tables = owned.map(({ relation }) => `${relation.schema}.${relation.name}`).slice(0, LISTED);
    findings.push(
      finding(
        LEVEL_WARNING,
        "columns",
        `${role.name} owns ${tables.join(", ")}: it can grant itself what is revoked. Give them another owner first (ALTER TABLE … OWNER TO …).`,
      ),
    );
  }
  const publicGrant = (oid: number): ObservedGrant | undefined =>
    everybody?.grants.find(({ relationOid }) => relationOid === oid);
  const listed = readable.map(({ relation, columns, readable: numbers }) => {
    const of = numbers.map((number) => `${nameOf(relation, number)} (${columns.get(number)})`);
    return `${relation.schema}.${relation.name}: ${of.join(", ")}`;
  });
  findings.push(
    finding(
      LEVEL_ADVICE,
      "columns",
      `${role.name} may read columns that nobody may see: ${listed.slice(0, LISTED).join("; ")}. Without the grants it could not ` +
        `even by mistake; nor could it read them to mask them, and \`SELECT *\` fails${inherited(role)}.${views(hidden, role, schema)}`,
      readable.slice(0, LISTED).flatMap((one) => statements(one, role, publicGrant(one.relation.oid))),
    ),
  );
  return findings;
}

interface Readable extends HiddenColumns {
  grant: ObservedGrant;
  /** numbers of hidden columns that the role may read */
  readable: number[];
}

function nameOf({ columns }: HiddenColumns["relation"], number: number): string {
  return columns.find((column) => column.number === number)?.name ?? String(number);
}

/** A grant on the whole table covers every column, so it goes, and those that are not hidden are granted one by one. */
function statements(
  { relation, columns, grant, readable }: Readable,
  role: ObservedRole,
  everybody: ObservedGrant | undefined,
): string[] {
  const table = qualified(relation);
  const list = (numbers: readonly number[]): string =>
    numbers.map((number) => quoted(nameOf(relation, number))).join(", ");
  const others = relation.columns.map(({ number }) => number).filter((number) => !columns.has(number));
  const revoked = (grantees: readonly string[], what: string): string[] =>
    grantees.map((one) => `REVOKE ${what} ON ${table} FROM ${grantee(one)};`);
  const found: string[] = [];
  if (grant.reads) {
    found.push(...revoked([role.name, ...(everybody?.reads === true ? [PUBLIC] : [])], "SELECT"));
    if (others.length > 0) found.push(`GRANT SELECT (${list(others)}) ON ${table} TO ${quoted(role.name)};`);
  } else {
    const ofAll = readable.filter((number) => everybody?.columns.includes(number) === true);
    found.push(...revoked([role.name], `SELECT (${list(readable)})`));
    if (ofAll.length > 0) found.push(...revoked([PUBLIC], `SELECT (${list(ofAll)})`));
  }
  return found;
}

/** A view reads with its owner's grants. */
function views(hidden: readonly HiddenColumns[], role: ObservedRole, schema: Schema): string {
  const readable = new Set(
    role.grants.filter(({ reads, columns }) => reads || columns.length > 0).map((one) => one.relationOid),
  );
  const through = schema.relations.filter(
    ({ oid, viewDefinition }) =>
      viewDefinition !== "" &&
      readable.has(oid) &&
      hidden.some(({ relation }) => viewDefinition.includes(relation.name)),
  );
  if (through.length === 0) return "";
  const names = through.slice(0, LISTED).map(({ schema: of, name }) => `${of}.${name}`);
  return ` Views show with their owner's grants; look at ${names.join(", ")}.`;
}
