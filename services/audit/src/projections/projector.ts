/**
 * Folds the log into what people ask. Each projection has a position of its own; a part of the log that is folded twice
 * changes nothing, so the position is written after the rows and nothing has to be atomic.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@sallyport/runtime";
import type { Session } from "../clickhouse/clickhouse.ts";
import { literal, statementsOf } from "../clickhouse/literal.ts";
import { eventKinds } from "../ingest/kinds.ts";
import { gaveWay, type GiveWay, rested } from "../pace.ts";

interface Projection {
  name: string;
  /** that it folds */
  kinds: ReadonlySet<string>;
  /** with {from}, {to} and {kinds} in them */
  statements: string[];
  ord: number;
}

/** What a projection fills; dropped and filled again by `rebuild`. Two may fill one: each knows other facts of a row. */
const tables: Readonly<Record<string, string>> = {
  sessions: "storage.session_facts",
  commands: "storage.command_facts",
  losses: "storage.command_facts",
  verdicts: "storage.verdict_facts",
  exposures: "storage.exposure_facts",
  events: "storage.event_facts",
};

/** Rows folded by one statement, at most: bounds its memory. */
const STEP_ROWS = 500_000;
/** A fold that took 50 ms is followed by a rest of 450 ms: nine tenths of the time are left to others. */
const REST_FACTOR = 9;
const MIN_REST_MS = 50;
const MAX_REST_MS = 500;
const RETRY_MS = 1_000;

export class Projector {
  readonly #session: Session;
  readonly #log: Logger;
  #projections: Projection[] = [];
  #target = 0;
  #kinds = new Set<string>();
  #wake: (() => void) | undefined;
  #waiters: { ord: number; done: () => void }[] = [];

  constructor(session: Session, log: Logger) {
    this.#session = session;
    this.#log = log;
  }

  /** Reads the positions. What the log has beyond them is folded first. */
  async open(): Promise<void> {
    const positions = await this.#session.rows<{ name: string; ord: number }>(
      "SELECT name, max(ord) AS ord FROM storage.projection_positions GROUP BY name",
    );
    const byName = new Map(positions.map((row) => [row.name, row.ord]));
    this.#projections = readProjections().map((projection) => ({
      ...projection,
      ord: byName.get(projection.name) ?? 0,
    }));
    const [log] = await this.#session.rows<{ ord: number }>("SELECT max(ord) AS ord FROM storage.event_log");
    this.#target = log?.ord ?? 0;
    if (this.folded() < this.#target)
      for (const projection of this.#projections) for (const kind of projection.kinds) this.#kinds.add(kind);
  }

  /** Everything up to here is in all projections. */
  folded(): number {
    return Math.min(this.#target, ...this.#projections.map((projection) => projection.ord));
  }

  /** The log has grown to `ord`, by rows of these kinds. */
  grown(ord: number, kinds: ReadonlySet<string>): void {
    this.#target = Math.max(this.#target, ord);
    for (const kind of kinds) this.#kinds.add(kind);
    this.#wake?.();
  }

  /** Resolves when all projections have folded up to `ord`. */
  reached(ord: number): Promise<void> {
    if (this.folded() >= ord) return Promise.resolve();
    return new Promise((done) => this.#waiters.push({ ord, done }));
  }

  async run(signal: AbortSignal, giveWay: GiveWay = () => false): Promise<void> {
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
    while (!signal.aborted) {
      if (this.folded() >= this.#target) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
        continue;
      }
      await gaveWay(giveWay, signal);
      const started = performance.now();
      let rest = RETRY_MS;
      try {
        await this.foldAll();
        rest = Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, (performance.now() - started) * REST_FACTOR));
      } catch (error) {
        if (signal.aborted) break;
        this.#log.error({ err: error }, "a projection lags: it is folded again");
      }
      await rested(rest, signal);
    }
    for (const { done } of this.#waiters.splice(0)) done();
  }

  /** Folds up to the end that is known now. */
  async foldAll(): Promise<void> {
    const target = this.#target;
    const kinds = this.#kinds;
    this.#kinds = new Set();
    const folded: Projection[] = [];
    try {
      for (const projection of this.#projections) {
        if (await this.#fold(projection, target, kinds)) folded.push(projection);
      }
    } catch (error) {
      for (const kind of kinds) this.#kinds.add(kind);
      throw error;
    } finally {
      const rows = folded.map((projection) => `(${literal(projection.name)}, ${projection.ord})`);
      if (rows.length > 0)
        await this.#session.run(`INSERT INTO storage.projection_positions VALUES ${rows.join(", ")}`);
    }
    this.#waiters = this.#waiters.filter((waiter) => {
      if (this.folded() < waiter.ord) return true;
      waiter.done();
      return false;
    });
  }

  /**
   * @returns whether there was anything to fold. Where nothing concerns a projection, its position in memory moves on alone:
   *   after a restart those rows are looked at again.
   */
  async #fold(projection: Projection, target: number, kinds: ReadonlySet<string>): Promise<boolean> {
    const concerned = [...projection.kinds].some((kind) => kinds.has(kind));
    if (concerned) {
      const names = [...projection.kinds].map(literal).join(", ");
      while (projection.ord < target) {
        const from = String(projection.ord);
        const to = Math.min(target, projection.ord + STEP_ROWS);
        for (const statement of projection.statements) {
          await this.#session.run(
            statement.replaceAll("{from}", from).replaceAll("{to}", String(to)).replaceAll("{kinds}", names),
          );
        }
        projection.ord = to;
      }
    }
    projection.ord = target;
    return concerned;
  }

  /** Drops what the projections hold and folds the whole log again. Ingestion is not touched. */
  async rebuild(): Promise<void> {
    await this.#session.run("TRUNCATE TABLE storage.projection_positions");
    for (const projection of this.#projections) {
      await this.#session.run(`TRUNCATE TABLE ${tables[projection.name]}`);
      projection.ord = 0;
    }
    for (const projection of this.#projections) for (const kind of projection.kinds) this.#kinds.add(kind);
    await this.foldAll();
  }
}

/** The files of this folder: the first line names the kinds that a projection folds. */
function readProjections(): Omit<Projection, "ord">[] {
  return Object.keys(tables).map((name) => {
    const text = readFileSync(join(import.meta.dirname, `${name}.sql`), "utf8");
    const first = /^-- (.*)$/m.exec(text)?.[1] ?? "";
    const kinds = first.split(" ").flatMap((kind) => (kind === "*events" ? eventKinds : [kind]));
    return { name, kinds: new Set(kinds), statements: statementsOf(text) };
  });
}

/** Every .sql file here has a table. */
export const projectionFiles = (): string[] => readdirSync(import.meta.dirname).filter((file) => file.endsWith(".sql"));
