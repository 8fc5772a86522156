import type { KnownVerdict, RowMeter } from "@sallyport/edge";
import { ResultRefused_Cause } from "@sallyport/proto/record";
import { Backend } from "../wire/message-table.ts";
import type { Command } from "./command.ts";
import { copyFormatOf } from "./copy-options.ts";
import type { Refusal } from "./withheld.ts";

/** configuration_limit_exceeded */
const ROW_LIMIT = "53400";
const HEADER = 5;
/** CopyData of the end of a binary COPY: a count of fields of -1. */
const TRAILER = HEADER + 2;

/** Of `count` messages from `begins` on, where the first `passes` end. All of those are whole. */
export function endOf(bytes: Buffer, begins: number, passes: number): number {
  let at = begins;
  for (let i = 0; i < passes; i++) at += 1 + bytes.readUInt32BE(at + 1);
  return at;
}

/** Messages of a COPY's data that are no rows: the names of the columns. Only who is limited is asked about. */
export function headersOf(command: Command): number {
  const { unit, verdict } = command.decision;
  if (verdict.limits.length === 0) return 0;
  return copyFormatOf(unit.text.toString("utf8"))?.header === true ? 1 : 0;
}

/** How many of so many messages may pass. */
export function passing(command: Command, count: number): number {
  const free = Math.min(command.headers, count);
  command.headers -= free;
  return free + (command.meter as RowMeter).take(count - free);
}

/** The last message is the end of a binary COPY, and no row: `bytes[at, end)`. */
export const isTrailer = (bytes: Buffer, at: number, end: number): boolean =>
  end - at === TRAILER && bytes[at] === Backend.copyData && bytes.readInt16BE(at + HEADER) === -1;

/** What the client is told when a limit is reached. */
export function limitReached(meter: RowMeter, verdict: KnownVerdict, rows: number): Refusal {
  const { reached } = meter;
  const changes = verdict.facts.actions.some((action) => action !== "read" && action !== "transfer");
  const done = changes ? " What it has changed may stand at the target, unless its transaction is rolled back." : "";
  return {
    cause: ResultRefused_Cause.CAUSE_ROW_LIMIT,
    sqlstate: ROW_LIMIT,
    reason: [...new Set(reached.map(({ message }) => message))].join(" "),
    detail: `The result was cut off after ${rows} rows. Verdict ${verdict.id}.${done}`,
    hint: reached.some(({ holds }) => holds)
      ? "Run it again to ask those who can let more through."
      : "Ask for less: fewer rows with a WHERE, or an aggregate of them.",
    policyIds: reached.map(({ policyId }) => policyId),
  };
}
