/** AuditService (proto/sallyport/v1/audit.proto): who may ask, and that they asked, around what answers. */
import {
  AuditServiceService,
  type ListSessionsRequest,
  type QueryResponse,
  type SessionInfo,
} from "@sallyport/proto/audit";
import { AppError, type CallInfo, type Callers, type GrpcService, service } from "@sallyport/runtime";
import type { AccessEvents } from "./access-events.ts";
import type { ClickHouse } from "./clickhouse/clickhouse.ts";
import { literal } from "./clickhouse/literal.ts";
import { type Answer, ask, type QueryLimits, type Question } from "./query/ask.ts";
import type { Turns } from "./query/turns.ts";
import { type Reader, readerOf } from "./reader.ts";
import { replay } from "./replay/replay.ts";
import { type Growth, tail } from "./replay/tail.ts";
import type { StatusReader } from "./status.ts";

export interface AuditParts {
  clickhouse: ClickHouse;
  callers: Callers;
  access: AccessEvents;
  growth: Growth;
  status: StatusReader;
  limits: QueryLimits;
  turns: Turns;
  signal: AbortSignal;
}

const MAX_SESSIONS = 1_000;

export function auditService(parts: AuditParts): GrpcService {
  return service({
    definition: AuditServiceService,
    handlers: {
      query: (request, call) => query(parts, request, call),
      listSessions: async (request, call) => ({
        sessions: await listSessions(parts, request, await readerOf(parts.callers, call)),
      }),
      replay: async function* (request, call) {
        const reader = await readerOf(parts.callers, call);
        if (request.sessionId === "") throw new AppError("invalid-input", "audit.replay", "A session's id is needed.");
        await sayReplayed(parts, reader, request.sessionId, false);
        yield* replay(parts.clickhouse.read, request.sessionId, request.fromSeq, reader);
      },
      tail: async function* (request, call) {
        const reader = await readerOf(parts.callers, call);
        await sayReplayed(parts, reader, request.sessionId, true);
        yield* tail(
          parts.clickhouse.read,
          parts.growth,
          request.sessionId,
          reader,
          AbortSignal.any([call.signal, parts.signal]),
        );
      },
      status: async (_request, call) => {
        await parts.callers.callerOf(call);
        return parts.status.read();
      },
    },
  });
}

async function* query(parts: AuditParts, question: Question, call: CallInfo): AsyncGenerator<QueryResponse> {
  const reader = await readerOf(parts.callers, call);
  const database = await reader.database();
  const started = performance.now();
  const elapsed = (): number => Math.round(performance.now() - started);
  let answer: Answer;
  try {
    answer = await parts.turns.take(() => ask(parts.clickhouse, question, database, parts.limits, call.signal));
  } catch (error) {
    // the error's code only: its text may repeat the question
    await sayQueried(parts, reader, question.sql, 0, elapsed(), AppError.from(error, "audit.query").code);
    throw error;
  }
  await sayQueried(parts, reader, question.sql, answer.rows.length, elapsed(), "");
  yield { part: { $case: "columns", value: { names: answer.names, types: answer.types } } };
  for (const json of answer.rows) yield { part: { $case: "row", value: { json } } };
  yield {
    part: { $case: "done", value: { rows: answer.rows.length, elapsedMs: elapsed(), truncated: answer.truncated } },
  };
}

const sayQueried = (
  parts: AuditParts,
  reader: Reader,
  sql: string,
  rows: number,
  elapsedMs: number,
  error: string,
): Promise<void> =>
  parts.access.say(reader.principalId, {
    $case: "auditQueried",
    value: { principalId: reader.principalId, sql: sql.slice(0, MAX_SQL_RECORDED), rows, elapsedMs, error },
  });
const MAX_SQL_RECORDED = 65_536;

const sayReplayed = (parts: AuditParts, reader: Reader, sessionId: string, live: boolean): Promise<void> =>
  parts.access.say(reader.principalId, {
    $case: "sessionReplayed",
    value: { principalId: reader.principalId, sessionId, live },
  });

interface SessionRow {
  session_id: string;
  principal: string;
  actors: string[];
  connection: string;
  protocol: string;
  opened: number;
  closed: number;
  state: string;
  commands: number;
  denied: number;
  held: number;
  client_address: string;
  cause: string;
}

async function listSessions(parts: AuditParts, request: ListSessionsRequest, reader: Reader): Promise<SessionInfo[]> {
  const conditions = ["true"];
  if (request.principalId !== "") conditions.push(`principal = ${literal(request.principalId)}`);
  if (request.connection !== "") conditions.push(`connection = ${literal(request.connection)}`);
  if (request.live) conditions.push("state = 'open'");
  const limit = Math.min(request.limit === 0 ? 100 : request.limit, MAX_SESSIONS);
  const started = performance.now();
  const rows = await parts.clickhouse.read.rows<SessionRow>(
    `SELECT session_id, principal, actors, connection, protocol, toUnixTimestamp64Milli(at) AS opened, if(state = 'lost' OR isNull(closed_at), 0, toUnixTimestamp64Milli(assumeNotNull(closed_at))) AS closed,
       state, commands, denied, held, client_address, cause
     FROM log.sessions WHERE ${conditions.join(" AND ")} ORDER BY at DESC LIMIT ${limit}`,
  );
  await sayQueried(parts, reader, "[sessions listed]", rows.length, Math.round(performance.now() - started), "");
  return rows.map((row) => ({
    sessionId: row.session_id,
    principalId: row.principal,
    actors: row.actors,
    connection: row.connection,
    protocol: row.protocol,
    openedAtMs: row.opened,
    closedAtMs: row.closed,
    state: row.state,
    commands: row.commands,
    denied: row.denied,
    held: row.held,
    clientAddress: row.client_address,
    cause: row.cause,
  }));
}
