/** A count over the last hour, of this edge and of the others, in buckets of a minute. Pure but for the clock it is told. */
import type { MinuteCount } from "@sallyport/proto/counts";

/** The minute that has begun, and sixty before it: never less than the last hour. */
export const MINUTES = 61;
export const minuteOf = (nowMs: number): number => Math.floor(nowMs / 60_000);

type Buckets = Map<number, number>;

export class HourSeries {
  private readonly own: Buckets = new Map();
  private readonly others = new Map<string, Buckets>();
  private minute = 0;
  private sum = 0;
  private changes = 0;

  /** Rises whenever the total may have changed: with what is added, and with what is older than an hour. */
  version(nowMs: number): number {
    this.total(nowMs);
    return this.changes;
  }

  add(count: number, nowMs: number): void {
    const minute = minuteOf(nowMs);
    if (minute !== this.minute) this.roll(minute);
    this.own.set(minute, (this.own.get(minute) ?? 0) + count);
    this.sum += count;
    this.changes++;
  }

  total(nowMs: number): number {
    const minute = minuteOf(nowMs);
    if (minute !== this.minute) this.roll(minute);
    return this.sum;
  }

  /** What this edge has counted, to be told to the others. */
  told(nowMs: number): MinuteCount[] {
    this.total(nowMs);
    return [...this.own].map(([minute, count]) => ({ minute, count }));
  }

  /** What another edge has counted: replaces what it said before. */
  hear(edge: string, minutes: readonly MinuteCount[], nowMs: number): void {
    this.others.set(edge, bucketsOf(minutes, minuteOf(nowMs)));
    this.roll(minuteOf(nowMs));
  }

  /** What this edge had counted before it was started anew. */
  remember(minutes: readonly MinuteCount[], nowMs: number): void {
    for (const [minute, count] of bucketsOf(minutes, minuteOf(nowMs))) {
      this.own.set(minute, Math.max(count, this.own.get(minute) ?? 0));
    }
    this.roll(minuteOf(nowMs));
  }

  private roll(minute: number): void {
    this.minute = minute;
    const before = this.sum;
    this.sum = prune(this.own, minute);
    for (const [edge, buckets] of this.others) {
      this.sum += prune(buckets, minute);
      if (buckets.size === 0) this.others.delete(edge);
    }
    if (this.sum !== before) this.changes++;
  }
}

/** A clock that is a little ahead is believed, one that is far ahead is not: its counts would stay. */
function bucketsOf(minutes: readonly MinuteCount[], now: number): Buckets {
  const buckets: Buckets = new Map();
  for (const { minute, count } of minutes) if (minute > now - MINUTES && minute <= now + 2) buckets.set(minute, count);
  return buckets;
}

function prune(buckets: Buckets, minute: number): number {
  let sum = 0;
  for (const [at, count] of buckets) {
    if (at <= minute - MINUTES) buckets.delete(at);
    else sum += count;
  }
  return sum;
}
