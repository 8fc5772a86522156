/**
 * The log's database: the engine inside this process, or a server. The same `@clickhouse/client` either way.
 *
 * Settings stick to an embedded connection and statements of one connection wait for each other, so ingestion, projections
 * and people never share one.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { AppError } from "@sallyport/runtime";
import { type Connection, createChdbConnection } from "chdb/connection";
import { createChdbBytesConnection } from "./chdb-bytes.ts";
import { literal } from "./literal.ts";

export interface ClickHouse {
  /** for inserting into `event_log` and reading its position */
  readonly ingest: Session;
  /** for migrations, projections and checks: long statements */
  readonly work: Session;
  /** for the service's own questions, while someone waits for them */
  readonly read: Session;
  /** Ends everything that runs but an insert into the log. What ran fails. */
  cancelAll(): Promise<void>;
  /** A connection for one question of a person: nothing can be written on it, and its limits cannot be changed. */
  person(
    database: string,
    limits: Readonly<Record<string, number | string>>,
    parameters: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<PersonSession>;
  /** e.g. `26.7.2.1 embedded` */
  readonly version: string;
  readonly embedded: boolean;
  close(): Promise<void>;
}

export interface Session {
  /** Runs a statement that answers nothing. */
  run(statement: string): Promise<void>;
  /** @returns rows as objects; integers beyond 2^53 lose digits */
  rows<T>(query: string): Promise<T[]>;
  /** Inserts one block in Native format, in one statement. */
  insertNative(table: string, columns: string, parts: readonly Buffer[]): Promise<void>;
}

export interface PersonSession {
  /** @returns the answer in `format`, which is not written into the question: it could be taken for a part of it */
  ask(
    query: string,
    format: "JSONCompactEachRowWithNamesAndTypes" | "TabSeparatedRaw" | "JSONCompactEachRow",
  ): Promise<string>;
  close(): Promise<void>;
}

/** Where the log is kept. */
export type ClickHouseLocation =
  | { kind: "embedded"; folder: string }
  | { kind: "server"; url: string; user?: string; password?: string };

/** @throws AppError `failed-precondition` with the way out */
export async function openClickHouse(location: ClickHouseLocation): Promise<ClickHouse> {
  try {
    return await (location.kind === "embedded" ? openEmbedded(location.folder) : openServer(location));
  } catch (cause) {
    const what =
      location.kind === "embedded"
        ? `The log's folder ${location.folder} cannot be opened: it must be writable, and no other process may have it open.`
        : "The ClickHouse server cannot be reached: check its address, user and password.";
    throw new AppError("failed-precondition", "audit.clickhouse", what, { cause });
  }
}

/** Of what fails the client would tell the statement's parameters and the engine's text, which repeats the question. */
const SILENT = { level: ClickHouseLogLevel.OFF };

/** One part an insert: blocks of a block's size are never cut, and nothing is joined or kept for later. */
const INGEST_SETTINGS: Record<string, number> = {
  max_insert_block_size: 1_048_576,
  max_block_size: 1_048_576,
  min_insert_block_size_rows: 0,
  min_insert_block_size_bytes: 0,
  max_insert_threads: 1,
  max_threads: 1,
  async_insert: 0,
  insert_deduplicate: 0,
};
const WORK_SETTINGS: Record<string, number> = { max_threads: 2, max_memory_usage: 1 << 30, max_query_size: 1 << 26 };

async function openEmbedded(folder: string): Promise<ClickHouse> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const data = join(folder, "clickhouse");
  const open = (spool: string): ClickHouseClient => clientOver(createChdbBytesConnection(data, join(folder, spool)));
  const ingestClient = open("spool");
  const workClient = open("spool-work");
  const readClient = open("spool-read");
  const controlClient = open("spool-control");
  const ingest = sessionOf(ingestClient);
  const work = sessionOf(workClient);
  const read = sessionOf(readClient);
  await setAll(ingest, INGEST_SETTINGS);
  await setAll(work, WORK_SETTINGS);
  await setAll(read, WORK_SETTINGS);
  const control = sessionOf(controlClient);
  const [{ version } = { version: "" }] = await work.rows<{ version: string }>("SELECT version() AS version");
  return {
    ingest,
    work,
    read,
    embedded: true,
    version: `${version} embedded`,
    cancelAll: () => control.run(CANCEL_ALL),
    person: async (database, limits, parameters, signal) =>
      tagged(await embeddedPerson(data, database, limits, parameters), control, signal),
    close: async () => {
      const clients = [ingestClient, workClient, readClient, controlClient];
      await Promise.allSettled(clients.map((client) => client.close()));
    },
  };
}

const CANCEL_ALL = `KILL QUERY WHERE query NOT LIKE 'INSERT INTO storage.event_log%' AND query NOT LIKE 'KILL QUERY%' ASYNC`;

/** A question ends when the one who asked goes away: a mark in its text says which of those that run it is. */
function tagged(session: PersonSession, control: Session, signal: AbortSignal): PersonSession {
  const tag = `/* person ${randomUUID()} */`;
  const cancel = (): void => {
    // when it has ended meanwhile there is nothing to end
    control.run(`KILL QUERY WHERE startsWith(query, ${literal(tag)}) ASYNC`).catch(() => undefined);
  };
  return {
    ask: async (query, format) => {
      signal.throwIfAborted();
      signal.addEventListener("abort", cancel, { once: true });
      try {
        return await session.ask(`${tag} ${query}`, format);
      } finally {
        signal.removeEventListener("abort", cancel);
      }
    },
    close: () => session.close(),
  };
}

/** The client's own copy of the connection's types differs in name only. */
function clientOver(connection: Connection<Readable>): ClickHouseClient {
  return createClient({ connection, log: SILENT } as unknown as Parameters<typeof createClient>[0]);
}

async function setAll(session: Session, settings: Readonly<Record<string, number | string>>): Promise<void> {
  const parts = Object.entries(settings).map(
    ([name, value]) => `${name} = ${typeof value === "number" ? value : literal(value)}`,
  );
  if (parts.length > 0) await session.run(`SET ${parts.join(", ")}`);
}

/** A parameter's value is read like a TabSeparated field; over HTTP the client does this. */
const escaped = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll("\t", "\\t").replaceAll("\n", "\\n").replaceAll("\r", "\\r");

/** A connection of its own for each question: what one reader set (parameters) is not there for the next. */
async function embeddedPerson(
  data: string,
  database: string,
  limits: Readonly<Record<string, number | string>>,
  parameters: Readonly<Record<string, string>>,
): Promise<PersonSession> {
  const client = clientOver(createChdbConnection({ path: data }));
  try {
    const session = sessionOf(client);
    await session.run(`USE ${database}`);
    await setAll(session, limits);
    const values = Object.entries(parameters).map(([name, value]) => [`param_${name}`, escaped(value)] as const);
    await setAll(session, Object.fromEntries(values));
    await session.run("SET readonly = 1");
  } catch (error) {
    await client.close();
    throw error;
  }
  return {
    ask: async (query, format) => {
      const answer = await client.exec({ query, clickhouse_settings: { default_format: format } });
      return textOf(answer.stream);
    },
    close: () => client.close(),
  };
}

async function openServer(location: { url: string; user?: string; password?: string }): Promise<ClickHouse> {
  const common = {
    url: location.url,
    ...(location.user === undefined ? {} : { username: location.user }),
    ...(location.password === undefined ? {} : { password: location.password }),
    keep_alive: { enabled: true },
    log: SILENT,
  };
  const ingestClient = createClient({ ...common, clickhouse_settings: INGEST_SETTINGS });
  const workClient = createClient({ ...common, clickhouse_settings: WORK_SETTINGS });
  const work = sessionOf(workClient);
  const control = work;
  const [{ version } = { version: "" }] = await work.rows<{ version: string }>("SELECT version() AS version");
  return {
    ingest: sessionOf(ingestClient),
    work,
    // a server lets them run beside each other
    read: work,
    embedded: false,
    version: `${version} server`,
    cancelAll: () => control.run(CANCEL_ALL),
    person: async (database, limits, parameters, signal) => {
      const client = createClient({ ...common, database, clickhouse_settings: { ...limits, readonly: "1" } });
      const person: PersonSession = {
        ask: async (query, format) => {
          const answer = await client.exec({
            query,
            query_params: parameters,
            clickhouse_settings: { default_format: format },
          });
          return textOf(answer.stream);
        },
        close: () => client.close(),
      };
      return tagged(person, control, signal);
    },
    close: async () => {
      await Promise.allSettled([ingestClient.close(), workClient.close()]);
    },
  };
}

function sessionOf(client: ClickHouseClient): Session {
  return {
    run: async (query) => {
      await client.command({ query });
    },
    rows: async <T>(query: string) => (await client.query({ query, format: "JSONEachRow" })).json<T>(),
    insertNative: async (table, columns, parts) => {
      const values = Readable.from(parts, { objectMode: false });
      const answer = await client.exec({ query: `INSERT INTO ${table} (${columns}) FORMAT Native`, values });
      await textOf(answer.stream);
    },
  };
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
