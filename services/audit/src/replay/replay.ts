import { ReplayItem } from "@sallyport/proto/audit";
import { RecordBody, RecordKind } from "@sallyport/proto/record";
import { AppError } from "@sallyport/runtime";
import type { Session } from "../clickhouse/clickhouse.ts";
import { literal } from "../clickhouse/literal.ts";
import { recordKinds } from "../ingest/kinds.ts";
import type { Reader } from "../reader.ts";
import { SessionView } from "./session-view.ts";

/** Rows read at a time: a frame has up to half a MiB. */
const PAGE_ROWS = 64;

export interface StoredRecord {
  session_id: string;
  seq: number;
  at_us: number;
  kind: string;
  connection: string;
  protocol: string;
  /** base64 */
  body: string;
}

const COLUMNS =
  "session_id, seq, toUnixTimestamp64Micro(at) AS at_us, kind, connection, protocol, base64Encode(body) AS body";

/** A session's records, in order, read page by page. */
export async function* recordsOf(
  session: Session,
  sessionId: string,
  upToSeq = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<StoredRecord> {
  let after = 0;
  for (;;) {
    const page = await session.rows<StoredRecord>(
      `SELECT ${COLUMNS} FROM storage.event_log WHERE session_id = ${literal(sessionId)} AND seq > ${after} AND seq <= ${upToSeq} ORDER BY seq LIMIT ${PAGE_ROWS}`,
    );
    yield* page;
    if (page.length < PAGE_ROWS) return;
    after = page.at(-1)?.seq ?? after;
  }
}

/** What has been ingested after `ord`, in that order. */
export async function recordsAfter(
  session: Session,
  ord: number,
  upTo: number,
  sessionId: string,
): Promise<(StoredRecord & { ord: number })[]> {
  const only = sessionId === "" ? "session_id != ''" : `session_id = ${literal(sessionId)}`;
  return session.rows(
    `SELECT ord, ${COLUMNS} FROM storage.event_log WHERE ord > ${ord} AND ord <= ${upTo} AND ${only} ORDER BY ord LIMIT ${PAGE_ROWS}`,
  );
}

/** The reader's view of one record; `view` has seen all of its session before. */
export function itemOf(record: StoredRecord, view: SessionView): ReplayItem {
  const { body, shown } = view.view(decodeBody(record));
  const kind = (recordKinds.indexOf(record.kind) + 1) as RecordKind;
  return { sessionId: record.session_id, seq: record.seq, atUs: record.at_us, kind, body, shown };
}

function decodeBody(record: StoredRecord): RecordBody {
  try {
    return RecordBody.decode(Buffer.from(record.body, "base64"));
  } catch (cause) {
    throw new AppError("internal", "audit.replay", `record ${record.seq} of ${record.session_id} is unreadable`, {
      cause,
    });
  }
}

/** A view of the record's session, which has seen nothing yet. */
export const viewOf = async ({ connection, protocol }: StoredRecord, reader: Reader): Promise<SessionView> =>
  new SessionView(await reader.revealedOn(connection), protocol);

/** The session as it was, from `fromSeq` on. What comes before is read too: frames can only be followed from the beginning. */
export async function* replay(
  session: Session,
  sessionId: string,
  fromSeq: number,
  reader: Reader,
): AsyncGenerator<ReplayItem> {
  let view: SessionView | undefined;
  for await (const record of recordsOf(session, sessionId)) {
    view ??= await viewOf(record, reader);
    const item = itemOf(record, view);
    if (record.seq >= fromSeq) yield item;
  }
}
