import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { frames } from "@sallyport/proto/subjects";
import { ensureStreams } from "@sallyport/runtime";
import { startNatsServer } from "@sallyport/runtime/testing";
import { expect, test } from "vitest";
import { queryRecords, TestLane, TestSession } from "../../testing/lane-writer.ts";
import { openClickHouse } from "../clickhouse/clickhouse.ts";

const program = join(import.meta.dirname, "../../testing/ingest-process.ts");
const BATCHES = 160;
const COMMANDS_PER_BATCH = 50;
const TOTAL = BATCHES * COMMANDS_PER_BATCH * 4;

/** Starts an ingesting process; tells it of its progress. */
function start(url: string, folder: string): { child: ChildProcess; committed: (atLeast: number) => Promise<number> } {
  const child = spawn(process.execPath, [program, url, folder], { stdio: ["ignore", "pipe", "inherit"] });
  let last = 0;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => (last = Number(line)));
  return {
    child,
    committed: async (atLeast) => {
      const reached = (): boolean => last >= atLeast;
      while (!reached()) {
        if (child.exitCode !== null) throw new Error(`the process ended with ${child.exitCode}`);
        await once(lines, "line");
      }
      return last;
    },
  };
}

test("kill: thrice in mid-load, nothing is lost and nothing doubled", async () => {
  const nats = await startNatsServer();
  const folder = await mkdtemp(join(tmpdir(), "sallyport-kill-"));
  const nc = await connect({ servers: nats.url });
  try {
    await ensureStreams(nc, { maxFramesBytes: 512 * 1024 * 1024 });
    const lane = new TestLane("edge-1");
    const sessions = Array.from({ length: 8 }, (_, n) => new TestSession({ sessionId: `s-${n}` }));
    const send = async (from: number, to: number): Promise<void> => {
      const js = jetstream(nc);
      for (let b = from; b < to; b++) {
        const records = Array.from({ length: COMMANDS_PER_BATCH }, (_, c) =>
          queryRecords(sessions[c % 8] as TestSession, b * COMMANDS_PER_BATCH + c + 1, `SELECT ${b}\n\n${c}`),
        ).flat();
        const bytes = lane.batch(records);
        await js.publish(frames(0, "edge-1", 0), bytes);
        // an edge whose acknowledgement was lost sends again
        if (b % 7 === 0) await js.publish(frames(0, "edge-1", 0), bytes);
      }
    };
    let sent = 0;
    let reached = 0;
    for (const kill of [1, 2, 3]) {
      const run = start(nats.url, folder);
      const sending = send(sent, (sent += BATCHES / 4));
      // somewhere in the middle of inserts, while more arrives
      reached = await run.committed(reached + 1_000 * kill);
      run.child.kill("SIGKILL");
      await once(run.child, "exit");
      await sending;
    }
    await send(sent, BATCHES);
    const last = start(nats.url, folder);
    await last.committed(TOTAL + Math.ceil(BATCHES / 7));
    last.child.kill("SIGKILL");
    await once(last.child, "exit");

    const clickhouse = await openClickHouse({ kind: "embedded", folder });
    const [counted] = await clickhouse.work.rows(
      `SELECT countIf(session_id != '') AS records, uniqExactIf((session_id, seq), session_id != '') AS distinct, countIf(kind = 'batch-repeated') AS repeats,
         count() AS rows, uniqExact(ord) AS ords, max(ord) AS last, uniqExact(stream_seq) AS messages, max(stream_seq) AS last_message
       FROM storage.event_log`,
    );
    const repeats = Math.ceil(BATCHES / 7);
    expect(counted).toEqual({
      records: TOTAL,
      distinct: TOTAL,
      repeats,
      rows: TOTAL + repeats,
      ords: TOTAL + repeats,
      last: TOTAL + repeats,
      messages: BATCHES + repeats,
      last_message: BATCHES + repeats,
    });
    const perSession = await clickhouse.work.rows(
      "SELECT session_id, max(seq) = count() AS whole FROM storage.event_log WHERE session_id != '' GROUP BY session_id",
    );
    expect(perSession).toHaveLength(8);
    expect(perSession.every((row) => (row as { whole: number }).whole === 1)).toBe(true);
    await clickhouse.close();
  } finally {
    await nc.close();
    await nats.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}, 90_000);
