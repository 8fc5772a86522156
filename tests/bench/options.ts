import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** In this order: gigabytes of large results are still being merged in ClickHouse long after they are in. */
export const SECTIONS = ["commands", "pipeline", "rows", "memory"] as const;
export type Section = (typeof SECTIONS)[number];

export const USAGE = `npm run bench -- [options]
  --only SECTION    ${SECTIONS.join(", ")}; may be given several times
  --json FILE       the results as JSON too
  --quick           short runs: shows that the benchmark works, its figures mean little
  --rounds N        how often each measurement of \`commands\` is repeated, contenders in turn (default 3)
  --seconds N       how long each of them takes (default 4)
  --tls MODE        off, on or both (default) from the client to the contender, in \`commands\` and \`rows\`
  --profile FOLDER  a CPU profile of every process of ours (for Chrome's developer tools); slows everything down
  --keep            leave the state folder (logs, the bus, ClickHouse) for a look afterwards`;

export interface BenchOptions {
  readonly sections: readonly Section[];
  readonly json: string | undefined;
  readonly quick: boolean;
  readonly rounds: number;
  readonly seconds: number;
  /** which of them are measured */
  readonly tls: readonly boolean[];
  readonly profile: string | undefined;
  readonly keep: boolean;
}

/** Throws with a readable message for arguments that are not understood. */
export function readOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true, default: [] },
      json: { type: "string" },
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      seconds: { type: "string" },
      tls: { type: "string", default: "both" },
      profile: { type: "string" },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const only = values.only.flatMap((value) => value.split(",")).map(asSection);
  return {
    sections: only.length === 0 ? SECTIONS : SECTIONS.filter((section) => only.includes(section)),
    json: values.json === undefined ? undefined : resolve(values.json),
    quick: values.quick,
    rounds: positive("rounds", values.rounds, values.quick ? 1 : 3),
    seconds: positive("seconds", values.seconds, values.quick ? 2 : 4),
    tls: tlsModes(values.tls),
    profile: values.profile === undefined ? undefined : resolve(values.profile),
    keep: values.keep,
  };
}

function asSection(value: string): Section {
  const found = SECTIONS.find((section) => section === value);
  if (found === undefined) throw new Error(`--only ${value}: there are ${SECTIONS.join(", ")}`);
  return found;
}

function tlsModes(value: string): readonly boolean[] {
  if (value === "both") return [false, true];
  if (value !== "off" && value !== "on") throw new Error(`--tls ${value}: there are off, on and both`);
  return [value === "on"];
}

function positive(name: string, value: string | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new Error(`--${name} ${value}: expected a whole number from 1`);
  return number;
}
