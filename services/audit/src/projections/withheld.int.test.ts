import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ResultRefused_Cause as Cause } from "@sallyport/proto/record";
import { frames } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { startNatsServer, type TestNats } from "@sallyport/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TestLane, TestSession } from "../../testing/lane-writer.ts";
import { openTestClickHouse, startTestAudit, type TestAudit } from "../../testing/start-audit.ts";

let nats: TestNats;
let nc: NatsConnection;
let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let audit: TestAudit;
const REASON = "Column 1 of the result comes from another place than the analysis of the statement says.";

beforeAll(async () => {
  [nats, engine] = await Promise.all([startNatsServer(), openTestClickHouse()]);
  nc = await connect({ servers: nats.url });
  await ensureStreams(nc, { maxFramesBytes: 64 * 1024 * 1024 });
  audit = await startTestAudit(nats.url, engine.clickhouse, {}, new Map());
  const session = new TestSession({ sessionId: "s-withheld" }, Date.UTC(2026, 10, 22));
  const batch = new TestLane("edge-1").batch([
    session.record({
      $case: "commandAdmitted",
      value: { command: 1, verdictId: "v", unit: "portal", text: "SELECT 1" },
    }),
    session.record({
      $case: "resultRefused",
      value: { command: 1, cause: Cause.CAUSE_DISAGREEMENT, reason: REASON, rows: 3 },
    }),
    session.record({ $case: "commandCompleted", value: { command: 1, status: 2, code: "42501", rows: 3 } }),
  ]);
  await jetstream(nc).publish(frames(0, "edge-1", 0), batch);
  await audit.settled();
}, 30_000);
afterAll(async () => {
  await audit?.stop();
  await nc?.close();
  await nats?.stop();
  await engine?.remove();
});

const rows = (sql: string): Promise<Record<string, unknown>[]> => engine.clickhouse.work.rows(sql);

test("a command whose result was withheld says why, in the log and in the timeline", async () => {
  expect(await rows("SELECT unit, verdict_id, status, code, message, toUInt32(rows) AS n FROM log.commands")).toEqual([
    { unit: "portal", verdict_id: "v", status: "error", code: "42501", message: REASON, n: 3 },
  ]);
  expect(await rows("SELECT what FROM log.incident_timeline WHERE detail LIKE '%another place%'")).toHaveLength(1);
  expect(await rows("SELECT kind FROM log.event_log WHERE kind = 'result-refused'")).toHaveLength(1);
});
