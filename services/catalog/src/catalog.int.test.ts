import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ApplyRequest,
  CatalogServiceClient,
  ConfigurationServiceClient,
  ExplainRequest,
  Finding_Level,
  ObserveSchemaRequest,
  RecordCopiesRequest,
  type SourceFile,
} from "@sallyport/proto/catalog";
import { Schema } from "@sallyport/proto/catalog_model";
import type { Event } from "@sallyport/proto/event";
import { AuthenticateResponse, DescribeResponse, IdentityServiceService } from "@sallyport/proto/identity";
import { PolicyServiceService } from "@sallyport/proto/policy";
import {
  AppError,
  bearer,
  callUnary,
  ensureStreams,
  followEvents,
  publicClient,
  service,
  type EventFollower,
  type GrpcService,
  type Runtime,
} from "@sallyport/runtime";
import {
  createPki,
  eventually,
  startNatsServer,
  startTestRuntime,
  type TestNats,
  type TestPki,
} from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

// The process itself on a real bus; identity and policy answer over real mTLS with the smallest rules that the test needs.
let folder: string;
let nats: TestNats;
let pki: TestPki;
let catalog: Started;
let edge: Runtime;
let people: ConfigurationServiceClient;
let follower: EventFollower;
let policyAddress: string;
let identityAddress: string;
const events: Event[] = [];
const helpers: Runtime[] = [];
const deadline = { deadlineMs: 10_000 };

interface Started {
  child: ChildProcess;
  exited: Promise<number | null>;
  errors(): string;
  ready(): Promise<{ internal: string; public: string }>;
}

const identity = service({
  definition: IdentityServiceService,
  handlers: new Proxy(
    {},
    {
      get: (_target, name) =>
        name === "authenticate"
          ? async ({ token }: { token: string }) => {
              if (!token.startsWith("token-of-"))
                throw new AppError("unauthenticated", "test", "this token is not known");
              return AuthenticateResponse.fromPartial({ principal: { id: `user:${token.slice("token-of-".length)}` } });
            }
          : name === "describe"
            ? async ({ principalId }: { principalId: string }) =>
                DescribeResponse.fromPartial({ principal: { id: principalId } })
            : () => Promise.reject(new AppError("internal", "test", "not here")),
    },
  ) as never,
});

const policy = service({
  definition: PolicyServiceService,
  handlers: {
    authorize: async ({ principal, action, resource }) => {
      const allowed = principal?.id === "user:security" || (action === "connect" && resource === "sandbox");
      return { allowed, message: allowed ? "" : `${action} is not for you`, determining: [], revealedClasses: [] };
    },
    validate: async ({ configuration }) => ({
      problems: (configuration?.policies ?? []).flatMap(({ path, text }) =>
        text.includes("broken") ? [{ path, line: 1, column: 7, message: "unexpected token `broken`" }] : [],
      ),
      policySet: "sha256:x",
    }),
    check: () => undefined,
    explain: () => Promise.reject(new AppError("internal", "test", "not here")),
  },
});

async function serve(name: string, grpc: GrpcService): Promise<string> {
  const runtime = await startTestRuntime(name, { pki });
  helpers.push(runtime);
  const { internal } = await runtime.serve({ internal: [grpc], allow: ["catalog"] });
  return internal!;
}

async function launch(extra: object = {}, bus = nats.url): Promise<Started> {
  const files = await pki.issue("catalog");
  const config = join(folder, `catalog-${Math.random()}.json`);
  await writeFile(
    config,
    JSON.stringify({
      service: "catalog",
      instance: "catalog",
      nats: { servers: [bus] },
      grpc: {
        internal: { listen: "127.0.0.1:0", ...files },
        public: { listen: "127.0.0.1:0", cert: files.cert, key: files.key },
        client: files,
      },
      peers: { identity: identityAddress, policy: policyAddress },
      ...extra,
    }),
  );
  const child = spawn(process.execPath, [new URL("main.ts", import.meta.url).pathname], {
    env: { ...process.env, SALLYPORT_CONFIG: config, SALLYPORT_EXIT_WITH_PARENT: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const ready = async () => {
    const line = await eventually(() => /\{.*"msg":"ready"\}/.exec(output)?.[0], 20_000);
    return JSON.parse(line) as { internal: string; public: string };
  };
  return { child, exited, errors: () => errors, ready };
}

const CONNECTIONS = `connections:
  - name: orders
    protocol: postgresql
    host: 127.0.0.1
    port: 15433
    database: orders
    labels: { env: production }
    role: { user: app, password: file:secrets/orders }
  - name: sandbox
    protocol: postgresql
    host: 127.0.0.1
    database: sandbox
    role: { user: app, password: file:secrets/orders }
`;
const FILES: SourceFile[] = [
  { path: "connections.yaml", text: CONNECTIONS },
  { path: "classes.yaml", text: "classes:\n  - { name: email, transform: redact }\n" },
  { path: "policies/base.cedar", text: '@id("all") permit (principal, action, resource);' },
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-catalog-"));
  [nats, pki] = await Promise.all([startNatsServer(), createPki(folder)]);
  edge = await startTestRuntime("edge-postgres", { pki, nats: nats.url });
  const nc = await edge.connectNats();
  await ensureStreams(nc);
  follower = await followEvents(nc, { from: 1, onEvent: (event) => void events.push(event), log: edge.log });
  [identityAddress, policyAddress] = await Promise.all([serve("identity", identity), serve("policy", policy)]);
  catalog = await launch();
  const { public: address } = await catalog.ready();
  people = publicClient(ConfigurationServiceClient, address, await readFile(pki.ca));
});
afterAll(async () => {
  catalog?.child.kill("SIGKILL");
  people?.close();
  await follower?.stop();
  await edge?.stop("done");
  for (const runtime of helpers) await runtime.stop("done");
  await nats?.stop();
  await rm(folder, { recursive: true, force: true });
});

const as = (name: string) => ({ ...deadline, metadata: bearer(`token-of-${name}`) });
const apply = (files: SourceFile[], expectedDigest = "", who = "security") =>
  callUnary(people, "apply", ApplyRequest.fromPartial({ files, expectedDigest }), as(who));
const plan = (files: SourceFile[]) => callUnary(people, "plan", { files }, as("security"));
const internal = async (): Promise<CatalogServiceClient> => {
  const { internal: address } = await catalog.ready();
  const runtime = await startTestRuntime("edge-postgres", { pki, peers: { catalog: address } });
  helpers.push(runtime);
  return runtime.client(CatalogServiceClient, "catalog");
};
const edited = (from: string, to: string): SourceFile[] =>
  FILES.map((file) => ({ ...file, text: file.text.replace(from, to) }));

test("only who may configure plans and applies, and only with a token", async () => {
  await expect(apply(FILES, "", "engineer")).rejects.toMatchObject({
    code: "not-permitted",
    message: "configure is not for you",
  });
  await expect(callUnary(people, "plan", { files: FILES }, as("engineer"))).rejects.toMatchObject({
    code: "not-permitted",
  });
  await expect(callUnary(people, "plan", { files: FILES }, deadline)).rejects.toMatchObject({
    code: "unauthenticated",
  });
  expect(events).toEqual([]);
});

test("all problems together, those of policies too, and nothing is published", async () => {
  const wrong = [
    { path: "connections.yaml", text: CONNECTIONS.replace("port: 15433", "port: 99999").replace("host:", "hots:") },
    { path: "classes.yaml", text: "classes:\n  - { name: email, transform: blur }\n" },
    { path: "policies/base.cedar", text: "broken" },
  ];
  const { problems, changes, digest } = await apply(wrong);
  expect(problems.map((p) => `${p.path}:${p.line}:${p.column}`)).toEqual([
    "classes.yaml:2:31",
    "connections.yaml:2:5",
    "connections.yaml:4:5",
    "connections.yaml:5:11",
    "policies/base.cedar:1:7",
  ]);
  expect([changes, digest]).toEqual([[], ""]);
  expect((await plan(wrong)).problems).toEqual(problems);
  expect(events).toEqual([]);
});

test("plan, apply, and apply again", async () => {
  const planned = await plan(FILES);
  expect(planned.problems).toEqual([]);
  expect(planned.changes.map((c) => c.what)).toEqual([
    "connection orders",
    "connection sandbox",
    "class email",
    "policy all",
  ]);
  const applied = await apply(FILES, planned.digest);
  expect(applied.changes).toEqual(planned.changes);
  expect(await follower.waitFor(applied.asOf, 2_000)).toBe(true);
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({
    service: "catalog",
    aggregate: "configuration/main",
    version: 1,
    cause: "user:security",
    fact: {
      $case: "configurationApplied",
      value: { digest: applied.digest, changes: expect.arrayContaining(["+ policy all: in policies/base.cedar"]) },
    },
  });
  const again = await apply(FILES);
  expect(again).toMatchObject({ digest: applied.digest, changes: [], asOf: applied.asOf });
  expect((await plan(FILES)).changes).toEqual([]);
  expect(events).toHaveLength(1);
});

test("of two who planned on the same configuration one has to plan again", async () => {
  const mine = edited("env: production", "env: staging");
  const theirs = edited("port: 15433", "port: 15434");
  const [planMine, planTheirs] = await Promise.all([plan(mine), plan(theirs)]);
  await apply(theirs, planTheirs.digest);
  await expect(apply(mine, planMine.digest)).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining("plan again"),
  });
  expect((await plan(mine)).changes.map((c) => c.detail)).toEqual([
    "port 15434 → 15433; labels.env production → staging",
  ]);
  await apply(FILES);
});

test("people see the connections that they may use", async () => {
  const names = async (who: string): Promise<string[]> =>
    (await callUnary(people, "listConnections", {}, as(who))).connections.map(
      (c) => `${c.name} ${c.databases.join(",")}`,
    );
  expect(await names("security")).toEqual(["orders orders", "sandbox sandbox"]);
  expect(await names("engineer")).toEqual(["sandbox sandbox"]);
});

test("edges resolve connections, references and all, but never a name that is not there", async () => {
  const client = await internal();
  const found = await callUnary(client, "resolve", { connection: "orders", database: "" }, deadline);
  expect(found.connection?.role?.passwordRef).toBe("file:secrets/orders");
  expect(found).toMatchObject({ database: "orders", schemaDigest: "", asOf: follower.seq() });
  for (const [connection, database] of [
    ["nope", ""],
    ["orders", "postgres"],
  ] as const) {
    const refused = callUnary(client, "resolve", { connection, database }, deadline);
    await expect(refused).rejects.toMatchObject({ code: "not-found", message: expect.not.stringContaining("sandbox") });
  }
});

test("a schema is an event when it differs, whatever the order it is told in", async () => {
  const client = await internal();
  const relation = (oid: number, name: string) => ({
    oid,
    schema: "public",
    name,
    kind: "table",
    columns: [{ number: 1, name: "id", typeOid: 23, type: "integer" }],
  });
  const observe = (...relations: object[]) =>
    callUnary(
      client,
      "observeSchema",
      ObserveSchemaRequest.fromPartial({ connection: "orders", schema: Schema.fromPartial({ relations }) }),
      deadline,
    );
  const before = events.length;
  const first = await observe(relation(1, "a"), relation(2, "b"));
  expect(first.changed).toBe(true);
  expect(await observe(relation(2, "b"), relation(1, "a"))).toEqual({ ...first, changed: false });
  const second = await observe(relation(1, "renamed"), relation(2, "b"));
  expect(second.changed).toBe(true);
  await follower.waitFor(second.asOf, 2_000);
  expect(events.slice(before).map((e) => [e.aggregate, e.cause, e.fact?.$case])).toEqual([
    ["schema/orders/orders", "service:edge-postgres", "schemaObserved"],
    ["schema/orders/orders", "service:edge-postgres", "schemaObserved"],
  ]);
  const resolved = await callUnary(client, "resolve", { connection: "orders", database: "orders" }, deadline);
  expect(resolved.schemaDigest).toBe(second.digest);

  const columns = Array.from({ length: 1_000 }, (_, i) => ({
    number: i + 1,
    name: `column_${i}_${"x".repeat(40)}`,
    typeOid: 25,
    type: "text",
  }));
  const huge = observe(...Array.from({ length: 70 }, (_, i) => ({ ...relation(i + 1, `t${i}`), columns })));
  await expect(huge).rejects.toMatchObject({
    code: "exhausted",
    message: expect.stringMatching(/at most 4194304 bytes/),
  });
});

test("a copy is said once, whoever tells of it, and nonsense is refused", async () => {
  const client = await internal();
  const copy = {
    schema: "public",
    relation: "report",
    column: "mail",
    sourceOid: 16_400,
    sourceNumber: 3,
    exact: true,
  };
  const record = (...copies: object[]) =>
    callUnary(client, "recordCopies", RecordCopiesRequest.fromPartial({ connection: "orders", copies }), deadline);
  const before = events.length;
  const first = await record(copy, copy);
  expect(await record(copy)).toEqual(first);
  const second = await record(copy, { ...copy, column: "other" });
  await follower.waitFor(second.asOf, 2_000);
  expect(events.slice(before).map((e) => [e.aggregate, e.cause, e.fact])).toMatchObject([
    ["copies/orders/orders", "service:edge-postgres", { $case: "columnsCopied", value: { copies: [copy] } }],
    ["copies/orders/orders", "service:edge-postgres", { value: { copies: [{ ...copy, column: "other" }] } }],
  ]);
  for (const wrong of [
    { ...copy, column: "" },
    { ...copy, class: "email" },
    { ...copy, sourceNumber: 0 },
  ]) {
    await expect(record(wrong)).rejects.toMatchObject({ code: "invalid-input" });
  }
});

test("doctor: by whoever audits or configures; an edge that cannot log in says why", async () => {
  const client = await internal();
  const diagnose = (who: string, connection = "sandbox") =>
    callUnary(people, "doctor", { connection, database: "", cached: false }, as(who));
  const before = events.length;
  await expect(diagnose("engineer")).rejects.toMatchObject({ code: "not-permitted", message: "audit is not for you" });
  await expect(diagnose("security", "nope")).rejects.toMatchObject({ code: "not-found" });
  expect(events.length).toBe(before);

  const asked = diagnose("security");
  const request = await eventually(() => events.slice(before).find((e) => e.fact?.$case === "observationRequested"));
  expect(request).toMatchObject({
    cause: "user:security",
    fact: { value: { connection: "sandbox", database: "sandbox" } },
  });
  const problem = { code: "unavailable", message: "127.0.0.1:5432: connection refused" };
  const told = ObserveSchemaRequest.fromPartial({ connection: "sandbox", problem });
  expect(await callUnary(client, "observeSchema", told, deadline)).toMatchObject({ digest: "", changed: false });
  const { findings, observedAtMs } = await asked;
  expect(findings[0]).toMatchObject({
    level: Finding_Level.LEVEL_PROBLEM,
    check: "reachable",
    message: expect.stringContaining("127.0.0.1:5432: connection refused"),
  });
  expect(observedAtMs).toBe(0);
});

test("explain: one's own where one may connect, somebody else's with audit and on record before it is answered", async () => {
  const explain = (who: string, connection: string, principalId = "", text = "SELECT 1") =>
    callUnary(people, "explain", ExplainRequest.fromPartial({ connection, text, principalId }), as(who));
  const before = events.length;
  const explained = () => events.slice(before).filter((e) => e.fact?.$case === "commandExplained");
  await expect(explain("engineer", "orders")).rejects.toMatchObject({ message: "connect is not for you" });
  await expect(explain("engineer", "sandbox", "user:dba")).rejects.toMatchObject({ message: "audit is not for you" });
  await expect(explain("engineer", "sandbox", "", "  ")).rejects.toMatchObject({ code: "invalid-input" });
  expect(explained()).toEqual([]);
  // Policy is not played here: that it is asked at all is enough.
  await expect(explain("security", "orders", "user:dba", "SELECT 'x'")).rejects.toMatchObject({ code: "internal" });
  await eventually(() => explained()[0]);
  expect(explained()).toMatchObject([
    {
      cause: "user:security",
      fact: {
        value: { principalId: "user:security", asPrincipalId: "user:dba", connection: "orders", text: "SELECT 'x'" },
      },
    },
  ]);
});

test("restarted, it knows what it knew", async () => {
  catalog.child.kill("SIGKILL");
  catalog = await launch();
  const client = await internal();
  expect((await callUnary(client, "resolve", { connection: "orders", database: "" }, deadline)).schemaDigest).not.toBe(
    "",
  );
  people.close();
  people = publicClient(ConfigurationServiceClient, (await catalog.ready()).public, await readFile(pki.ca));
  expect((await plan(FILES)).changes).toEqual([]);
});

test("bootstrap applies a folder once, and never over what was applied", async () => {
  const own = await startNatsServer();
  const at = join(folder, "bootstrap");
  await mkdir(join(at, "policies"), { recursive: true });
  for (const { path, text } of FILES) await writeFile(join(at, path), text);
  const runtime = await startTestRuntime("watcher", { pki, nats: own.url });
  const nc = await runtime.connectNats();
  await ensureStreams(nc);
  const seen: Event[] = [];
  const watching = await followEvents(nc, { from: 1, onEvent: (event) => void seen.push(event), log: runtime.log });
  for (const text of [CONNECTIONS, CONNECTIONS.replace("production", "staging")]) {
    await writeFile(join(at, "connections.yaml"), text);
    const started = await launch({ bootstrap: { folder: at } }, own.url);
    await started.ready();
    started.child.kill("SIGTERM");
    expect(await started.exited).toBe(0);
  }
  await watching.waitFor(1, 2_000);
  expect(seen.map((event) => [event.cause, event.version])).toEqual([["system:bootstrap", 1]]);
  await watching.stop();
  await runtime.stop("done");
  await own.stop();
});

test("a folder that is wrong: one readable message with every place, and exit code 78", async () => {
  const own = await startNatsServer();
  const runtime = await startTestRuntime("watcher", { pki, nats: own.url });
  await ensureStreams(await runtime.connectNats());
  const at = join(folder, "wrong");
  await mkdir(at);
  await writeFile(join(at, "a.yaml"), "connections:\n  - nam: x\n");
  await writeFile(join(at, "p.cedar"), "broken");
  const started = await launch({ bootstrap: { folder: at } }, own.url);
  expect(await started.exited).toBe(78);
  expect(started.errors()).toMatch(/a\.yaml:2:5: the key `nam` is not known here[\s\S]*p\.cedar:1:7: unexpected token/);
  const nowhere = await launch({ bootstrap: { folder: join(folder, "nowhere") } }, own.url);
  expect(await nowhere.exited).toBe(78);
  expect(nowhere.errors()).toContain("cannot be read");
  await runtime.stop("done");
  await own.stop();
});
