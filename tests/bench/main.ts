/** `npm run bench`: the section "Speed and memory" of issue 2. Wires; README.md says how to read what it prints. */
import { commands } from "./sections/commands.ts";
import { memory } from "./sections/memory.ts";
import { pipeline } from "./sections/pipeline.ts";
import { rows } from "./sections/rows.ts";
import { readOptions, USAGE, type BenchOptions, type Section } from "./options.ts";
import { machine, printSection, printTargets, writeJson, type Report, type SectionReport } from "./report.ts";
import { startWorld, type World } from "./world.ts";

const SECTIONS: Record<Section, (world: World, options: BenchOptions) => Promise<SectionReport>> = {
  commands,
  rows,
  memory,
  pipeline,
};

const options = parsed();
const report: Report = { sections: {}, problems: [] };
const startedAt = new Date();
let world: World | undefined;
const interrupted: { by?: NodeJS.Signals } = {};
const starting = startWorld(options, report.problems);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    interrupted.by = signal;
    // what is half started is started first, so that all of it can be stopped
    void starting.then((one) => one.stop()).finally(() => process.exit(130));
  });
}
try {
  world = await starting;
  console.log(
    Object.entries(machine())
      .map(([name, value]) => `${name} ${value}`)
      .join(", "),
  );
  for (const name of options.sections) {
    if (interrupted.by !== undefined) break;
    try {
      const section = await SECTIONS[name](world, options);
      report.sections[name] = section;
      printSection(section);
    } catch (error) {
      process.exitCode = 1;
      report.problems.push(`${name}: ${(error as Error).message}`);
      console.error(error);
    }
  }
  if (interrupted.by === undefined) printTargets(report);
  if (options.json !== undefined) writeJson(options.json, report, options, startedAt);
} finally {
  await world?.stop();
}
// what a failed section left open must not keep the process
process.exit(interrupted.by === undefined ? process.exitCode : 130);

function parsed(): BenchOptions {
  try {
    const read = readOptions(process.argv.slice(2));
    if (read !== "help") return read;
    console.log(USAGE);
    return process.exit(0);
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    return process.exit(2);
  }
}
