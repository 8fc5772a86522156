/** `pgbench -S` through every contender in turn: what a command costs. */
import type { Contender } from "../contenders/contender.ts";
import { CLIENT, cpuBetween, cpuOf } from "../cpu.ts";
import type { BenchOptions } from "../options.ts";
import { runPgbench, type QueryMode } from "../pgbench.ts";
import type { SectionReport } from "../report.ts";
import { inTurns, median } from "../statistics.ts";
import { judge, type Target } from "../targets.ts";
import { figure } from "../text-table.ts";
import type { World } from "../world.ts";

/** Medians of one contender in one setting. */
export interface CommandFigures {
  readonly contender: Contender["name"];
  readonly tls: boolean;
  readonly mode: QueryMode;
  readonly clients: number;
  readonly tps: number;
  /** ms */
  readonly latency: number;
  /** µs by process; what is done later for a command (the log's ingestion) is counted too */
  readonly cpuPerCommand: Readonly<Record<string, number>>;
}

interface Setting {
  readonly tls: boolean;
  readonly mode: QueryMode;
  readonly clients: number;
}

const CLIENTS = [1, 8, 32];
/** What ingestion may take to catch up before the next contender has its turn. */
const SETTLE_MS = 60_000;

export async function commands(world: World, options: BenchOptions): Promise<SectionReport> {
  const contenders = [world.direct, world.pgbouncer, world.recordingOnly, world.sallyport].filter(
    (one) => one !== undefined,
  );
  const settings = options.tls.flatMap((tls) =>
    (["simple", "prepared"] as const).flatMap((mode) => CLIENTS.map((clients): Setting => ({ tls, mode, clients }))),
  );
  const figures: CommandFigures[] = [];
  for (const setting of settings) {
    console.error(`bench: ${nameOf(setting)} …`);
    const rounds = await inTurns<Contender, CommandFigures>(options.rounds, contenders, (contender) =>
      measure(world, contender, setting, options.seconds),
    );
    for (const runs of rounds.values()) figures.push(medians(runs));
  }
  return {
    title: "Commands: pgbench -S, scale 10",
    note:
      `${options.rounds} rounds of ${options.seconds} s in turn, medians. CPU in µs per command; audit's is for the ` +
      "ingestion into ClickHouse, which may end after the burst and is waited for. Target leg without TLS.",
    table: [HEAD, ...figures.map((one) => row(one, figures))],
    data: { figures },
    targets: targets(figures, options.tls),
  };
}

async function measure(world: World, contender: Contender, setting: Setting, seconds: number): Promise<CommandFigures> {
  await contender.prepare?.();
  await world.quiet.wait(SETTLE_MS);
  const before = cpuOf(contender.processes());
  const run = await runPgbench({ env: contender.env(setting.tls), ...setting, seconds });
  await world.quiet.wait(SETTLE_MS);
  const cpu = cpuBetween(before, cpuOf(contender.processes()));
  return {
    contender: contender.name,
    ...setting,
    tps: run.tps,
    latency: run.latency,
    cpuPerCommand: Object.fromEntries([...cpu].map(([name, used]) => [name, (used * 1e6) / run.transactions])),
  };
}

function medians(runs: readonly CommandFigures[]): CommandFigures {
  const first = runs[0]!;
  const names = Object.keys(first.cpuPerCommand);
  return {
    ...first,
    tps: median(runs.map((run) => run.tps)),
    latency: median(runs.map((run) => run.latency)),
    cpuPerCommand: Object.fromEntries(
      names.map((name) => [name, median(runs.map((run) => run.cpuPerCommand[name] ?? 0))]),
    ),
  };
}

// ---- the table

const HEAD =
  "TLS|mode|clients||tps|ms|÷ direct|÷ pgbouncer|÷ recording|CPU µs|client|server|gateway|bus|audit|others".split("|");
const GATEWAYS = ["pgbouncer", "recording-only", "edge-postgres"];
const COLUMNS = [[CLIENT], ["postgres"], GATEWAYS, ["nats-server"], ["audit"]];

function row(one: CommandFigures, all: readonly CommandFigures[]): string[] {
  const cpu = Object.entries(one.cpuPerCommand);
  const sum = (wanted: (name: string) => boolean): string => {
    const found = cpu.filter(([name]) => wanted(name));
    return found.length === 0 ? "–" : figure(found.reduce((total, [, used]) => total + used, 0));
  };
  return [
    one.tls ? "on" : "off",
    one.mode,
    String(one.clients),
    one.contender,
    figure(one.tps, 0),
    figure(one.latency, 3),
    ratio(one, all, "direct"),
    ratio(one, all, "pgbouncer"),
    ratio(one, all, "recording-only"),
    sum(() => true),
    ...COLUMNS.map((names) => sum((name) => names.includes(name))),
    sum((name) => !COLUMNS.some((names) => names.includes(name))),
  ];
}

function ratio(one: CommandFigures, all: readonly CommandFigures[], to: Contender["name"]): string {
  return one.contender === to ? "–" : figure(one.tps / find(all, to, one).tps, 2);
}

const MISSING = { tps: Number.NaN, latency: Number.NaN };

function find(all: readonly CommandFigures[], name: Contender["name"], { tls, mode, clients }: Setting) {
  const same = (one: CommandFigures): boolean =>
    one.contender === name && one.tls === tls && one.mode === mode && one.clients === clients;
  return all.find(same) ?? MISSING;
}

function nameOf({ tls, mode, clients }: Setting): string {
  return `${mode} ${clients}${tls ? " TLS" : ""}`;
}

// ---- the targets

function targets(all: readonly CommandFigures[], tlsModes: readonly boolean[]): Target[] {
  const settings = (clients: readonly number[]): Setting[] =>
    tlsModes.flatMap((tls) =>
      (["simple", "prepared"] as const).flatMap((mode) => clients.map((count) => ({ tls, mode, clients: count }))),
    );
  const figures = (clients: readonly number[], value: (setting: Setting) => number): Record<string, number> =>
    Object.fromEntries(settings(clients).map((setting) => [nameOf(setting), value(setting)]));
  return [
    judge({
      what: "pgbench -S at 8 and 32 clients: Sallyport ÷ recording-only relay",
      bound: { atLeast: 0.6 },
      unit: "",
      figures: figures([8, 32], (at) => find(all, "sallyport", at).tps / find(all, "recording-only", at).tps),
    }),
    judge({
      what: "pgbench -S at 32 clients: recording-only relay ÷ pgbouncer",
      bound: { atLeast: 0.5 },
      unit: "",
      figures: figures([32], (at) => find(all, "recording-only", at).tps / find(all, "pgbouncer", at).tps),
    }),
    judge({
      what: "one client: added latency over direct",
      bound: { atMost: 0.45 },
      unit: "ms",
      figures: figures([1], (at) => find(all, "sallyport", at).latency - find(all, "direct", at).latency),
    }),
  ];
}
