import { Change_Kind, type Change } from "@sallyport/proto/catalog";
import type {
  Classification,
  Configuration,
  Connection,
  DataClass,
  GroupMapping,
  TrustedIssuer,
} from "@sallyport/proto/catalog_model";
import { canonicalJson } from "./digest.ts";
import { policiesById } from "./policy-ids.ts";

/** Every difference between two configurations, as people speak of it; nothing when they mean the same. */
export function changesBetween(before: Configuration, after: Configuration): Change[] {
  return [
    ...compare(
      "connection",
      before.connections,
      after.connections,
      (c) => c.name,
      describeConnection,
      connectionDetail,
    ),
    ...compare("class", before.classes, after.classes, (c) => c.name, describeClass),
    ...compare("classification", before.classifications, after.classifications, classificationName, () => ""),
    ...compare("group mapping", before.groups, after.groups, groupName, () => ""),
    ...compare("trusted issuer", before.issuers, after.issuers, (i) => i.issuer, describeIssuer),
    ...policyChanges(before, after),
  ];
}

/** One line for the event: `+ connection orders: …`. */
export function changeLine({ kind, what, detail }: Change): string {
  const sign = kind === Change_Kind.KIND_ADD ? "+" : kind === Change_Kind.KIND_REMOVE ? "-" : "~";
  return detail === "" ? `${sign} ${what}` : `${sign} ${what}: ${detail}`;
}

function compare<T>(
  kind: string,
  before: readonly T[],
  after: readonly T[],
  key: (value: T) => string,
  describe: (value: T) => string,
  difference: (old: T, now: T) => string = (old, now) => `${describe(old)} → ${describe(now)}`,
): Change[] {
  const old = new Map(before.map((value) => [key(value), value]));
  const now = new Map(after.map((value) => [key(value), value]));
  const changes: Change[] = [];
  for (const name of [...new Set([...old.keys(), ...now.keys()])].toSorted()) {
    const was = old.get(name);
    const is = now.get(name);
    const what = `${kind} ${name}`;
    if (was === undefined && is !== undefined) changes.push({ kind: Change_Kind.KIND_ADD, what, detail: describe(is) });
    else if (was !== undefined && is === undefined) changes.push({ kind: Change_Kind.KIND_REMOVE, what, detail: "" });
    else if (was !== undefined && is !== undefined && canonicalJson(was) !== canonicalJson(is))
      changes.push({ kind: Change_Kind.KIND_CHANGE, what, detail: difference(was, is) });
  }
  return changes;
}

const describeConnection = (c: Connection): string => `${c.protocol} ${c.host}:${c.port}/${c.defaultDatabase}`;

function connectionDetail(old: Connection, now: Connection): string {
  const before = flat(old);
  const after = flat(now);
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => before.get(key) !== after.get(key))
    .map((key) => `${key} ${before.get(key) ?? "(none)"} → ${after.get(key) ?? "(none)"}`)
    .join("; ");
}

/** A connection's fields as `labels.env` → `production`, in the words of the files. */
function flat(c: Connection): Map<string, string> {
  const fields: [string, string | number | undefined][] = [
    ["protocol", c.protocol],
    ["host", c.host],
    ["port", c.port],
    ["database", c.defaultDatabase],
    ["databases", c.databases.join(", ")],
    ...Object.entries(c.labels).map(([name, value]): [string, string] => [`labels.${name}`, value]),
    ...(["role", "readRole"] as const).flatMap((role): [string, string | undefined][] => {
      const name = role === "role" ? "role" : "read_role";
      return [
        [`${name}.user`, c[role]?.user],
        [`${name}.password`, c[role]?.passwordRef],
        [`${name}.client_cert`, c[role]?.clientCertRef],
        [`${name}.client_key`, c[role]?.clientKeyRef],
      ];
    }),
    ["tls.mode", c.tls?.mode],
    ["tls.ca", c.tls?.caRef],
    ["tls.server_name", c.tls?.serverName],
    ["description", c.description],
  ];
  return new Map(fields.flatMap(([key, value]) => (value === undefined || value === "" ? [] : [[key, String(value)]])));
}

function describeClass({ parent, transform }: DataClass): string {
  const kind = transform?.kind;
  const inside = parent === "" ? "" : ` in ${parent}`;
  switch (kind?.$case) {
    case "partial": {
      const { keepFirst, keepLast, keepSeparators } = kind.value;
      return `partial, keeps ${keepFirst} first and ${keepLast} last${keepSeparators ? " and separators" : ""}${inside}`;
    }
    case "scan":
      return `scan for ${kind.value.detectors.join(", ") || "everything"}${inside}`;
    case "hash":
      return `hash${kind.value.prefix === "" ? "" : ` with prefix ${kind.value.prefix}`}${inside}`;
    case "redact":
      return `redact${kind.value.replacement === "" ? "" : ` as ${kind.value.replacement}`}${inside}`;
    case "nullify":
      return `nullify${inside}`;
    case undefined:
      return `redact${inside}`;
  }
}

const classificationName = (c: Classification): string => {
  const where = c.connection === "*" && c.database === "*" ? "" : ` in ${c.connection}/${c.database}`;
  return `${c.class} at ${c.schema}.${c.relation}.${c.column}${where}`;
};
const groupName = (g: GroupMapping): string => `${g.claimValue} of ${g.issuer} to ${g.group}`;
const describeIssuer = (i: TrustedIssuer): string =>
  `keys at ${i.jwksUri}, audience ${i.audience}, principal from ${i.principalClaim}, groups ${i.groups.join(", ") || "(none)"}${i.caRef === "" ? "" : `, ca ${i.caRef}`}`;

function policyChanges(before: Configuration, after: Configuration): Change[] {
  const list = (configuration: Configuration): { id: string; path: string; text: string }[] =>
    [...policiesById(configuration.policies)].map(([id, policy]) => ({ id, ...policy }));
  const changes = compare(
    "policy",
    list(before),
    list(after),
    (policy) => policy.id,
    (policy) => `in ${policy.path}`,
    (old, now) => (old.text === now.text ? `moved from ${old.path} to ${now.path}` : `its text, in ${now.path}`),
  );
  if (changes.length > 0) return changes;
  // comments and white space belong to the files that people read, so a change of them is one
  return compare(
    "policy file",
    before.policies,
    after.policies,
    (file) => file.path,
    () => "no policy in it",
    () => "comments or white space",
  );
}
