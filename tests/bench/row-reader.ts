/**
 * Reads one result as fast as it comes and throws it away: `node row-reader.ts '<libpq environment as JSON>' '<SQL>'`.
 * psql would put every row into memory first and so be the bottleneck itself; this reader counts bytes and looks at the
 * end of what it has got. Prints {bytes, rows, seconds, firstByteMs}. The statement is a simple query, cells are text.
 */
import type { Socket } from "node:net";
import pg from "pg";
import { clientConfig } from "./clients.ts";
import type { LibpqEnvironment } from "./contenders/contender.ts";

export interface RowsRead {
  readonly bytes: number;
  readonly rows: number;
  readonly seconds: number;
  readonly firstByteMs: number;
}

/** CommandComplete `SELECT n`, then ReadyForQuery `idle`. No cell of the benchmark's tables holds a NUL. */
const READY = "Z\0\0\0\u0005I";
const COMPLETE = /SELECT (\d+)\0$/;
const TAIL = 64;

async function readRows(env: LibpqEnvironment, sql: string): Promise<RowsRead> {
  const client = new pg.Client(clientConfig(env));
  client.on("error", () => undefined); // that the connection ends is ours to see
  await client.connect();
  // From here on the connection is ours: `pg` would decode every cell.
  const socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
  for (const event of ["data", "end", "close", "error"]) socket.removeAllListeners(event);
  const query = Buffer.from(`Q\0\0\0\0${sql}\0`, "utf8");
  query.writeInt32BE(query.length - 1, 1);
  const started = performance.now();
  let firstByteMs = 0;
  let bytes = 0;
  let tail = "";
  const rows = await new Promise<number>((resolve, reject) => {
    socket.on("data", (chunk: Buffer) => {
      if (bytes === 0) {
        firstByteMs = performance.now() - started;
        if (chunk[0] === 0x45) reject(new Error(`refused: ${chunk.toString("latin1")}`));
      }
      bytes += chunk.length;
      tail = (tail + chunk.toString("latin1", Math.max(0, chunk.length - TAIL))).slice(-TAIL);
      if (!tail.endsWith(READY)) return;
      const complete = COMPLETE.exec(tail.slice(0, -READY.length));
      if (complete !== null) resolve(Number(complete[1]));
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`the connection ended after ${bytes} bytes: ${tail}`)));
    socket.write(query);
  });
  const seconds = (performance.now() - started) / 1000;
  socket.end(Buffer.from("X\0\0\0\u0004", "latin1"));
  return { bytes, rows, seconds, firstByteMs };
}

const [, , env, sql] = process.argv;
if (env === undefined || sql === undefined) throw new Error("usage: row-reader.ts ENVIRONMENT SQL");
console.log(JSON.stringify(await readRows(JSON.parse(env) as LibpqEnvironment, sql)));
