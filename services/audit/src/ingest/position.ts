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

/** Puts back what `Lanes` knew of the newest epoch of each lane. */
export async function restoreLanes(session: Session, lanes: Lanes, nowMs: number): Promise<void> {
  // the sub-queries group as the projection `batches` does, so that one row a batch is read and not one a record
  const batches = `SELECT edge, lane, epoch, batch_no, any(batch_hash) AS hash FROM storage.event_log GROUP BY edge, lane, epoch, batch_no`;
  const newest = `SELECT edge, lane, max(epoch) FROM (${batches}) WHERE edge != '' GROUP BY edge, lane`;
  const states = await session.rows<{
    edge: string;
    lane: number;
    epoch: number;
    next: number;
    ahead: number[];
    recent: [number, string][];
  }>(
    `SELECT edge, lane, epoch, countIf(batch_no = place) + 1 AS next, groupArrayIf(batch_no, batch_no != place) AS ahead,
       arraySlice(arraySort(x -> -x.1, groupArray((batch_no, hash))), 1, 64) AS recent
     FROM (SELECT edge, lane, epoch, batch_no, hash, row_number() OVER (PARTITION BY edge, lane, epoch ORDER BY batch_no) AS place
           FROM (${batches}) WHERE (edge, lane, epoch) IN (${newest}))
     GROUP BY edge, lane, epoch`,
  );
  for (const { edge, lane, epoch, next, ahead, recent } of states) {
    lanes.restore({ edge, lane, epoch }, next, ahead, new Map(recent.reverse()), nowMs);
  }
}

/** Gaps of epochs that are over: nothing can fill them any more. */
export async function gapsOfClosedEpochs(session: Session): Promise<Gap[]> {
  const batches = `SELECT edge, lane, epoch, batch_no FROM storage.event_log GROUP BY edge, lane, epoch, batch_no`;
  return session.rows<Gap>(
    `SELECT edge, lane, epoch, before + 1 AS from, batch_no - 1 AS to
     FROM (SELECT edge, lane, epoch, batch_no,
             lagInFrame(batch_no, 1, toUInt64(0)) OVER (PARTITION BY edge, lane, epoch ORDER BY batch_no ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS before,
             max(epoch) OVER (PARTITION BY edge, lane) AS newest
           FROM (${batches}) WHERE edge != '')
     WHERE batch_no > before + 1 AND epoch < newest
     ORDER BY edge, lane, epoch, from`,
  );
}
