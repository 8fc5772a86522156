import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bearer, call } from "@sallyport/cli/api";
import { expect, test } from "vitest";
import { profileOf, psqlAs } from "../harness/clients.ts";
import { spansIn, type Span } from "./collector.ts";
import { api, asAccount, gateway, log, metricsOf, pgClient } from "./place.ts";
import { query, RawClient } from "./raw-client.ts";
import { marker } from "./target.ts";
import { until } from "./until.ts";

/** Which span of which service hangs below which, by their names. */
const edges = (spans: readonly Span[]): string[] => {
  const nameOf = (one: Span | undefined): string => (one === undefined ? "?" : `${one.service} ${one.name}`);
  return spans
    .filter(({ parentSpanId }) => (parentSpanId ?? "") !== "")
    .map((one) => `${nameOf(spans.find(({ spanId }) => spanId === one.parentSpanId))} > ${nameOf(one)}`);
};

/** The trace of a marked command, once everything that is wanted of it has arrived. */
async function traceOf(id: string, wanted: readonly string[]): Promise<Span[]> {
  const sql = `SELECT trace_id FROM commands WHERE statement LIKE '%${marker(id)}%'`;
  const traceId = await log.find("the command in the log", sql, (rows) => rows[0]?.["trace_id"] as string | undefined);
  expect(traceId).toMatch(/^[0-9a-f]{32}$/);
  let trace: Span[] = [];
  await until("its whole trace", () => {
    trace = spansIn(gateway.traces).filter((span) => span.traceId === traceId);
    return wanted.every((edge) => edges(trace).includes(edge)) ? true : undefined;
  }).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}: ${JSON.stringify(edges(trace), null, 1)}`);
  });
  return trace;
}

const SEEN_BY_ALL = [
  "edge-postgres command > edge-postgres decide",
  "edge-postgres command > policy policy.check",
  "edge-postgres command > edge-postgres record",
  "edge-postgres command > edge-postgres forward",
  "edge-postgres command > audit audit.ingest",
];

test("a command that is held, granted and run is one trace over edge, policy, approval, recorder and the log", async () => {
  const client = await RawClient.login(asAccount("engineer"), "orders");
  client.send(query(`UPDATE orders SET status = 'paid' WHERE id = 4712 ${marker("traced-hold")}`));
  await client.until("N");
  const notice = client.messages.findLast(({ type }) => type === "N")!.body.toString();
  const approvalId = /approval ([\w-]+)\)/.exec(notice)?.[1] ?? "";
  const { approvals } = api;
  const decision = { approvalId, grant: true, reason: "to see its trace" };
  await call(approvals, approvals.decide, decision, bearer(profileOf(gateway, "dba").token));
  await client.until("C", "E");
  expect(client.report).toBeUndefined();
  client.vanish();
  const trace = await traceOf("traced-hold", [
    ...SEEN_BY_ALL,
    "edge-postgres command > edge-postgres hold",
    "edge-postgres command > approval sallyport.v1.ApprovalService/Request",
    "edge-postgres command > approval sallyport.v1.ApprovalService/Use",
  ]);
  expect(trace.filter(({ parentSpanId }) => (parentSpanId ?? "") === "").map(({ name }) => name)).toEqual(["command"]);
});

test("a masked result is in its command's trace too", async () => {
  const sql = `SELECT email, notes FROM customers LIMIT 3 ${marker("traced-mask")}`;
  expect((await psqlAs(gateway, "engineer", "orders", sql)).code).toBe(0);
  await traceOf("traced-mask", [...SEEN_BY_ALL, "edge-postgres command > edge-postgres mask"]);
});

/** The value of a metric with these labels; 0 while there is none. */
const valueIn = (text: string, metric: string): number => {
  const line = text.split("\n").find((one) => one.startsWith(`${metric} `));
  return line === undefined ? 0 : Number(line.slice(metric.length + 1));
};

test("Prometheus is told of sessions, commands by verdict, added latency, unacknowledged bytes and ingest lag", async () => {
  const names = {
    open: 'sallyport_sessions{protocol="postgresql"}',
    forward: 'sallyport_commands_total{verdict="forward"}',
    deny: 'sallyport_commands_total{verdict="deny"}',
    hold: 'sallyport_commands_total{verdict="hold"}',
    latencies: "sallyport_command_added_latency_count",
  };
  const read = async (): Promise<Record<string, number>> => {
    const text = await metricsOf("edge-postgres");
    expect(text).toMatch(/^sallyport_recorder_unacknowledged \d+$/m);
    expect(text).toMatch(/^sallyport_command_added_latency_bucket\{le="0\.0005"\} \d+$/m);
    return Object.fromEntries(Object.entries(names).map(([key, name]) => [key, valueIn(text, name)]));
  };
  const client = await pgClient("engineer", "orders");
  const before = await read();
  for (let i = 0; i < 100; i++) await client.query("SELECT id FROM orders WHERE id = 7");
  await expect(client.query("DROP TABLE orders")).rejects.toMatchObject({ code: "42501" });
  const after = await read();
  expect(after["open"]).toBeGreaterThanOrEqual(1);
  expect(after["forward"]! - before["forward"]!).toBe(100);
  expect(after["deny"]! - before["deny"]!).toBe(1);
  expect(after["hold"]!).toBeGreaterThanOrEqual(1);
  expect(after["latencies"]!).toBeGreaterThan(before["latencies"]!);
  await client.end();
  const audit = await metricsOf("audit");
  expect(valueIn(audit, "sallyport_audit_ingest_lag")).toBeGreaterThanOrEqual(0);
  expect(audit).toMatch(/^sallyport_audit_ingest_lag [\d.e-]+$/m);
  expect(valueIn(audit, 'sallyport_audit_records_total{what="rows"}')).toBeGreaterThan(100);
  expect(await metricsOf("policy")).toMatch(/^sallyport_checks_total\{outcome="deny"\} [1-9]/m);
});

test("a log line of a call carries the call's trace", async () => {
  const refusal = await log.ask("SELECT no_such_column FROM commands").catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: "invalid-input" });
  const lines = readFileSync(join(gateway.logs, "audit.log"), "utf8").trim().split("\n");
  const refused = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(refused.findLast(({ msg }) => msg === "call refused")).toMatchObject({
    method: "sallyport.v1.AuditService/Query",
    code: "invalid-input",
    trace_id: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
  });
});
