/** What one session was given: rows and probes, and the limits that policies set on them. The edge counts and obeys. */
import type { SessionCounts } from "@sallyport/proto/policy";
import { NamedStatement_Kind, RowLimit_Per, type CommandFacts, type RowLimit } from "@sallyport/proto/verdict";
import type { HourCounts, PrincipalCounts } from "./hour-counts.ts";

/** The rows of one command. */
export interface RowMeter {
  /** How many of so many more rows may pass. They count from now on. */
  take(rows: number): number;
  /** The limits of which nothing was left when `take` last said less than it was asked. */
  readonly reached: readonly RowLimit[];
  /** The next row belongs to another result. */
  nextResult(): void;
  /** The command goes on under another verdict; what it has shown stays counted. */
  obey(limits: readonly RowLimit[]): void;
}

const CURSORS = 1_000;
const NONE: readonly RowLimit[] = [];

export class RowCounts {
  private rows = 0;
  private probes = 0;
  private readonly limits = new Map<string, number>();
  /** of cursors made in SQL, since they were declared */
  private readonly cursors = new Map<string, number>();
  private readonly all: HourCounts;
  private readonly hour: PrincipalCounts;

  constructor(all: HourCounts, principalId: string, connection: string) {
    this.all = all;
    this.hour = all.hold(principalId, connection);
  }

  /** The session is over. */
  release(): void {
    this.all.release(this.hour);
  }

  /** Rises when there are more probes or fewer, over all sessions of the principal on this connection. */
  get probesVersion(): number {
    return this.hour.probes.version(Date.now());
  }

  probed(): void {
    this.probes++;
    this.hour.probes.add(1, Date.now());
    this.all.changed(this.hour);
  }

  /** As policies see it. `without`: probes that are not to be counted. */
  counts(without = 0): SessionCounts {
    const { hour, limits } = this;
    const now = Date.now();
    const ids = new Set([...limits.keys(), ...hour.limits.keys()]);
    return {
      rows: this.rows,
      rowsHour: hour.rows.total(now),
      probes: Math.max(0, this.probes - without),
      probesHour: Math.max(0, hour.probes.total(now) - without),
      limits: [...ids].map((policyId) => ({
        policyId,
        session: limits.get(policyId) ?? 0,
        hour: hour.limits.get(policyId)?.total(now) ?? 0,
      })),
    };
  }

  /** Is there a limit of which nothing is left, so that the command has to be decided anew? */
  heldBy(limits: readonly RowLimit[]): boolean {
    return limits.some((limit) => limit.holds && this.left(limit, 0) <= 0);
  }

  meter(facts: CommandFacts, limits: readonly RowLimit[]): RowMeter {
    for (const { kind, name } of facts.named) if (kind === NamedStatement_Kind.KIND_CURSOR) this.cursors.delete(name);
    const cursors = facts.executes.filter(({ kind }) => kind === NamedStatement_Kind.KIND_CURSOR);
    return new Meter(
      this,
      cursors.map(({ name }) => name),
      limits,
    );
  }

  /** Of a limit, when `result` rows of the result have passed. */
  left(limit: RowLimit, result: number): number {
    switch (limit.per) {
      case RowLimit_Per.PER_RESULT:
        return limit.maxRows - result;
      case RowLimit_Per.PER_SESSION:
        return limit.maxRows - (this.limits.get(limit.policyId) ?? 0);
      case RowLimit_Per.PER_HOUR:
        return limit.maxRows - (this.hour.limits.get(limit.policyId)?.total(Date.now()) ?? 0);
      default:
        // A kind of limit that this edge does not know: nothing passes (I4).
        return 0;
    }
  }

  count(rows: number, limits: readonly RowLimit[]): void {
    if (rows === 0) return;
    const now = Date.now();
    this.rows += rows;
    this.hour.rows.add(rows, now);
    for (const { policyId, per } of limits) {
      if (per === RowLimit_Per.PER_SESSION) this.limits.set(policyId, (this.limits.get(policyId) ?? 0) + rows);
      else if (per === RowLimit_Per.PER_HOUR) this.all.series(this.hour, policyId).add(rows, now);
    }
    this.all.changed(this.hour);
  }

  ofCursors(names: readonly string[]): number {
    let most = 0;
    for (const name of names) most = Math.max(most, this.cursors.get(name) ?? 0);
    return most;
  }

  countCursors(names: readonly string[], rows: number): void {
    for (const name of names) {
      const before = this.cursors.get(name) ?? 0;
      this.cursors.delete(name);
      this.cursors.set(name, before + rows);
      if (this.cursors.size > CURSORS) this.cursors.delete(this.cursors.keys().next().value as string);
    }
  }
}

class Meter implements RowMeter {
  reached: readonly RowLimit[] = NONE;
  private readonly counts: RowCounts;
  private readonly cursors: readonly string[];
  private limits: readonly RowLimit[];
  private result: number;

  constructor(counts: RowCounts, cursors: readonly string[], limits: readonly RowLimit[]) {
    this.counts = counts;
    this.cursors = cursors;
    this.limits = limits;
    this.result = counts.ofCursors(cursors);
  }

  take(rows: number): number {
    const { counts, limits } = this;
    let passes = rows;
    for (const limit of limits) passes = Math.min(passes, Math.max(0, counts.left(limit, this.result)));
    if (passes < rows) this.reached = limits.filter((limit) => counts.left(limit, this.result) <= passes);
    this.result += passes;
    counts.count(passes, limits);
    if (this.cursors.length > 0) counts.countCursors(this.cursors, passes);
    return passes;
  }

  nextResult(): void {
    this.result = this.counts.ofCursors(this.cursors);
  }

  obey(limits: readonly RowLimit[]): void {
    this.limits = limits;
  }
}
