import { afterAll, beforeAll, expect, test } from "vitest";
import { queryRecords, TestLane, TestSession } from "../../testing/lane-writer.ts";
import { openTestClickHouse } from "../../testing/start-audit.ts";
import { eventually } from "@sallyport/runtime/testing";
import { readFrameBatch } from "../ingest/frame-batch.ts";
import { LogBlock } from "../ingest/log-block.ts";
import { EPOCHS_QUERY } from "../ingest/position.ts";
import { VerdictKeys } from "../ingest/verdict-mac.ts";
import type { ClickHouse } from "./clickhouse.ts";
import { type Migration, migrate, readMigrations } from "./migrate.ts";

let engine: Awaited<ReturnType<typeof openTestClickHouse>>;
let clickhouse: ClickHouse;
beforeAll(async () => {
  engine = await openTestClickHouse();
  clickhouse = engine.clickhouse;
});
afterAll(() => engine?.remove());

const rowsAndParts = async () => {
  const [rows] = await clickhouse.work.rows<{ n: number }>("SELECT count() AS n FROM storage.event_log");
  const [parts] = await clickhouse.work.rows<{ n: number }>(
    "SELECT count() AS n FROM system.parts WHERE database = 'storage' AND table = 'event_log' AND active",
  );
  return { rows: rows?.n, parts: parts?.n };
};

/** A block of more rows than the engine's default block has. */
function largeBlock(): LogBlock {
  const block = new LogBlock(new VerdictKeys(new Map()));
  const session = new TestSession({ sessionId: "s-1" });
  const lane = new TestLane("edge-1");
  for (let sequence = 1; block.rows < 80_000; sequence++) {
    const records = Array.from({ length: 200 }, (_, n) => queryRecords(session, sequence * 200 + n, "SELECT 1")).flat();
    const bytes = lane.batch(records);
    const position = { stream: "FRAMES_0", incarnation: "x", sequence, timeUs: Date.UTC(2026, 0, 1) * 1000 };
    block.addBatch(position, bytes, readFrameBatch(bytes), "h", block.rows + 1);
  }
  return block;
}

test("insert: a block is one part, or nothing", async () => {
  await clickhouse.work.run("SYSTEM STOP MERGES storage.event_log");
  const block = largeBlock();
  await clickhouse.ingest.insertNative("storage.event_log", block.columnNames(), block.parts());
  expect(await rowsAndParts()).toEqual({ rows: block.rows, parts: 1 });
  const parts = block.parts();
  const whole = Buffer.concat(parts);
  for (const cut of [whole.length - 1, Math.floor(whole.length / 2), 100]) {
    await expect(
      clickhouse.ingest.insertNative("storage.event_log", block.columnNames(), [whole.subarray(0, cut)]),
    ).rejects.toThrow();
  }
  expect(await rowsAndParts()).toEqual({ rows: block.rows, parts: 1 });
});

test("position: what is read at a start comes from projections of the table, whose size is not the log's", async () => {
  const queries = [
    "SELECT stream, incarnation, max(stream_seq), max(ord) FROM storage.event_log GROUP BY stream, incarnation",
    "SELECT max(ord) AS ord FROM storage.event_log",
    "SELECT count() AS records FROM storage.event_log",
    EPOCHS_QUERY,
    "SELECT batch_no, any(batch_hash) FROM storage.event_log WHERE edge = 'e' AND lane = 0 AND epoch = 1 AND batch_no > 5 GROUP BY edge, lane, epoch, batch_no",
    "SELECT batch_no FROM storage.event_log WHERE edge = 'e' AND lane = 0 AND epoch = 1 AND batch_no > 5 GROUP BY edge, lane, epoch, batch_no",
  ];
  for (const query of queries) {
    const plan = await clickhouse.work.rows<{ explain: string }>(`EXPLAIN ${query}`);
    expect(plan.map((row) => row.explain).join("\n"), query).toMatch(
      /ReadFromMergeTree \((positions|epochs|batches)\)|ReadFromPreparedSource|projection/i,
    );
  }
});

test("cancel: what runs ends, an insert into the log does not", async () => {
  const long = clickhouse.work
    .rows("SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3")
    .catch((error: { type?: string }) => error.type);
  await eventually(
    async () =>
      (
        await clickhouse.read.rows(
          "SELECT 1 FROM system.processes WHERE query LIKE '%numbers(1000000%' AND query NOT LIKE '%processes%'",
        )
      ).length > 0,
  );
  const block = largeBlock();
  const inserting = clickhouse.ingest.insertNative("storage.event_log", block.columnNames(), block.parts());
  await clickhouse.cancelAll();
  expect(await long).toBe("QUERY_WAS_CANCELLED");
  await inserting;
});

test("migrate: again does nothing; what was interrupted is run again; a newer log is refused", async () => {
  expect(await migrate(clickhouse.work)).toEqual([]);
  const next: Migration = {
    number: readMigrations().length + 1,
    name: "next",
    statements: [
      "CREATE TABLE IF NOT EXISTS storage.next (a UInt8) ENGINE = MergeTree ORDER BY a",
      "SELECT throwIf(1)",
    ],
  };
  await expect(migrate(clickhouse.work, [...readMigrations(), next])).rejects.toThrow();
  next.statements.pop();
  expect(await migrate(clickhouse.work, [...readMigrations(), next])).toEqual(["next"]);
  await expect(migrate(clickhouse.work)).rejects.toThrow(/newer version/);
});
