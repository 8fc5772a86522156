/** What comes after the acknowledgement: the log, approvals, withdrawals. Sallyport only. */
import { openBus } from "../bus.ts";
import type { BenchOptions } from "../options.ts";
import { measureDrain, measureIngest, type BurstFigures } from "../pipeline/burst.ts";
import { measureFreshness } from "../pipeline/freshness.ts";
import { measureGrants } from "../pipeline/grants.ts";
import { measureWithdrawals } from "../pipeline/withdrawal.ts";
import type { SectionReport } from "../report.ts";
import { median, percentile } from "../statistics.ts";
import { judge, type Target } from "../targets.ts";
import { figure } from "../text-table.ts";
import type { World } from "../world.ts";

const SETTLE_MS = 120_000;

interface Found {
  drain?: BurstFigures;
  ingest?: BurstFigures & { recordsPerSecond: number };
  freshness?: number[];
  grants?: number[];
  withdrawals?: { tokens: number[]; principal: number };
}

export async function pipeline(world: World, options: BenchOptions): Promise<SectionReport> {
  const { sallyport, stack } = world;
  if (sallyport === undefined) throw new Error("Sallyport does not run");
  const bus = await openBus(stack);
  const seconds = options.quick ? 2 : 10;
  const times = options.quick ? 3 : 20;
  const found: Found = {};
  const problems: string[] = [];
  // one part's failure leaves the others their figures
  const part = async (name: string, measure: () => Promise<void>): Promise<void> => {
    console.error(`bench: ${name} …`);
    await world.quiet.wait(SETTLE_MS);
    await measure().catch((error: Error) => problems.push(`${name}: ${error.message.split("\n")[0]}`));
  };
  try {
    await sallyport.signIn();
    await part("drain", async () => void (found.drain = await measureDrain(sallyport, bus, seconds)));
    await part("ingestion", async () => void (found.ingest = await measureIngest(sallyport, bus, seconds)));
    await part("freshness", async () => void (found.freshness = await measureFreshness(sallyport, bus, times)));
    await part("grants", async () => void (found.grants = await measureGrants(sallyport, times)));
    await part("withdrawals", async () => void (found.withdrawals = await measureWithdrawals(sallyport, 5)));
  } finally {
    await bus.close();
  }
  return {
    title: "Behind the acknowledgement: log, approval, withdrawal",
    note: `Bursts are pgbench -S with 32 clients for ${seconds} s. Records are counted on the bus, by reading it, and in ClickHouse.`,
    table: [["", "figure", ""], ...tableOf(found), ...problems.map((problem) => [`! ${problem}`, "–", ""])],
    data: { ...found, problems },
    targets: targetsOf(found),
  };
}

function tableOf({ drain, ingest, freshness, grants, withdrawals }: Found): string[][] {
  const table: string[][] = [];
  const burst = (name: string, one: BurstFigures): void => {
    const { recorded } = one;
    const inBatches = `${figure(recorded.batches, 0)} batches, ${figure(recorded.bytes / 1e6, 0)} MB`;
    table.push([`${name}: commands`, figure(one.commands, 0), `at ${figure(one.tps, 0)}/s`]);
    table.push([`${name}: records on the bus`, figure(recorded.records, 0), `in ${inBatches}`]);
    const same = one.inLog === recorded.records ? "the same number" : "NOT THE SAME NUMBER";
    table.push([`${name}: records in ClickHouse`, figure(one.inLog, 0), same]);
    table.push([`${name}: until the last one was there`, figure(one.drainSeconds), "s"]);
  };
  if (drain !== undefined) burst("audit at work", drain);
  if (ingest !== undefined) {
    burst("audit halted meanwhile", ingest);
    table.push(["ingestion of what piled up", figure(ingest.recordsPerSecond, 0), "records/s"]);
  }
  const spread = (name: string, values: readonly number[]): void => {
    table.push([`${name}, median of ${values.length}`, figure(median(values)), "ms"]);
    table.push([`${name}, worst`, figure(Math.max(...values)), "ms"]);
  };
  if (freshness !== undefined) spread("acknowledged to ClickHouse, idle", freshness);
  if (grants !== undefined) spread("granted to result at the client", grants);
  if (withdrawals !== undefined) {
    spread("token withdrawn to session closed", withdrawals.tokens);
    table.push(["principal offboarded to session closed", figure(withdrawals.principal), "ms"]);
  }
  return table;
}

function targetsOf({ drain, ingest, freshness, grants, withdrawals }: Found): Target[] {
  const complete = (one: BurstFigures | undefined): number =>
    one === undefined ? Number.NaN : one.inLog / one.recorded.records;
  const worst = (values: readonly number[] | undefined): number =>
    values === undefined ? Number.NaN : percentile(values, 100);
  return [
    judge({
      what: "records in ClickHouse ÷ records on the bus, after the bursts",
      bound: { atLeast: 1, atMost: 1 },
      unit: "",
      figures: { "audit at work": complete(drain), "audit halted": complete(ingest) },
    }),
    judge({
      what: "audit ingests",
      bound: { atLeast: 100_000 },
      unit: "records/s",
      figures: { "": ingest?.recordsPerSecond ?? Number.NaN },
    }),
    judge({
      what: "a record is in ClickHouse after its acknowledgement, idle, worst",
      bound: { atMost: 1000 },
      unit: "ms",
      figures: { "": worst(freshness) },
    }),
    judge({
      what: "grant to execution, worst",
      bound: { atMost: 100 },
      unit: "ms",
      figures: { "": worst(grants) },
    }),
    judge({
      what: "offboarding to session end, worst",
      bound: { atMost: 1000 },
      unit: "ms",
      figures: { token: worst(withdrawals?.tokens), principal: withdrawals?.principal ?? Number.NaN },
    }),
  ];
}
