/**
 * Where ingestion stands, read from the log itself: there is no other store that could disagree with it after a crash.
 */
import type { Session } from "../clickhouse/clickhouse.ts";
import { literal } from "../clickhouse/literal.ts";
import type { Gap, Lanes } from "./lanes.ts";

/** A stream as the bus describes it now. */
export interface StreamNow {
  name: string;
  /** when it was created, as the bus says */
  created: string;
  lastSequence: number;
}

export interface StreamStart {
  /** recorded with every row: sequence numbers mean something only within it */
  incarnation: string;
  /** first sequence to ask for */
  from: number;
  /** the stream ends before what the log has of it: it lost what it had acknowledged */
  lost: number;
}

/** Order number of the log's last row; 0: the log is empty. */
export async function lastOrd(session: Session): Promise<number> {
  const [row] = await session.rows<{ ord: number }>("SELECT max(ord) AS ord FROM storage.event_log");
  return row?.ord ?? 0;
}

/**
 * Where to go on in a stream. A stream made anew starts over; one that lost its end (a bus restored from a copy, or power
 * lost before it was on disk) numbers other messages with the same sequences, so what follows is a new incarnation as well.
 */
export async function streamStart(session: Session, stream: StreamNow): Promise<StreamStart> {
  const seen = await session.rows<{ incarnation: string; seq: number; ord: number }>(
    `SELECT incarnation, max(stream_seq) AS seq, max(ord) AS ord FROM storage.event_log WHERE stream = ${literal(stream.name)} GROUP BY incarnation ORDER BY ord DESC`,
  );
  const same = seen.filter((row) => row.incarnation.split("#")[0] === stream.created);
  const [newest] = same;
  if (newest === undefined) return { incarnation: stream.created, from: 1, lost: 0 };
  if (newest.seq <= stream.lastSequence) return { incarnation: newest.incarnation, from: newest.seq + 1, lost: 0 };
  return {
    incarnation: `${stream.created}#${same.length}`,
    from: stream.lastSequence + 1,
    lost: newest.seq - stream.lastSequence,
  };
}

/** One life of a lane, as the log has it. */
interface EpochRow {
  edge: string;
  lane: number;
  epoch: number;
  highest: number;
  batches: number;
  /** something of it came within the last week */
  recent: number;
}

/** Read from the table's own projection `epochs`: a row for each, however long the log is. */
export const EPOCHS_QUERY = `SELECT edge, lane, epoch, max(batch_no) AS highest, countIf(idx = 0) AS batches, max(bus_time) > now64(6) - INTERVAL 7 DAY AS recent
   FROM storage.event_log GROUP BY edge, lane, epoch`;

async function epochsOf(session: Session): Promise<{ newest: EpochRow[]; closed: EpochRow[] }> {
  const rows = (await session.rows<EpochRow>(EPOCHS_QUERY)).filter(({ edge }) => edge !== "");
  const newest = new Map<string, EpochRow>();
  for (const row of rows) {
    const key = `${row.edge}\0${row.lane}`;
    if (row.epoch > (newest.get(key)?.epoch ?? 0)) newest.set(key, row);
  }
  const open = new Set(newest.values());
  return { newest: [...open], closed: rows.filter((row) => !open.has(row)) };
}

/** Batches looked at for what is missing among them; what was missing before has been told long ago. */
const LOOK_BACK = 65_536;
const HASHES = 64;

/** Puts back what `Lanes` knew of the newest epoch of each lane. */
export async function restoreLanes(session: Session, lanes: Lanes, nowMs: number): Promise<void> {
  for (const row of (await epochsOf(session)).newest) {
    const { edge, lane, epoch, highest, batches } = row;
    const after = Math.max(0, highest - LOOK_BACK);
    const missing = batches === highest ? [] : await gapsOf(session, row, after);
    const recent = await session.rows<{ batch_no: number; hash: string }>(
      `SELECT batch_no, any(batch_hash) AS hash FROM storage.event_log
       WHERE ${ofEpoch(row)} AND batch_no > ${Math.max(0, highest - HASHES)} GROUP BY edge, lane, epoch, batch_no ORDER BY batch_no`,
    );
    const hashes = new Map(recent.map(({ batch_no: batchNo, hash }) => [batchNo, hash] as const));
    lanes.restore({ edge, lane, epoch }, highest, missing, hashes, nowMs);
  }
}

/** Gaps of epochs that are over: nothing can fill them any more. */
export async function gapsOfClosedEpochs(session: Session): Promise<Gap[]> {
  const gaps: Gap[] = [];
  for (const row of (await epochsOf(session)).closed) {
    if (row.recent === 0 || row.batches === row.highest) continue;
    for (const { from, to } of await gapsOf(session, row, Math.max(0, row.highest - LOOK_BACK))) {
      gaps.push({ edge: row.edge, lane: row.lane, epoch: row.epoch, from, to });
    }
  }
  return gaps;
}

const ofEpoch = ({ edge, lane, epoch }: EpochRow): string =>
  `edge = ${literal(edge)} AND lane = ${lane} AND epoch = ${epoch}`;

/** What is missing between batches after number `after`. */
function gapsOf(session: Session, row: EpochRow, after: number): Promise<{ from: number; to: number }[]> {
  return session.rows(
    `SELECT before + 1 AS from, batch_no - 1 AS to
     FROM (SELECT batch_no, lagInFrame(batch_no, 1, toUInt64(${after})) OVER (ORDER BY batch_no ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
           FROM (SELECT batch_no FROM storage.event_log WHERE ${ofEpoch(row)} AND batch_no > ${after} GROUP BY edge, lane, epoch, batch_no))
     WHERE batch_no > before + 1 ORDER BY from`,
  );
}
