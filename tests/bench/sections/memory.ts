/** What the edge holds in memory, and what one session's bulk does to another session. */
import { connected } from "../clients.ts";
import type { Contender } from "../contenders/contender.ts";
import type { BenchOptions } from "../options.ts";
import { readRows } from "../read-rows.ts";
import type { SectionReport } from "../report.ts";
import { forgetPeak, residentOf } from "../resident.ts";
import { inTurns, median, percentile } from "../statistics.ts";
import { judge } from "../targets.ts";
import { figure } from "../text-table.ts";
import type { World } from "../world.ts";

/** A contender and the process whose memory counts; none for `direct`. */
interface Measured {
  readonly contender: Contender;
  readonly pid: number | undefined;
}

interface BulkFigures {
  readonly bytes: number;
  readonly seconds: number;
  /** bytes; NaN for `direct` */
  readonly residentBefore: number;
  readonly residentPeak: number;
  /** ms, of the small queries in another session meanwhile */
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
  readonly queries: number;
}

interface IdleFigures {
  readonly sessions: number;
  readonly residentBefore: number;
  readonly residentAfter: number;
  /** to log all of them in, a hundred at a time */
  readonly seconds: number;
}

const MIB = 1024 ** 2;
const ROW_BYTES = 1024;
const LOGINS = 40;
const SETTLE_MS = 120_000;

export async function memory(world: World, options: BenchOptions): Promise<SectionReport> {
  const { direct, pgbouncer, recordingOnly, sallyport } = world;
  const measured: Measured[] = [
    { contender: direct, pid: undefined },
    ...(recordingOnly === undefined ? [] : [{ contender: recordingOnly, pid: recordingOnly.relayPid() }]),
    ...(sallyport === undefined ? [] : [{ contender: sallyport, pid: sallyport.edgePid() }]),
  ];
  const bulkRows = options.quick ? 64 * 1024 : 1024 * 1024;
  const bulk = new Map<string, BulkFigures>();
  const idle = new Map<string, IdleFigures>();
  for (const one of measured) {
    const { name } = one.contender;
    console.error(`bench: a large result, ${name} …`);
    await world.quiet.wait(SETTLE_MS);
    bulk.set(name, await measureBulk(one, bulkRows));
    if (one.pid === undefined) continue;
    console.error(`bench: idle sessions, ${name} …`);
    await world.quiet.wait(SETTLE_MS);
    idle.set(name, await measureIdle(one.contender, one.pid, options.quick ? 100 : 1000));
  }
  console.error("bench: logins …");
  await world.quiet.wait(SETTLE_MS);
  const logins = await measureLogins(
    [direct, pgbouncer, recordingOnly, sallyport].filter((one) => one !== undefined),
    options.quick ? 5 : LOGINS,
  );
  return sectionReport(bulk, idle, logins);
}

/** 1 GiB as rows of one KiB, over TLS, while another session asks small questions one after the other. */
async function measureBulk({ contender, pid }: Measured, rows: number): Promise<BulkFigures> {
  const small = await connected(contender.env(true));
  try {
    const ask = async (): Promise<number> => {
      const started = performance.now();
      await small.query("SELECT abalance FROM pgbench_accounts WHERE aid = 4711");
      return performance.now() - started;
    };
    for (let i = 0; i < 50; i++) await ask();
    const residentBefore = pid === undefined ? Number.NaN : residentOf(pid).now;
    if (pid !== undefined) forgetPeak(pid);
    const bulk = { read: false };
    const read = readRows(
      contender.env(true),
      `SELECT n, repeat('x', ${ROW_BYTES}) FROM generate_series(1, ${rows}) n`,
    ).finally(() => (bulk.read = true));
    const waits: number[] = [];
    while (!bulk.read) {
      waits.push(await ask());
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { bytes, seconds } = await read;
    return {
      bytes,
      seconds,
      residentBefore,
      residentPeak: pid === undefined ? Number.NaN : residentOf(pid).peak,
      p50: percentile(waits, 50),
      p99: percentile(waits, 99),
      worst: Math.max(...waits),
      queries: waits.length,
    };
  } finally {
    await small.end();
  }
}

async function measureIdle(contender: Contender, pid: number, sessions: number): Promise<IdleFigures> {
  const residentBefore = residentOf(pid).now;
  const started = performance.now();
  const clients: Awaited<ReturnType<typeof connected>>[] = [];
  try {
    while (clients.length < sessions) {
      const some = Math.min(100, sessions - clients.length);
      const logins = await Promise.allSettled(Array.from({ length: some }, () => connected(contender.env(true))));
      for (const login of logins) if (login.status === "fulfilled") clients.push(login.value);
      const refused = logins.find((login) => login.status === "rejected");
      if (refused !== undefined) throw refused.reason;
    }
    const seconds = (performance.now() - started) / 1000;
    // idle is what they are some time after
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return { sessions, residentBefore, residentAfter: residentOf(pid).now, seconds };
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
  }
}

/** ms from dialling to ready, by contender and TLS. */
async function measureLogins(contenders: readonly Contender[], times: number): Promise<Map<string, number>> {
  const cases = [false, true].flatMap((tls) => contenders.map((contender) => ({ contender, tls })));
  const logins = await inTurns(times, cases, async ({ contender, tls }) => {
    const started = performance.now();
    const client = await connected(contender.env(tls));
    const took = performance.now() - started;
    await client.end();
    return took;
  });
  return new Map([...logins].map(([{ contender, tls }, took]) => [loginName(contender.name, tls), median(took)]));
}

const loginName = (name: string, tls: boolean): string => `${name}${tls ? " TLS" : ""}`;

function sectionReport(
  bulk: ReadonlyMap<string, BulkFigures>,
  idle: ReadonlyMap<string, IdleFigures>,
  logins: ReadonlyMap<string, number>,
): SectionReport {
  const mib = (bytes: number): string => figure(bytes / MIB);
  const table = [["", "", "figure", ""]];
  for (const [name, one] of bulk) {
    const size = `${figure(one.bytes / MIB, 0)} MiB`;
    table.push([name, `${size} read, TLS on`, figure(one.seconds), "s"]);
    if (!Number.isNaN(one.residentPeak)) {
      const text = `resident memory raised by ${size}, from ${mib(one.residentBefore)}`;
      table.push([name, text, mib(one.residentPeak - one.residentBefore), "MiB"]);
    }
    table.push([name, `small query meanwhile, p50 of ${one.queries}`, figure(one.p50), "ms"]);
    table.push([name, "small query meanwhile, p99", figure(one.p99), "ms"]);
    table.push([name, "small query meanwhile, worst", figure(one.worst), "ms"]);
  }
  for (const [name, one] of idle) {
    const text = `${one.sessions} idle sessions, TLS on: resident memory raised, from ${mib(one.residentBefore)}`;
    table.push([name, text, mib(one.residentAfter - one.residentBefore), "MiB"]);
    table.push([name, `${one.sessions} logins, 100 at a time`, figure(one.seconds), "s"]);
  }
  for (const [name, ms] of logins) table.push([name, "login, median", figure(ms), "ms"]);
  const own = bulk.get("sallyport");
  const ownIdle = idle.get("sallyport");
  const overDirect = (tls: boolean): number =>
    (logins.get(loginName("sallyport", tls)) ?? Number.NaN) - (logins.get(loginName("direct", tls)) ?? Number.NaN);
  return {
    title: "Memory, fairness, login",
    note: "Resident memory of the edge's process as the kernel counts it; peaks are the kernel's high-water mark.",
    table,
    data: { bulk: Object.fromEntries(bulk), idle: Object.fromEntries(idle), logins: Object.fromEntries(logins) },
    targets: [
      judge({
        what: "a 1 GiB result raises the edge's resident memory by",
        bound: { atMost: 200 },
        unit: "MiB",
        figures: { "": own === undefined ? Number.NaN : (own.residentPeak - own.residentBefore) / MIB },
      }),
      judge({
        what: "a small query in another session meanwhile, p99",
        bound: { atMost: 20 },
        unit: "ms",
        figures: { "": own?.p99 ?? Number.NaN },
      }),
      judge({
        what: "1,000 idle sessions raise the edge's resident memory by",
        bound: { atMost: 150 },
        unit: "MiB",
        figures: { "": ownIdle === undefined ? Number.NaN : (ownIdle.residentAfter - ownIdle.residentBefore) / MIB },
      }),
      judge({
        what: "login over direct",
        bound: { atMost: 20 },
        unit: "ms",
        figures: { "no TLS": overDirect(false), TLS: overDirect(true) },
      }),
    ],
  };
}
