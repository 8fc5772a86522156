/** What each principal was given on each connection within the last hour, over all sessions and edges. */
import type { HourCounts as Told } from "@sallyport/proto/counts";
import type { Logger } from "@sallyport/runtime";
import type { CountsBus, FollowedCounts } from "./counts-bus.ts";
import { HourSeries } from "./hour-series.ts";

/** One principal's on one connection. Sessions hold it while they live. */
export interface PrincipalCounts {
  readonly principalId: string;
  readonly connection: string;
  readonly rows: HourSeries;
  readonly probes: HourSeries;
  /** by policy */
  readonly limits: Map<string, HourSeries>;
  /** sessions that hold it */
  held: number;
  /** there is something to tell the others */
  dirty: boolean;
}

/** Others hear of it within this and the bus's own time, ms. */
const TELL_EVERY_MS = 400;
const SWEEP_EVERY_MS = 60_000;
/** Messages under way at a time. */
const AT_A_TIME = 64;
const MAX_LIMITS = 1_000;
const LIMIT = "limit/";

export class HourCounts {
  private readonly counts = new Map<string, PrincipalCounts>();
  private readonly dirty = new Set<PrincipalCounts>();
  private readonly edge: string;
  private readonly bus: CountsBus;
  private readonly log: Logger;
  private followed: FollowedCounts | undefined;
  private timer: NodeJS.Timeout | undefined;
  private sweptAt = 0;
  private remembering = true;
  private failing = false;

  private constructor(edge: string, bus: CountsBus, log: Logger) {
    this.edge = edge;
    this.bus = bus;
    this.log = log;
  }

  /** Resolves once everything that was told within the last hour is known, this edge's own included. Throws AppError. */
  static async open(edge: string, bus: CountsBus, log: Logger): Promise<HourCounts> {
    const counts = new HourCounts(edge, bus, log);
    counts.followed = await bus.follow((told) => counts.hear(told));
    counts.remembering = false;
    counts.schedule();
    return counts;
  }

  hold(principalId: string, connection: string): PrincipalCounts {
    const counts = this.of(principalId, connection);
    counts.held++;
    return counts;
  }

  release(counts: PrincipalCounts): void {
    counts.held--;
  }

  series(counts: PrincipalCounts, policyId: string): HourSeries {
    let series = counts.limits.get(policyId);
    if (series === undefined) {
      series = new HourSeries();
      if (counts.limits.size >= MAX_LIMITS) counts.limits.delete(counts.limits.keys().next().value as string);
      counts.limits.set(policyId, series);
    }
    return series;
  }

  changed(counts: PrincipalCounts): void {
    if (counts.dirty) return;
    counts.dirty = true;
    this.dirty.add(counts);
  }

  async stop(): Promise<void> {
    clearTimeout(this.timer);
    await this.tell();
    clearTimeout(this.timer);
    await this.followed?.stop();
  }

  private of(principalId: string, connection: string): PrincipalCounts {
    const key = `${connection}\0${principalId}`;
    let counts = this.counts.get(key);
    if (counts === undefined) {
      const [rows, probes] = [new HourSeries(), new HourSeries()];
      counts = { principalId, connection, rows, probes, limits: new Map(), held: 0, dirty: false };
      this.counts.set(key, counts);
    }
    return counts;
  }

  private hear(told: Told): void {
    if (told.edge === this.edge && !this.remembering) return;
    const now = Date.now();
    const counts = this.of(told.principalId, told.connection);
    for (const { name, minutes } of told.series) {
      const series = this.named(counts, name);
      if (series === undefined) continue;
      if (told.edge === this.edge) series.remember(minutes, now);
      else series.hear(told.edge, minutes, now);
    }
  }

  private named(counts: PrincipalCounts, name: string): HourSeries | undefined {
    if (name === "rows") return counts.rows;
    if (name === "probes") return counts.probes;
    return name.startsWith(LIMIT) ? this.series(counts, name.slice(LIMIT.length)) : undefined;
  }

  private schedule(): void {
    this.timer = setTimeout(() => {
      void this.tell().then(() => this.schedule());
    }, TELL_EVERY_MS);
    this.timer.unref();
  }

  /** Tells the others what has changed; what could not be told is told with the next. */
  private async tell(): Promise<void> {
    const now = Date.now();
    if (now - this.sweptAt > SWEEP_EVERY_MS) this.sweep(now);
    const waiting = [...this.dirty];
    this.dirty.clear();
    for (let at = 0; at < waiting.length; at += AT_A_TIME) {
      await Promise.all(waiting.slice(at, at + AT_A_TIME).map((counts) => this.tellOne(counts, now)));
    }
  }

  private async tellOne(counts: PrincipalCounts, now: number): Promise<void> {
    counts.dirty = false;
    const { principalId, connection, rows, probes, limits } = counts;
    const series = [
      { name: "rows", minutes: rows.told(now) },
      { name: "probes", minutes: probes.told(now) },
      ...[...limits].map(([policyId, one]) => ({ name: `${LIMIT}${policyId}`, minutes: one.told(now) })),
    ];
    const told: Told = { edge: this.edge, principalId, connection, series: series.filter((s) => s.minutes.length > 0) };
    try {
      await this.bus.tell(told);
      this.failing = false;
    } catch (err) {
      this.changed(counts);
      if (!this.failing) this.log.warn({ err }, "other edges cannot be told what was counted");
      this.failing = true;
    }
  }

  private sweep(now: number): void {
    this.sweptAt = now;
    for (const [key, counts] of this.counts) {
      for (const [policyId, series] of counts.limits) if (series.total(now) === 0) counts.limits.delete(policyId);
      const empty = counts.limits.size === 0 && counts.rows.total(now) === 0 && counts.probes.total(now) === 0;
      if (empty && counts.held === 0 && !counts.dirty) this.counts.delete(key);
    }
  }
}
