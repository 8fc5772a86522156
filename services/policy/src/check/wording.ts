/** The sentences that people see: the policy author's own, or one that names what is missing. */

import type { LimitTerms } from "../cedar/annotations.ts";
import type { Hold } from "@sallyport/proto/verdict";
import type { LoadedSet } from "../cedar/compile.ts";
import type { Findings } from "./evaluate.ts";

const MAX_NAMED = 3;

/** The authors' sentences of some policies, each once; for a policy without one, what it is called. */
export function sentences(ids: Iterable<string>, set: LoadedSet, otherwise: (id: string) => string): string {
  const said = new Set<string>();
  for (const id of ids) said.add(set.policies.get(id)?.terms.message || otherwise(id));
  return [...said].join(" ");
}

export function forbidden(ids: Iterable<string>, set: LoadedSet): string {
  return sentences(ids, set, (id) => `Policy ${id} forbids this.`);
}

export function notPermitted(findings: Findings, who: string, where: string): string {
  const wanted = findings.notPermitted.map(({ action, called }) => `${action} on ${called}`);
  const named = wanted.slice(0, MAX_NAMED).join(", ");
  const more = wanted.length > MAX_NAMED ? ` and ${wanted.length - MAX_NAMED} more` : "";
  return `No policy permits ${who} this on connection ${where}: ${named}${more}.`;
}

export function held(ids: Iterable<string>, set: LoadedSet): string {
  return sentences(ids, set, (id) => {
    const group = set.policies.get(id)?.terms.hold?.group ?? "";
    return `Policy ${id} holds this until ${group} approves.`;
  });
}

const PER: Readonly<Record<LimitTerms["per"], string>> = {
  result: "of one result",
  session: "in one session",
  hour: "within an hour",
};

export const limitReached = (id: string, { rows, per }: LimitTerms): string =>
  `Policy ${id} lets no more than ${rows} rows through ${PER[per]}.`;

/** What holds a login is lifted before it, for a time: says how to ask. */
export function accessAskedFor(
  holds: readonly Hold[],
  place: { connection: string; database: string },
  defaultDatabase: string,
): string {
  const said = [...new Set(holds.map((hold) => hold.message))].join(" ");
  const database = place.database === defaultDatabase ? "" : ` --database ${place.database}`;
  const most = Math.min(...holds.map((hold) => hold.windowSeconds ?? Infinity));
  const ask = `sallyport request ${place.connection}${database} --for ${duration(most)} --reason "…"`;
  const broken = holds.every((hold) => hold.breakGlassSeconds !== undefined);
  const emergency = `sallyport break-glass ${place.connection}${database} --reason "…"`;
  return `${said} Ask for a time: ${ask}${broken ? ` (in an emergency, whoever may: ${emergency})` : ""}`;
}

/** 5400 → `90m`: as the command line takes it. */
function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "1h";
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

export const evaluationFailed = (ids: Iterable<string>): string => {
  const named = [...ids].filter((id) => id !== "").join(", ");
  return named === ""
    ? "This could not be evaluated against the policies, and is refused."
    : `Policy ${named} could not be evaluated for this, so it is refused. Its author should look at it.`;
};

export const notUnderstood = (why: string): string => `The command was not understood, so it is refused: ${why}.`;
