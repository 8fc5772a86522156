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

interface Missing {
  from: number;
  to: number;
  /** ms; when something behind it came */
  since: number;
  /** gaps are told once */
  told: boolean;
}

interface Epoch {
  edge: string;
  lane: number;
  epoch: number;
  /** the highest number that has come */
  highest: number;
  /** below it, in order */
  missing: Missing[];
  /** SHA-256 of recent batches, hex: a repeat must be the same bytes, a successor must name its predecessor */
  hashes: Map<number, string>;
}

const HASHES_KEPT = 256;
/** Gaps remembered for each lane; what fills an older one counts as a repeat. */
const GAPS_KEPT = 10_000;

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
    if (name.batchNo > open.highest || isMissing(open, name.batchNo)) return { kind: "new" };
    const known = open.hashes.get(name.batchNo);
    return known !== undefined && known !== hash ? { kind: "refuse", why: "changed" } : { kind: "repeat" };
  }

  /**
   * Remembers a new batch.
   * @returns the epoch that it closed, and the gaps of that epoch that had not been told
   */
  accept(name: BatchName, hash: string, nowMs: number): { closed?: ClosedEpoch; gaps: Gap[] } {
    const key = laneKey(name);
    let open = this.#epochs.get(key);
    let closed: ClosedEpoch | undefined;
    let gaps: Gap[] = [];
    if (open === undefined || name.epoch > open.epoch) {
      if (open !== undefined) {
        closed = { edge: open.edge, lane: open.lane, epoch: open.epoch };
        gaps = tell(open, () => true);
      }
      const { edge, lane, epoch } = name;
      open = { edge, lane, epoch, highest: 0, missing: [], hashes: new Map() };
      this.#epochs.set(key, open);
    }
    arrived(open, name.batchNo, nowMs);
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
    return [...this.#epochs.values()].flatMap((open) => tell(open, ({ since }) => nowMs - since >= this.#gapWaitMs));
  }

  /** From the log, after a start: the newest epoch of a lane. Older ones are closed already. */
  restore(
    name: ClosedEpoch,
    highest: number,
    missing: readonly { from: number; to: number }[],
    hashes: ReadonlyMap<number, string>,
    nowMs: number,
  ): void {
    this.#epochs.set(laneKey(name), {
      ...name,
      highest,
      missing: missing.map(({ from, to }) => ({ from, to, since: nowMs, told: false })),
      hashes: new Map(hashes),
    });
  }
}

const laneKey = (name: { edge: string; lane: number }): string => `${name.edge}\0${name.lane}`;

const isMissing = (open: Epoch, batchNo: number): boolean =>
  open.missing.some(({ from, to }) => from <= batchNo && batchNo <= to);

function arrived(open: Epoch, batchNo: number, nowMs: number): void {
  if (batchNo > open.highest) {
    if (batchNo > open.highest + 1) {
      open.missing.push({ from: open.highest + 1, to: batchNo - 1, since: nowMs, told: false });
      if (open.missing.length > GAPS_KEPT) open.missing.shift();
    }
    open.highest = batchNo;
    return;
  }
  open.missing = open.missing.flatMap((gap) => {
    if (batchNo < gap.from || batchNo > gap.to) return [gap];
    const parts = [
      { ...gap, to: batchNo - 1 },
      { ...gap, from: batchNo + 1 },
    ];
    return parts.filter(({ from, to }) => from <= to);
  });
}

function tell(open: Epoch, due: (gap: Missing) => boolean): Gap[] {
  const gaps = open.missing.filter((gap) => !gap.told && due(gap));
  for (const gap of gaps) gap.told = true;
  return gaps.map(({ from, to }) => ({ edge: open.edge, lane: open.lane, epoch: open.epoch, from, to }));
}
