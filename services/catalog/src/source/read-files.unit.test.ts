import { readFileSync } from "node:fs";
import { readFolder } from "../bootstrap.ts";
import type { SourceFile } from "@sallyport/proto/catalog";
import { expect, test } from "vitest";
import { assemble } from "../configuration/assemble.ts";
import { readFiles } from "./read-files.ts";

const VARIABLES = { DB_HOST: "db.example.com", DB_PORT: "6543" };
function read(files: Record<string, string>, secretFolders: string[] = []) {
  const list = Object.entries(files).map(([path, text]): SourceFile => ({ path, text }));
  const { configuration, problems } = assemble(readFiles(list, VARIABLES), secretFolders);
  return { configuration, problems: problems.map((p) => `${p.path}:${p.line}:${p.column} ${p.message}`) };
}
const problemsOf = (text: string): string[] => read({ "a.yaml": text }).problems;

const CONNECTION = `connections:
  - name: orders
    protocol: postgresql
    host: db.example.com
    database: orders
    role: { user: app, password: "env:ORDERS_PASSWORD" }
`;

test("a small file, with its defaults", () => {
  const { configuration, problems } = read({ "connections.yaml": CONNECTION });
  expect(problems).toEqual([]);
  expect(configuration.connections).toEqual([
    {
      name: "orders",
      protocol: "postgresql",
      host: "db.example.com",
      port: 5432,
      defaultDatabase: "orders",
      databases: [],
      labels: {},
      role: { user: "app", passwordRef: "env:ORDERS_PASSWORD", clientCertRef: "", clientKeyRef: "" },
      readRole: undefined,
      tls: { mode: "verify-full", caRef: "", serverName: "" },
      description: "",
    },
  ]);
});

test("everything that can be said", () => {
  const { configuration, problems } = read({
    "all.yaml": `
connections:
  - name: orders
    description: Orders
    protocol: postgresql
    host: \${DB_HOST}
    port: \${DB_PORT}
    database: orders
    databases: [orders, archive]
    labels: { env: production, tier: 1 }
    role: { user: writer, client_cert: file:pki/app.pem, client_key: file:pki/app.key }
    read_role: { user: reader, password: file:secrets/reader }
    tls: { mode: verify-ca, ca: file:pki/db-ca.pem, server_name: db }
classes:
  - { name: financial, transform: nullify }
  - { name: iban, parent: financial, transform: { hash: { prefix: iban_ } } }
  - { name: text, transform: { scan: [email, iban] } }
  - { name: name, transform: { redact: { replacement: "<name>" } } }
  - { name: email, transform: { partial: { keep_first: 1, mask: "•", keep_separators: true } } }
classifications:
  - class: iban
    columns: ['*.Accounts.iban', '"odd.schema".t?.*_iban']
    connections: [orders, "pay*"]
    databases: [orders]
groups:
  - { group: dba, issuer: https://login.example.com, claim: 8f2c }
  - { group: engineers, issuer: https://login.example.com }
issuers:
  - { issuer: https://ci.example.com, jwks_uri: https://ci.example.com/jwks, audience: sallyport, groups: [ci] }
`,
    "policies/base.cedar": "permit (principal, action, resource);",
  });
  expect(problems).toEqual([]);
  const [orders] = configuration.connections;
  expect(orders).toMatchObject({ host: "db.example.com", port: 6543, labels: { env: "production", tier: "1" } });
  expect(orders?.readRole?.user).toBe("reader");
  expect(configuration.classifications).toHaveLength(4);
  expect(configuration.classifications[0]).toEqual({
    class: "iban",
    connection: "orders",
    database: "orders",
    schema: "*",
    relation: "accounts",
    column: "iban",
  });
  expect(configuration.groups.map((g) => [g.claimValue, g.group])).toEqual([
    ["8f2c", "dba"],
    ["engineers", "engineers"],
  ]);
  expect(configuration.issuers[0]?.principalClaim).toBe("sub");
  expect(configuration.policies.map((p) => p.path)).toEqual(["policies/base.cedar"]);
});

test("the order of files and entries does not matter", () => {
  const a = "classes:\n  - { name: a, transform: redact }\n  - { name: b, transform: scan }\n";
  const one = read({ "x.yaml": a });
  const two = read({
    "y.yaml": "classes:\n  - { name: b, transform: scan }",
    "z.yaml": "classes:\n  - { name: a, transform: redact }",
  });
  expect(two.configuration).toEqual(one.configuration);
});

test("all problems of all files, each with its place", () => {
  const { problems } = read({
    "broken.yaml": "connections:\n  - name: [unclosed\n",
    "connections.yaml": `connections:
  - name: orders
    protocol: mysql
    host: "not a host"
    prot: 5432
    database: orders
    role:
      user: app
      password: hunter2
`,
    "classes.yaml": `classes:
  - name: email
    transform:
      partial: { keep_frist: 1 }
  - name: phone
    transform: blank
`,
    "policies/../escape.cedar": "",
    "notes.txt": "",
  });
  expect(problems).toEqual([
    expect.stringMatching(/^broken\.yaml:\d+:\d+ /),
    'connections.yaml:3:15 `protocol`: Invalid input: expected "postgresql"',
    "connections.yaml:4:11 `host`: expected a host name or address",
    expect.stringMatching(/^connections\.yaml:9:17 `password`: expected a reference/),
    "connections.yaml:5:5 the key `prot` is not known here",
    "classes.yaml:4:18 the key `keep_frist` is not known here",
    expect.stringMatching(/^classes\.yaml:6:16 `transform`: expected `redact`/),
    "policies/../escape.cedar:0:0 expected a path below the folder",
    "notes.txt:0:0 expected a .yaml, .yml or .cedar file",
  ]);
  expect(problems.join("\n")).not.toContain("hunter2");
});

test.each<[string, string, string]>([
  [
    "a key that is missing",
    "connections:\n  - name: a\n    protocol: postgresql\n    host: h\n    role: { user: u }",
    "a.yaml:2:5 `database` is missing",
  ],
  ["a key given twice", "classes: []\nclasses: []", "a.yaml:2:1 Map keys must be unique"],
  ["an unknown list", "conections: []", "a.yaml:1:1 the key `conections` is not known here"],
  ["no map at all", "- a\n- b", "a.yaml:1:1 Invalid input: expected object, received array"],
  [
    "a variable that is not set",
    "classes:\n  - name: ${NOPE}\n    transform: redact",
    "a.yaml:2:11 the variable NOPE is not set: it has to be in the catalog's configuration (`variables`) or have a default, ${NOPE:-…}",
  ],
  [
    "a malformed variable",
    "classes:\n  - name: ${nope}\n    transform: redact",
    "a.yaml:2:11 ${nope} is no variable: expected ${NAME} or ${NAME:-default}",
  ],
  [
    "a class that does not exist",
    "classifications:\n  - class: nope\n    columns: ['*.*.x']",
    "a.yaml:2:12 there is no class `nope`",
  ],
  [
    "a parent that does not exist",
    "classes:\n  - { name: a, parent: b, transform: redact }",
    "a.yaml:2:24 there is no class `b`",
  ],
  [
    "a class inside itself",
    "classes:\n  - { name: a, parent: a, transform: redact }",
    "a.yaml:2:24 `a` would be inside itself",
  ],
  [
    "a class twice",
    "classes:\n  - { name: a, transform: redact }\n  - { name: a, transform: scan }",
    "a.yaml:3:13 this class is given twice; first at a.yaml:2",
  ],
  [
    "a pattern of two parts",
    "classes: [{ name: a, transform: redact }]\nclassifications:\n  - class: a\n    columns: ['customers.email']",
    "a.yaml:4:15 `customers.email`: expected `schema.relation.column`, each a name or a glob of `*` and `?` (quote a name with dots)",
  ],
  [
    "a regular expression",
    "classes: [{ name: a, transform: redact }]\nclassifications:\n  - class: a\n    columns: ['*.*.[ab]']",
    "a.yaml:4:15 `*.*.[ab]`: expected `schema.relation.column`, each a name or a glob of `*` and `?` (quote a name with dots)",
  ],
  [
    "a path out of the secrets",
    CONNECTION.replace("env:ORDERS_PASSWORD", "file:../keys/x"),
    "a.yaml:6:34 a `file:` reference has no `.` or `..` in it",
  ],
  [
    "an absolute path",
    CONNECTION.replace("env:ORDERS_PASSWORD", "file:/etc/shadow"),
    "a.yaml:6:34 an absolute `file:` reference has to be below one of the catalog's `secretFolders`; relative ones are below the edge's secrets folder",
  ],
  [
    "a certificate without its key",
    CONNECTION.replace("password:", "client_cert:"),
    "a.yaml:6:5 `client_cert` and `client_key` belong together",
  ],
  [
    "a default that is not listed",
    `${CONNECTION}    databases: [other]\n`,
    "a.yaml:7:5 `databases` lists all that may be asked for, so the default, `orders`, has to be among them",
  ],
  [
    "verify-ca without ca",
    `${CONNECTION}    tls: { mode: verify-ca }\n`,
    "a.yaml:7:5 `verify-ca` needs `ca`, the authority to verify against",
  ],
  [
    "keys over plain http",
    "issuers:\n  - { issuer: https://a.example, jwks_uri: http://a.example/jwks, audience: x }",
    "a.yaml:2:44 expected an https URL (http only on this machine)",
  ],
])("%s", (_name, text, expected) => {
  expect(problemsOf(text)).toContain(expected);
});

test("absolute secrets are allowed where the catalog's configuration says so", () => {
  const text = CONNECTION.replace("env:ORDERS_PASSWORD", "file:/run/secrets/orders");
  expect(read({ "a.yaml": text }, ["/run/secrets"]).problems).toEqual([]);
  expect(read({ "a.yaml": text }, ["/run/secret"]).problems).toHaveLength(1);
});

test("variables: defaults, quoted text, and a way to write ${ itself", () => {
  const { configuration } = read({
    "a.yaml": `${CONNECTION}    port: \${NOPE:-7000}\n    description: "$\${DB_HOST} is \${DB_HOST}"\n`,
  });
  expect(configuration.connections[0]).toMatchObject({ port: 7000, description: "${DB_HOST} is db.example.com" });
});

test("hostile YAML: aliases without end, deep nesting, huge files", () => {
  const bomb = [
    "a: &a [x]",
    ...Array.from({ length: 9 }, (_, i) => `b${i}: &b${i} [${`*${i === 0 ? "a" : `b${i - 1}`},`.repeat(9)}]`),
  ].join("\n");
  expect(problemsOf(bomb).length).toBeGreaterThan(0);
  expect(problemsOf("[".repeat(5_000)).length).toBeGreaterThan(0);
  expect(problemsOf("[".repeat(20_000) + "]".repeat(20_000)).length).toBeGreaterThan(0);
  expect(problemsOf(`# ${"x".repeat(1_100_000)}`)).toEqual(["a.yaml:0:0 a file has at most 1048576 bytes"]);
});

test("the README's example and the demo's folder are right as they stand", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const example = /```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const { configuration, problems } = read({ "example.yaml": example });
  expect(problems).toEqual([]);
  expect(configuration.classes).toHaveLength(5);

  const folder = new URL("../../../../deploy/local/catalog", import.meta.url).pathname;
  const demo = assemble(readFiles(await readFolder(folder), {}), []);
  expect(demo.problems).toEqual([]);
  expect(demo.configuration.connections.map((c) => [c.name, c.labels["env"], c.port])).toEqual([
    ["orders", "production", 15433],
    ["sandbox", "development", 15433],
  ]);
});
