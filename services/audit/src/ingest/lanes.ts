/**
 * What has come over each lane: order, repeats, gaps, epochs. Pure: time is a parameter, and nothing is stored here that
 * cannot be read back from the log.
 *
 *   lane   = (edge instance, number); epoch = one life of its process; batches of an epoch are numbered from 1
 *   stream = may hold 1, 3, 2 (several in flight, one rejected and resent) and repeats, never a batch changed
 */
export interface BatchName {
  edge: string;
  lane: number;
  epoch: number;
  batchNo: number;
}

export type Arrival =
  | { kind: "new" }
  | { kind: "repeat" }
  /** not ingested as records: kept as evidence */
  | { kind: "refuse"; why: "closed-epoch" | "changed" };

/** An epoch that ended because a newer one began on its lane. */
export interface ClosedEpoch {
  edge: string;
  lane: number;
  epoch: number;
}

/** Batches that should have come and have not. */
export interface Gap {
  edge: string;
  lane: number;
  epoch: number;
  from: number;
  to: number;
}

interface Epoch {
  edge: string;
  lane: number;
  epoch: number;
  /** everything below has come */
  next: number;
  /** batches that came before their turn */
  ahead: Set<number>;
  /** ms; when the lowest missing batch was first missed; 0: none is */
  missingSince: number;
  /** gaps are told once: up to this batch they have been */
  toldUpTo: number;
  /** SHA-256 of recent batches, hex: a repeat must be the same bytes, a successor must name its predecessor */
  hashes: Map<number, string>;
}

const HASHES_KEPT = 256;

export class Lanes {
  readonly #epochs = new Map<string, Epoch>();
  readonly #gapWaitMs: number;

  /** @param gapWaitMs how long a missing batch may still come before it is told */
  constructor(gapWaitMs: number) {
    this.#gapWaitMs = gapWaitMs;
  }

  /** What to do with a batch; nothing is remembered before `accept`. */
  judge(name: BatchName, hash: string): Arrival {
    const open = this.#epochs.get(laneKey(name));
    if (open === undefined || name.epoch > open.epoch) return { kind: "new" };
    if (name.epoch < open.epoch) return { kind: "refuse", why: "closed-epoch" };
    if (name.batchNo >= open.next && !open.ahead.has(name.batchNo)) return { kind: "new" };
    const known = open.hashes.get(name.batchNo);
    return known !== undefined && hash !== "" && known !== hash
      ? { kind: "refuse", why: "changed" }
      : { kind: "repeat" };
  }

  /**
   * Remembers a new batch.
   * @returns the epoch that it closed, and the gaps that this one had
   */
  accept(name: BatchName, hash: string, nowMs: number): { closed?: ClosedEpoch; gaps: Gap[] } {
    const key = laneKey(name);
    let open = this.#epochs.get(key);
    let closed: ClosedEpoch | undefined;
    let gaps: Gap[] = [];
    if (open === undefined || name.epoch > open.epoch) {
      if (open !== undefined) {
        closed = { edge: open.edge, lane: open.lane, epoch: open.epoch };
        gaps = tell(open);
      }
      open = {
        edge: name.edge,
        lane: name.lane,
        epoch: name.epoch,
        next: 1,
        ahead: new Set(),
        missingSince: 0,
        toldUpTo: 0,
        hashes: new Map(),
      };
      this.#epochs.set(key, open);
    }
    advance(open, name.batchNo, nowMs);
    open.hashes.set(name.batchNo, hash);
    if (open.hashes.size > HASHES_KEPT) open.hashes.delete(open.hashes.keys().next().value as number);
    return closed === undefined ? { gaps } : { closed, gaps };
  }

  /** Hash of the batch before, when it is still known. */
  predecessorHash(name: BatchName): string | undefined {
    const open = this.#epochs.get(laneKey(name));
    return open?.epoch === name.epoch ? open.hashes.get(name.batchNo - 1) : undefined;
  }

  /** Gaps that have been open for longer than the wait; each is told once. */
  overdue(nowMs: number): Gap[] {
    const gaps: Gap[] = [];
    for (const open of this.#epochs.values()) {
      if (open.missingSince > 0 && nowMs - open.missingSince >= this.#gapWaitMs) gaps.push(...tell(open));
    }
    return gaps;
  }

  /** From the log, after a start: an epoch's batches. Older epochs of the lane are closed already. */
  restore(
    name: Omit<BatchName, "batchNo">,
    next: number,
    ahead: readonly number[],
    hashes: ReadonlyMap<number, string>,
    nowMs: number,
  ): void {
    const known = this.#epochs.get(laneKey(name));
    if (known !== undefined && known.epoch > name.epoch) return;
    this.#epochs.set(laneKey(name), {
      ...name,
      next,
      ahead: new Set(ahead),
      missingSince: ahead.length > 0 ? nowMs : 0,
      toldUpTo: 0,
      hashes: new Map(hashes),
    });
  }
}

const laneKey = (name: { edge: string; lane: number }): string => `${name.edge}\0${name.lane}`;

function advance(open: Epoch, batchNo: number, nowMs: number): void {
  if (batchNo !== open.next) {
    open.ahead.add(batchNo);
    if (open.missingSince === 0) open.missingSince = nowMs;
    return;
  }
  open.next++;
  while (open.ahead.delete(open.next)) open.next++;
  // the wait begins anew for what is still missing behind it
  open.missingSince = open.ahead.size > 0 ? nowMs : 0;
}

function tell(open: Epoch): Gap[] {
  const gaps: Gap[] = [];
  let expected = Math.max(open.next, open.toldUpTo + 1);
  for (const batchNo of [...open.ahead].sort((a, b) => a - b)) {
    if (batchNo < expected) continue;
    if (batchNo > expected)
      gaps.push({ edge: open.edge, lane: open.lane, epoch: open.epoch, from: expected, to: batchNo - 1 });
    expected = batchNo + 1;
  }
  open.toldUpTo = expected - 1;
  open.missingSince = 0;
  return gaps;
}
