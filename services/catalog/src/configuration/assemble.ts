import type { Problem } from "@sallyport/proto/catalog";
import type {
  Classification,
  Configuration,
  Connection,
  DataClass,
  GroupMapping,
  TargetRole,
  Transform,
  TrustedIssuer,
} from "@sallyport/proto/catalog_model";
import { parseColumnPattern } from "../source/column-pattern.ts";
import type { ConnectionEntry, RoleEntry, TransformEntry } from "../source/file-shapes.ts";
import type { Entry, Sources } from "../source/read-files.ts";
import { referenceProblem } from "../source/references.ts";

export interface Assembled {
  configuration: Configuration;
  problems: Problem[];
}

const MOST_CLASSIFICATIONS = 20_000;

/**
 * One configuration from everything that the files say, in an order of its own, so that moving an entry from file to file
 * changes nothing. All problems between entries are told together: names given twice, classes that do not exist, …
 */
export function assemble(sources: Sources, secretFolders: readonly string[]): Assembled {
  const problems = [...sources.problems];
  const check = (problem: Problem | undefined): void => void (problem && problems.push(problem));

  for (const entry of sources.connections) checkConnection(entry, secretFolders, check);
  for (const { value, problem } of sources.issuers) {
    check(value.ca === undefined ? undefined : told(problem, ["ca"], referenceProblem(value.ca, secretFolders)));
    check(told(problem, ["issuer"], urlProblem(value.issuer)));
    check(told(problem, ["jwks_uri"], urlProblem(value.jwks_uri)));
  }
  duplicates(sources.connections, (value) => value.name, "connection", "name", check);
  duplicates(sources.classes, (value) => value.name, "class", "name", check);
  duplicates(sources.issuers, (value) => value.issuer, "issuer", "issuer", check);
  duplicates(
    sources.groups,
    (value) => JSON.stringify([value.issuer, value.claim ?? value.group, value.group]),
    "mapping of the group",
    "group",
    check,
  );
  checkClasses(sources, check);
  const classifications = classificationsOf(sources, check);

  const configuration: Configuration = {
    connections: sources.connections.map(({ value }) => connectionOf(value)).toSorted(by((c) => c.name)),
    classes: sources.classes
      .map(({ value }): DataClass => ({
        name: value.name,
        parent: value.parent ?? "",
        transform: transformOf(value.transform),
      }))
      .toSorted(by((c) => c.name)),
    classifications,
    groups: sources.groups
      .map(({ value }): GroupMapping => ({
        issuer: value.issuer,
        claimValue: value.claim ?? value.group,
        group: value.group,
      }))
      .toSorted(by((g) => JSON.stringify([g.issuer, g.claimValue, g.group]))),
    policies: sources.policies.map(({ path, text }) => ({ path, text })).toSorted(by((p) => p.path)),
    issuers: sources.issuers
      .map(({ value }): TrustedIssuer => ({
        issuer: value.issuer,
        jwksUri: value.jwks_uri,
        audience: value.audience,
        principalClaim: value.principal_claim,
        groups: value.groups,
        caRef: value.ca ?? "",
      }))
      .toSorted(by((i) => i.issuer)),
  };
  return { configuration, problems };
}

const by =
  <T>(key: (value: T) => string) =>
  (a: T, b: T): number =>
    key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0;

type Check = (problem: Problem | undefined) => void;

function told(
  problem: Entry<unknown>["problem"],
  at: readonly string[],
  message: string | undefined,
): Problem | undefined {
  return message === undefined ? undefined : problem(at, message);
}

function duplicates<T>(
  entries: readonly Entry<T>[],
  key: (value: T) => string,
  what: string,
  at: string,
  check: Check,
): void {
  const first = new Map<string, Problem>();
  for (const { value, problem } of entries) {
    const known = first.get(key(value));
    const here = problem([at], "");
    if (!known) first.set(key(value), here);
    else check({ ...here, message: `this ${what} is given twice; first at ${known.path}:${known.line}` });
  }
}

function checkConnection(
  { value, problem }: Entry<ConnectionEntry>,
  secretFolders: readonly string[],
  check: Check,
): void {
  if (value.databases.length > 0 && !value.databases.includes(value.database))
    check(
      problem(
        ["databases"],
        `\`databases\` lists all that may be asked for, so the default, \`${value.database}\`, has to be among them`,
      ),
    );
  for (const [key, role] of [
    ["role", value.role],
    ["read_role", value.read_role],
  ] as const) {
    if (!role) continue;
    if ((role.client_cert === undefined) !== (role.client_key === undefined))
      check(problem([key], "`client_cert` and `client_key` belong together"));
    for (const [field, reference] of [
      ["password", role.password],
      ["client_cert", role.client_cert],
      ["client_key", role.client_key],
    ] as const)
      check(
        reference === undefined ? undefined : told(problem, [key, field], referenceProblem(reference, secretFolders)),
      );
  }
  const { tls } = value;
  check(tls.ca === undefined ? undefined : told(problem, ["tls", "ca"], referenceProblem(tls.ca, secretFolders)));
  if (tls.mode === "verify-ca" && tls.ca === undefined)
    check(problem(["tls"], "`verify-ca` needs `ca`, the authority to verify against"));
  if (tls.mode === "disable" && (tls.ca !== undefined || tls.server_name !== undefined))
    check(problem(["tls", "mode"], "`ca` and `server_name` mean nothing when TLS is disabled"));
  if (tls.mode === "disable" && value.role.client_cert !== undefined)
    check(problem(["role", "client_cert"], "a client certificate needs TLS"));
}

function urlProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url) return "expected a URL";
  const loopback = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url.protocol === "https:" || (url.protocol === "http:" && loopback)
    ? undefined
    : "expected an https URL (http only on this machine)";
}

function checkClasses({ classes }: Sources, check: Check): void {
  const parents = new Map(classes.map(({ value }) => [value.name, value.parent]));
  for (const { value, problem } of classes) {
    if (value.parent === undefined) continue;
    if (!parents.has(value.parent)) {
      check(problem(["parent"], `there is no class \`${value.parent}\``));
      continue;
    }
    const seen = new Set<string>();
    for (let at: string | undefined = value.name; at !== undefined && !seen.has(at); at = parents.get(at)) {
      seen.add(at);
      if (parents.get(at) === value.name) check(problem(["parent"], `\`${value.name}\` would be inside itself`));
    }
  }
}

function classificationsOf(sources: Sources, check: Check): Classification[] {
  const classes = new Set(sources.classes.map(({ value }) => value.name));
  const all = new Map<string, Classification>();
  for (const { value, problem } of sources.classifications) {
    if (!classes.has(value.class)) check(problem(["class"], `there is no class \`${value.class}\``));
    value.columns.forEach((text, i) => {
      const pattern = parseColumnPattern(text);
      if (!pattern) {
        check(
          problem(
            ["columns", String(i)],
            `\`${text}\`: expected \`schema.relation.column\`, each a name or a glob of \`*\` and \`?\` (quote a name with dots)`,
          ),
        );
        return;
      }
      for (const connection of value.connections) {
        for (const database of value.databases) {
          const one = {
            class: value.class,
            connection: connection.toLowerCase(),
            database: database.toLowerCase(),
            ...pattern,
          };
          all.set(JSON.stringify(Object.values(one)), one);
        }
      }
    });
    if (all.size > MOST_CLASSIFICATIONS) {
      check(problem([], `more than ${MOST_CLASSIFICATIONS} patterns in all; use globs`));
      break;
    }
  }
  return [...all].toSorted(by(([key]) => key)).map(([, classification]) => classification);
}

function connectionOf(value: ConnectionEntry): Connection {
  return {
    name: value.name,
    protocol: value.protocol,
    host: value.host,
    port: value.port,
    defaultDatabase: value.database,
    databases: value.databases,
    labels: Object.fromEntries(Object.entries(value.labels).toSorted(by(([key]) => key))),
    role: roleOf(value.role),
    readRole: value.read_role && roleOf(value.read_role),
    tls: { mode: value.tls.mode, caRef: value.tls.ca ?? "", serverName: value.tls.server_name ?? "" },
    description: value.description,
  };
}

const roleOf = (role: RoleEntry): TargetRole => ({
  user: role.user,
  passwordRef: role.password ?? "",
  clientCertRef: role.client_cert ?? "",
  clientKeyRef: role.client_key ?? "",
});

function transformOf(entry: TransformEntry): Transform {
  if (typeof entry === "string") {
    switch (entry) {
      case "redact":
        return { kind: { $case: "redact", value: { replacement: "" } } };
      case "nullify":
        return { kind: { $case: "nullify", value: {} } };
      case "hash":
        return { kind: { $case: "hash", value: { prefix: "" } } };
      case "scan":
        return { kind: { $case: "scan", value: { detectors: [] } } };
    }
  }
  if ("redact" in entry) return { kind: { $case: "redact", value: entry.redact } };
  if ("hash" in entry) return { kind: { $case: "hash", value: entry.hash } };
  if ("scan" in entry) return { kind: { $case: "scan", value: { detectors: entry.scan } } };
  const { keep_first, keep_last, mask, keep_separators } = entry.partial;
  return {
    kind: {
      $case: "partial",
      value: { keepFirst: keep_first, keepLast: keep_last, mask, keepSeparators: keep_separators },
    },
  };
}
