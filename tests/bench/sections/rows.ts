/** A million rows through every contender: what bulk costs, without and with masking. */
import type { Contender } from "../contenders/contender.ts";
import { cpuBetween, cpuOf } from "../cpu.ts";
import type { BenchOptions } from "../options.ts";
import { readRows } from "../read-rows.ts";
import type { SectionReport } from "../report.ts";
import { inTurns, median } from "../statistics.ts";
import { judge } from "../targets.ts";
import { figure } from "../text-table.ts";
import type { World } from "../world.ts";

interface Case {
  readonly name: string;
  readonly contender: Contender;
  readonly sql: string;
  readonly tls: boolean;
}

interface RowFigures {
  readonly name: string;
  readonly tls: boolean;
  readonly rows: number;
  /** of what the client got */
  readonly bytes: number;
  readonly seconds: number;
  readonly firstByteMs: number;
  /** ms by process, for the whole result */
  readonly cpu: Readonly<Record<string, number>>;
}

const PLAIN = "SELECT id, title, first_text, second_text, amount, created_at FROM plain_rows";
const PEOPLE = "SELECT id, title, email, phone, amount, created_at FROM people_rows";
const SETTLE_MS = 120_000;

export async function rows(world: World, options: BenchOptions): Promise<SectionReport> {
  const cases = options.tls.flatMap((tls) => casesOf(world, tls));
  const measured = await inTurns(options.quick ? 1 : options.rounds, cases, async (one) => {
    console.error(`bench: rows, ${one.name}${one.tls ? " TLS" : ""} …`);
    return measure(world, one);
  });
  const figures = cases.map((one) => medians(measured.get(one)!));
  const reference = (tls: boolean): RowFigures => figures.find((one) => one.name === "direct" && one.tls === tls)!;
  // Masked cells are shorter: what counts is how long the same rows took.
  const rate = (one: RowFigures): number => reference(one.tls).bytes / 1e6 / one.seconds;
  const ratio = (one: RowFigures): number => reference(one.tls).seconds / one.seconds;
  const ratios = (name: string): Record<string, number> =>
    Object.fromEntries(
      options.tls.map((tls) => {
        const found = figures.find((one) => one.name === name && one.tls === tls);
        return [tls ? "TLS" : "no TLS", found === undefined ? Number.NaN : ratio(found)];
      }),
    );
  const { rows: count, bytes } = figures[0]!;
  return {
    title: `Rows: ${figure(count, 0)} rows of 6 columns, ${figure(bytes / 1e6)} MB`,
    note:
      "One simple query, text format; a reader that counts bytes and throws them away. MB/s of the unmasked bytes, so " +
      "that ratios are those of the time. CPU in ms for the whole result.",
    table: [
      ["TLS", "", "MB/s", "÷ direct", "s", "first byte ms", "CPU by process, ms"],
      ...figures.map((one) => [
        one.tls ? "on" : "off",
        one.name,
        figure(rate(one)),
        figure(ratio(one), 2),
        figure(one.seconds),
        figure(one.firstByteMs),
        cpuText(one),
      ]),
    ],
    data: { figures: figures.map((one) => ({ ...one, megabytesPerSecond: rate(one), toDirect: ratio(one) })) },
    targets: [
      judge({
        what: "a million rows, nothing to mask: Sallyport ÷ direct",
        bound: { atLeast: 0.5 },
        unit: "",
        figures: ratios("sallyport, nothing to mask"),
      }),
      judge({
        what: "a million rows, two columns masked: Sallyport ÷ direct",
        bound: { atLeast: 0.3 },
        unit: "",
        figures: ratios("sallyport, two columns masked"),
      }),
    ],
  };
}

function casesOf({ direct, pgbouncer, recordingOnly, sallyport }: World, tls: boolean): Case[] {
  return [
    { name: "direct", contender: direct, sql: PLAIN, tls },
    ...(pgbouncer === undefined ? [] : [{ name: "pgbouncer", contender: pgbouncer, sql: PLAIN, tls }]),
    ...(recordingOnly === undefined ? [] : [{ name: "recording-only", contender: recordingOnly, sql: PLAIN, tls }]),
    ...(sallyport === undefined
      ? []
      : [
          { name: "sallyport, nothing to mask", contender: sallyport, sql: PLAIN, tls },
          { name: "sallyport, two columns masked", contender: sallyport, sql: PEOPLE, tls },
        ]),
  ];
}

async function measure(world: World, { name, contender, sql, tls }: Case): Promise<RowFigures> {
  await contender.prepare?.();
  await world.quiet.wait(SETTLE_MS);
  const before = cpuOf(contender.processes());
  const read = await readRows(contender.env(tls), sql);
  await world.quiet.wait(SETTLE_MS);
  const cpu = cpuBetween(before, cpuOf(contender.processes()));
  return { name, tls, ...read, cpu: Object.fromEntries([...cpu].map(([process, used]) => [process, used * 1000])) };
}

function medians(runs: readonly RowFigures[]): RowFigures {
  const first = runs[0]!;
  return {
    ...first,
    seconds: median(runs.map((run) => run.seconds)),
    firstByteMs: median(runs.map((run) => run.firstByteMs)),
    cpu: Object.fromEntries(
      Object.keys(first.cpu).map((name) => [name, median(runs.map((run) => run.cpu[name] ?? 0))]),
    ),
  };
}

function cpuText({ cpu }: RowFigures): string {
  return Object.entries(cpu)
    .filter(([, ms]) => ms >= 10)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, ms]) => `${name} ${figure(ms, 0)}`)
    .join(", ");
}
