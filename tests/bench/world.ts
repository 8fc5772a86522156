/** Everything that is measured, started on temporary state and free ports, and stopped again. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startStack, type Stack } from "@sallyport/local";
import { freePorts } from "@sallyport/local/ports";
import { prepareBenchDatabase, type BenchDatabase } from "./bench-database.ts";
import { writeBenchCatalog } from "./bench-catalog.ts";
import type { Contender } from "./contenders/contender.ts";
import { direct } from "./contenders/direct.ts";
import { pgbouncer } from "./contenders/pgbouncer.ts";
import { recordingOnly, type RecordingOnly } from "./contenders/recording-only.ts";
import { sallyport, type Sallyport } from "./contenders/sallyport.ts";
import { learnQuiet, type NamedProcess, type Quiet } from "./cpu.ts";
import { profileChildren } from "./profile.ts";
import type { BenchOptions } from "./options.ts";

export interface World {
  readonly stack: Stack;
  readonly database: BenchDatabase;
  readonly direct: Contender;
  /** Undefined where it could not be started; the reason is in `problems`. */
  readonly pgbouncer: Contender | undefined;
  readonly recordingOnly: RecordingOnly | undefined;
  readonly sallyport: Sallyport | undefined;
  /** of everything that runs */
  readonly quiet: Quiet;
  stop(): Promise<void>;
}

export async function startWorld(options: BenchOptions, problems: string[]): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-bench-"));
  const stops: (() => Promise<void> | void)[] = [
    () => {
      if (options.keep) console.log(`\nState is kept in ${folder}`);
      else rmSync(folder, { recursive: true, force: true });
    },
  ];
  if (options.profile !== undefined) stops.push(profileChildren(options.profile, () => processes()));
  let processes = (): NamedProcess[] => [];
  let stopped: Promise<void> | undefined;
  // an interrupt and the run's own end may both ask for it: both wait for the same
  const stop = (): Promise<void> =>
    (stopped ??= (async () => {
      for (const one of stops.toReversed()) await one();
    })());
  try {
    const { stack, whole } = await startGateway(folder, problems);
    stops.push(async () => {
      await stack.stop();
      if (!options.keep) rmSync(dirname(stack.target.dataDirectory), { recursive: true, force: true });
    });
    say("filling the database");
    const database = await prepareBenchDatabase(stack, options.quick ? 100_000 : 1_000_000);
    const attempt = async <One extends { stop(): Promise<void> }>(what: string, start: () => Promise<One>) => {
      say(`starting ${what}`);
      try {
        const one = await start();
        stops.push(() => one.stop());
        return one;
      } catch (error) {
        problems.push(`${what} could not be measured: ${(error as Error).message}`);
        return undefined;
      }
    };
    const bouncer = await attempt("pgbouncer", () => pgbouncer(stack, database));
    const relay = await attempt("the recording-only relay", () => recordingOnly(stack, database));
    const gateway = whole ? await attempt("Sallyport's clients", () => sallyport(stack)) : undefined;
    const plain = await direct(stack, database);
    const contenders = [plain, bouncer, relay, gateway].filter((one) => one !== undefined);
    processes = (): NamedProcess[] => {
      const byPid = new Map(contenders.flatMap((one) => one.processes()).map((process) => [process.pid, process]));
      return [...byPid.values()];
    };
    return {
      stack,
      database,
      direct: plain,
      pgbouncer: bouncer,
      recordingOnly: relay,
      sallyport: gateway,
      quiet: await learnQuiet(processes),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The whole gateway; where that fails, the parts that the other contenders need. */
async function startGateway(folder: string, problems: string[]): Promise<{ stack: Stack; whole: boolean }> {
  const stateDir = join(folder, "state");
  const catalogFolder = join(folder, "catalog");
  const ports = await freePorts();
  writeBenchCatalog(catalogFolder, ports.postgres);
  const overrides = { "edge-postgres": { tls: { mode: "optional" } } };
  const options = { stateDir, ports, catalogFolder, overrides, onEvent: (line: string) => problems.push(line) };
  say("starting the gateway");
  try {
    return { stack: await startStack(options), whole: true };
  } catch (error) {
    problems.push(`Sallyport could not be measured: ${(error as Error).message}`);
    return { stack: await startStack({ ...options, services: [] }), whole: false };
  }
}

function say(what: string): void {
  console.error(`bench: ${what} …`);
}
