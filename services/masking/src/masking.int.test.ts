import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { Configuration, Schema } from "@sallyport/proto/catalog_model";
import { Event } from "@sallyport/proto/event";
import {
  MaskingServiceClient,
  MaskRequest,
  PlanResult,
  type MaskPlan,
  type MaskRequest as Request,
  type MaskResponse,
} from "@sallyport/proto/masking";
import { type AggregateKind, event as subjectOf } from "@sallyport/proto/subjects";
import { Access } from "@sallyport/proto/verdict";
import { ensureStreams, openLink, type Link, type Runtime } from "@sallyport/runtime";
import {
  createPki,
  eventually,
  startNatsServer,
  startTestRuntime,
  type TestNats,
  type TestPki,
} from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

// The process itself, over mTLS, on a real bus.
let folder: string;
let nats: TestNats;
let pki: TestPki;
let masking: { child: ChildProcess; address: string };
let edge: Runtime;
let link: Link<Request, MaskResponse>;
const logs: string[] = [];

const CUSTOMERS = 20_001;
const NUMBERS = 20_003;
const schema = Schema.fromPartial({
  serverVersion: "18",
  identity: "1/2",
  relations: [
    {
      oid: CUSTOMERS,
      schema: "public",
      name: "customers",
      kind: "table",
      columns: [
        { number: 1, name: "id", typeOid: 23, type: "integer" },
        { number: 2, name: "email", typeOid: 25, type: "text" },
        { number: 3, name: "notes", typeOid: 25, type: "text" },
        { number: 4, name: "phone", typeOid: 25, type: "text" },
      ],
    },
    {
      oid: 20_002,
      schema: "public",
      name: "contacts",
      kind: "view",
      viewDefinition: " SELECT c.email AS contact,\n    upper(c.email) AS loud\n   FROM public.customers c;",
      columns: [
        { number: 1, name: "contact", typeOid: 25, type: "text" },
        { number: 2, name: "loud", typeOid: 25, type: "text" },
      ],
    },
    {
      oid: NUMBERS,
      schema: "public",
      name: "customers_id_seq",
      kind: "sequence",
      columns: [
        { number: 1, name: "last_value", typeOid: 20, type: "bigint" },
        { number: 2, name: "log_cnt", typeOid: 20, type: "bigint" },
        { number: 3, name: "is_called", typeOid: 16, type: "boolean" },
      ],
    },
  ],
});
const configuration = Configuration.fromPartial({
  classes: [
    { name: "email", transform: { kind: { $case: "partial", value: { keepFirst: 1, keepSeparators: true } } } },
    { name: "free-text", transform: { kind: { $case: "scan", value: {} } } },
    { name: "phone", transform: { kind: { $case: "hash", value: { prefix: "ph_" } } } },
  ],
  classifications: ["email", "phone", "free-text"].map((name) => ({
    class: name,
    connection: "*",
    database: "*",
    schema: "*",
    relation: "*",
    column: name === "free-text" ? "notes" : name,
  })),
});
const versions = new Map<string, number>();

/** Publishes a fact as `catalog` does; gives its sequence. */
async function say(kind: AggregateKind, id: string, fact: Event["fact"]): Promise<number> {
  const aggregate = `${kind}/${id}`;
  const version = (versions.get(aggregate) ?? 0) + 1;
  versions.set(aggregate, version);
  const event = Event.fromPartial({
    id: randomUUID(),
    atMs: 1,
    service: "catalog",
    aggregate,
    version,
    cause: "user:security",
  });
  const bytes = Event.encode({ ...event, fact }).finish();
  return (await jetstream(await edge.connectNats()).publish(subjectOf("catalog", kind, id), bytes)).seq;
}
const configure = (value: Configuration): Promise<number> =>
  say("configuration", "main", {
    $case: "configurationApplied",
    value: { configuration: value, digest: "d", changes: [] },
  });
const observe = (value: Schema): Promise<number> =>
  say("schema", "orders/orders", {
    $case: "schemaObserved",
    value: { connection: "orders", database: "orders", schema: value, digest: "d", edge: "e" },
  });

async function launch(): Promise<typeof masking> {
  const files = await pki.issue("masking");
  const config = join(folder, "masking.json");
  await writeFile(join(folder, "hash.key"), "k".repeat(44));
  await writeFile(
    config,
    JSON.stringify({
      service: "masking",
      instance: "masking",
      nats: { servers: [nats.url] },
      grpc: { internal: { listen: "127.0.0.1:0", ...files } },
      hashKey: `file:${join(folder, "hash.key")}`,
      waitMs: 500,
    }),
  );
  const child = spawn(process.execPath, [new URL("main.ts", import.meta.url).pathname], {
    env: { ...process.env, SALLYPORT_CONFIG: config, SALLYPORT_EXIT_WITH_PARENT: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    logs.push(chunk.toString());
  });
  child.stderr.on("data", (chunk: Buffer) => logs.push(chunk.toString()));
  const line = await eventually(() => /\{.*"msg":"ready"\}/.exec(output)?.[0], 20_000);
  return { child, address: (JSON.parse(line) as { internal: string }).internal };
}

function connect(peers: Record<string, string>, service = "edge-postgres"): Promise<Runtime> {
  return startTestRuntime(service, { pki, nats: nats.url, peers });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-masking-"));
  [nats, pki] = await Promise.all([startNatsServer(), createPki(folder)]);
  const admin = await connect({}, "admin");
  await ensureStreams(await admin.connectNats());
  await admin.stop("done");
  masking = await launch();
  edge = await connect({ masking: masking.address });
  link = open(edge);
  await configure(configuration);
});
afterAll(async () => {
  link?.close();
  await edge?.stop("done");
  masking?.child.kill("SIGKILL");
  await nats?.stop();
  await rm(folder, { recursive: true, force: true });
});

function open(runtime: Runtime): Link<Request, MaskResponse> {
  const client = runtime.client(MaskingServiceClient, "masking");
  return openLink({ name: "masking.mask", open: () => client.mask(), log: runtime.log });
}

const ask = async (request: Partial<Request>, deadlineMs = 5_000): Promise<NonNullable<MaskResponse["result"]>> => {
  const { result } = await link.request(MaskRequest.fromPartial(request), { deadlineMs });
  if (!result) throw new Error("no result");
  return result;
};
async function plan(more: object, minAsOf: number): Promise<MaskPlan> {
  const request = PlanResult.fromPartial({
    connection: "orders",
    database: "orders",
    hiddenClasses: ["email", "free-text", "phone"],
    relations: [
      {
        schema: "public",
        name: "customers",
        oid: CUSTOMERS,
        access: [Access.ACCESS_READ],
        columns: ["*"],
        kind: "table",
      },
    ],
    ...more,
  });
  const result = await ask({ what: { $case: "plan", value: request }, minAsOf });
  if (result.$case !== "plan") throw new Error(JSON.stringify(result));
  return result.value;
}
const text = (tableOid: number, columnNumber: number): object => ({ name: "c", tableOid, columnNumber, typeOid: 25 });
const cells = async (planId: string, column: number, values: string[]): Promise<string[]> => {
  const value = { planId, column, cells: values.map((one) => Buffer.from(one)) };
  const result = await ask({ what: { $case: "cells", value } });
  if (result.$case !== "cells") throw new Error(JSON.stringify(result));
  return result.value.cells.map((cell) => cell.toString("utf8"));
};

test("a sequence that was observed is a relation with nothing to hide, what is computed over one that was not is masked", async () => {
  const asOf = await observe(schema);
  const sequence = { schema: "public", name: "customers_id_seq", oid: NUMBERS, access: [Access.ACCESS_READ] };
  const columns = [
    { name: "last_value", tableOid: NUMBERS, columnNumber: 1, typeOid: 20 },
    { name: "is_called", tableOid: NUMBERS, columnNumber: 3, typeOid: 16 },
    { name: "next", tableOid: 0, columnNumber: 0, typeOid: 20 },
  ];
  const relations = [{ ...sequence, columns: ["is_called", "last_value"], kind: "sequence" }];
  const made = await plan({ columns, relations }, asOf);
  expect(made.columns.map(({ action }) => action)).toEqual([1, 1, 1]);
  expect(made.scrubText).toBe(false);
  const unknown = await plan({ columns, relations: [{ ...relations[0], oid: 0, kind: "unknown" }] }, asOf);
  expect(unknown.columns[2]?.action).not.toBe(1);
});

test("plans what was observed, masks cells, and follows what is applied", async () => {
  const asOf = await observe(schema);
  const columns = [1, 2, 3, 4].map((n) => text(CUSTOMERS, n));
  const exactly = (number: number, oid = CUSTOMERS, describedNumber = number): object => ({
    sources: [{ relationOid: CUSTOMERS, number }],
    exact: true,
    describedOid: oid,
    describedNumber,
  });
  const views = [exactly(2, 20_002, 1), { ...exactly(2, 20_002, 2), exact: false }];
  const outputs = [...[1, 2, 3, 4].map((n) => exactly(n)), ...views];
  const shown = [...columns, text(20_002, 1), text(20_002, 2)];
  const made = await plan({ columns: shown, lineage: { outputs } }, asOf);
  expect(made.asOf).toBeGreaterThanOrEqual(asOf);
  expect(made.columns.map((c) => [c.action, c.class])).toEqual([
    [1, ""],
    [3, "email"],
    [6, "free-text"],
    [5, "phone"],
    [3, "email"],
    [2, "email"], // computed from it
  ]);
  expect(made.scrubText).toBe(true);
  expect(made.disagreement).toBe("");
  const odd = await plan({ columns: shown.toReversed(), lineage: { outputs } }, asOf);
  expect(odd.disagreement).toMatch(/^Column 1 of the result comes from another place/);

  const notes = await cells(made.planId, 2, ["mail ada@example.org", "nothing", "card 4111 1111 1111 1111"]);
  expect(notes).toEqual(["mail a**@*******.***", "nothing", "card [payment-card]"]);
  const [one, two, again] = await cells(made.planId, 3, ["+41 44 668 18 00", "other", "+41 44 668 18 00"]);
  expect(one).toMatch(/^ph_[0-9a-f]{32}$/);
  expect([again, two]).toEqual([one, expect.not.stringMatching(one!)]);

  const revealed = await configure(Configuration.fromPartial({ ...configuration, classifications: [] }));
  const after = await plan({ columns }, revealed);
  expect(after.columns.map((c) => c.action)).toEqual([1, 1, 1, 1]);
  const back = await configure(configuration);
  expect((await plan({ columns }, back)).planId).toBe((await plan({ columns }, back)).planId);
});

test("errors answer their request and no other", async () => {
  expect(await ask({ what: { $case: "cells", value: { planId: "mp_none", column: 0, cells: [] } } })).toMatchObject({
    $case: "error",
    value: expect.stringMatching(/^not-found: .*plan again/),
  });
  expect(await ask({})).toMatchObject({ $case: "error", value: expect.stringMatching(/^invalid-input/) });
  const future = ask({ what: { $case: "plan", value: PlanResult.fromPartial({}) }, minAsOf: 1_000_000 });
  const now = await plan({ columns: [text(CUSTOMERS, 2)] }, 0);
  expect(now.columns).toHaveLength(1);
  expect(await future).toMatchObject({ $case: "error", value: expect.stringMatching(/^unavailable/) });
});

test("a huge cell is bounded and does not hold up a small one", async () => {
  const asOf = await observe(schema);
  const made = await plan({ columns: [text(CUSTOMERS, 3)] }, asOf);
  const huge = cells(made.planId, 0, [`${"lorem 4111 ipsum ".repeat(300_000)} ada@example.com`]);
  let bigDone = false;
  void huge.then(() => (bigDone = true));
  expect(await cells(made.planId, 0, ["bob@example.com"])).toEqual(["b**@*******.***"]);
  expect(bigDone).toBe(false);
  const [masked] = await huge;
  expect(masked).not.toContain("ada@");
  expect(masked).toContain("characters not scanned");
});

test("only edges may ask", async () => {
  const stranger = await connect({ masking: masking.address }, "stranger");
  const client = stranger.client(MaskingServiceClient, "masking");
  const code = await new Promise<number>((resolve) => {
    const stream = client.mask();
    stream.on("error", (error: { code?: number }) => resolve(error.code ?? -1));
    stream.on("end", () => resolve(-1));
    stream.resume();
  });
  expect(code).toBe(7);
  await stranger.stop("done");
});

test("killed and started again it folds the same: same plans, same tokens", async () => {
  const asOf = await observe(schema);
  const columns = [text(CUSTOMERS, 3), text(CUSTOMERS, 4)];
  const before = await plan({ columns }, asOf);
  const tokens = await cells(before.planId, 1, ["a"]);
  masking.child.kill("SIGKILL");
  masking = await launch();
  const other = await connect({ masking: masking.address });
  link.close();
  link = open(other);
  expect(
    await ask({ what: { $case: "cells", value: { planId: before.planId, column: 1, cells: [Buffer.from("a")] } } }),
  ).toMatchObject({ $case: "error" });
  expect(await plan({ columns }, asOf)).toEqual({ ...before, asOf: expect.any(Number) });
  expect(await cells(before.planId, 1, ["a"])).toEqual(tokens);
  link.close();
  await other.stop("done");
});

test("no value stands in any log line", () => {
  const all = logs.join("");
  expect(all).toContain("ready");
  for (const value of ["ada@example", "bob@example", "4111 1111", "4111 ipsum", "668 18", "kkkk"])
    expect(all).not.toContain(value);
});
