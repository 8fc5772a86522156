/**
 * `@clickhouse/client` over the embedded engine, with inserts as bytes.
 *
 * `chdb/connection` makes UTF-8 text of an insert's values, and the engine ends inline data at the first empty line: bytes
 * that happen to hold one would be cut there, and what follows be read as SQL. So a statement with values (`exec`, as a
 * server gets it over HTTP) is spooled to a private file, and inserted from there in one statement.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Connection, type ConnExecParams, type ConnExecResult, createChdbConnection } from "chdb/connection";

/** What `exec` may be given values for. */
const insertNative = /^INSERT INTO (?<table>[\w.]+) \((?<columns>[\w, ]+)\) FORMAT Native$/;

/**
 * @param path data directory; one per process
 * @param spool directory for values on their way in; emptied
 * @returns a connection for `createClient({ connection })`
 */
export function createChdbBytesConnection(path: string, spool: string): Connection<Readable> {
  const inner = createChdbConnection({ path });
  rmSync(spool, { recursive: true, force: true });
  mkdirSync(spool, { recursive: true, mode: 0o700 });
  return {
    query: (params) => inner.query(params),
    command: (params) => inner.command(params),
    insert: (params) => inner.insert(params),
    ping: (params) => inner.ping(params),
    close: () => inner.close(),
    exec: (params) => (params.values === undefined ? inner.exec(params) : execWithBytes(inner, spool, params)),
  };
}

async function execWithBytes(
  inner: Connection<Readable>,
  spool: string,
  params: ConnExecParams<Readable>,
): Promise<ConnExecResult<Readable>> {
  const parts = insertNative.exec(params.query)?.groups;
  if (parts === undefined) throw new Error(`not an insert in Native format: ${params.query.slice(0, 60)}`);
  const file = join(spool, `${randomUUID()}.native`);
  try {
    await writeAll(file, params.values as Readable);
    const { values: _values, ...rest } = params;
    return await inner.exec({
      ...rest,
      query: `INSERT INTO ${parts["table"]} (${parts["columns"]}) SELECT ${parts["columns"]} FROM file('${file.replace(/[\\']/g, "\\$&")}', 'Native')`,
    });
  } finally {
    rmSync(file, { force: true });
  }
}

async function writeAll(file: string, values: Readable): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of values) chunks.push(chunk as Buffer);
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writev(chunks);
  } finally {
    await handle.close();
  }
}
