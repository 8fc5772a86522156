/** An ingesting process for tests that kill it: `node ingest-process.ts <nats url> <folder>`. */
import "../src/threads.ts";
import { connect } from "@nats-io/transport-node";
import { openClickHouse } from "../src/clickhouse/clickhouse.ts";
import { migrate } from "../src/clickhouse/migrate.ts";
import { defaultIngestSettings, Ingester } from "../src/ingest/ingester.ts";
import { natsSource } from "../src/ingest/source.ts";
import { VerdictKeys } from "../src/ingest/verdict-mac.ts";
import { silent } from "./start-audit.ts";

const [url = "", folder = ""] = process.argv.slice(2);
const clickhouse = await openClickHouse({ kind: "embedded", folder });
await migrate(clickhouse.work);
const nothing = (): void => undefined;
const ingester = new Ingester({
  clickhouse,
  source: natsSource(await connect({ servers: url }), 1),
  evidence: {
    gap: nothing,
    epochClosed: nothing,
    brokenBatch: nothing,
    brokenRecord: nothing,
    missingRecords: nothing,
  },
  verdictKeys: new VerdictKeys(new Map()),
  // small blocks: many inserts to be killed in
  settings: { ...defaultIngestSettings, flushMs: 5, blockRows: 2_000, blockBytes: 1 << 20 },
  log: silent,
  positioned: nothing,
  committed: ({ ord }) => void process.stdout.write(`${ord}\n`),
});
await ingester.run(new AbortController().signal);
