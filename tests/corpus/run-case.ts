import { query } from "./wire-client.ts";
import type { Message, WireClient } from "./wire-client.ts";
import type { Case, Expectation, Mode } from "./case-file.ts";
import { isQuery, modesFor, outcomeOf, runIn, type Outcome } from "./modes.ts";
import { printable, type Find } from "./marks.ts";
import { hiddenFrom, login, type Target } from "./place.ts";

/** Runs one case in each of its modes and says what is wrong, in lines that a person can act on. */

const ALIASES: Readonly<Record<string, string>> = {
  "not-permitted": "No policy permits",
  "not-understood": "The command was not understood",
};

let runs = 0;

export interface Report {
  readonly modes: readonly Mode[];
  readonly problems: readonly string[];
}

export async function runCase(one: Case, target: Target): Promise<Report> {
  const modes = modesFor(one).filter((mode) => one.expectations.some((expected) => expected.modes.includes(mode)));
  const problems: string[] = [];
  for (const mode of modes) {
    // A session of its own for whatever leaves something in it.
    const client = isPlain(one) ? await borrow(one) : await login(one.account, one.connection);
    problems.push(...(await runMode(one, mode, client, target)));
    if (isPlain(one)) giveBack(one, client);
    else client.close();
  }
  return { modes, problems };
}

export const isPlain = (one: Case): boolean => one.before.length === 0 && one.after.length === 0 && isQuery(one);

const idle = new Map<string, WireClient[]>();

async function borrow({ account, connection }: Case): Promise<WireClient> {
  return idle.get(`${account}@${connection}`)?.pop() ?? (await login(account, connection));
}

function giveBack({ account, connection }: Case, client: WireClient): void {
  if (client.closed) return;
  const key = `${account}@${connection}`;
  client.said.length = 0;
  idle.set(key, [...(idle.get(key) ?? []), client]);
}

async function runMode(one: Case, mode: Mode, client: WireClient, target: Target): Promise<string[]> {
  const mark = `corpus-${++runs}-${one.id}`.replaceAll("/", "-");
  const from = client.said.length;
  const say = (what: string): string =>
    `in ${mode}: ${what}\n    as ${one.account} on ${one.connection}: ${one.run || one.call?.function}`;
  const problems: string[] = [];
  const inTransaction =
    one.transaction ?? ((one.before.length === 0 && !isQuery(one)) || mode === "cursor" || one.run === "");
  if (inTransaction) await step(client, "BEGIN");
  for (const sql of one.before) {
    const failed = await step(client, sql);
    if (failed !== undefined) problems.push(say(`before: ${sql}: ${failed}`));
  }
  const oid =
    one.call === undefined ? undefined : Number(await target.value(`SELECT '${one.call.function}'::regprocedure::oid`));
  const outcome = await runIn(mode, client, one, mark, oid);
  problems.push(...(await differences(one, mode, outcome, () => target.heard(mark))).map(say));
  if (outcome.end === "ready") {
    if (inTransaction) await step(client, "ROLLBACK");
    if (mode === "execute") await step(client, "DEALLOCATE ALL");
    for (const sql of one.after) await step(client, sql);
  } else {
    client.close();
  }
  const finds = [
    ...hiddenFrom(one.account).inBytes(bytesOf(client.said.slice(from))),
    ...hiddenFrom(one.account).inCells(outcome.cells),
  ];
  problems.push(...withoutRepeats(finds).map((find) => say(told(find))));
  return problems;
}

/** The error, if any. */
async function step(client: WireClient, sql: string): Promise<string | undefined> {
  const { error, end } = outcomeOf("simple", [await client.turn(query(sql))]);
  if (error !== undefined) return `${error["C"]} ${error["M"]}`;
  return end === "ready" ? undefined : end;
}

async function differences(one: Case, mode: Mode, outcome: Outcome, heard: () => Promise<boolean>): Promise<string[]> {
  const problems: string[] = [];
  // What is said of this mode in particular counts instead of what is said of all.
  const said = one.expectations.filter((expected) => expected.modes.includes(mode));
  const fewest = Math.min(
    ...said.filter(({ expectation }) => expectation.kind !== "notice").map((e) => e.modes.length),
  );
  for (const { modes, expectation } of said) {
    if (expectation.kind !== "notice" && modes.length > fewest) continue;
    const wrong = difference(expectation, outcome);
    if (wrong !== undefined) problems.push(wrong);
    if (expectation.kind === "denied" || expectation.kind === "held") {
      if (await heard()) problems.push(`SLIPPED: it should be ${expectation.kind}, and the target has run it`);
    }
  }
  return problems;
}

function difference(expected: Expectation, outcome: Outcome): string | undefined {
  const got = summary(outcome);
  const { error } = outcome;
  switch (expected.kind) {
    case "passes":
      return error === undefined && outcome.end === "ready" ? undefined : `expected to pass, but ${got}`;
    case "shows": {
      if (error !== undefined || outcome.end !== "ready") return `expected rows, but ${got}`;
      const same =
        outcome.rows.length === expected.rows.length &&
        outcome.rows.every((row, at) => rowMatches(row, expected.rows[at] ?? []));
      return same ? undefined : `expected\n${rowsText(expected.rows)}\n    but ${got}`;
    }
    case "denied": {
      const by = ALIASES[expected.by] ?? expected.by;
      const isDenied = error !== undefined && ["42501", "42601", "0A000"].includes(error["C"] ?? "");
      return isDenied && (error["M"] ?? "").includes(by)
        ? undefined
        : `expected to be denied (${expected.by}), but ${got}`;
    }
    case "held":
      return outcome.end === "held" && outcome.notices.some((notice) => (notice["D"] ?? "").includes(expected.by))
        ? undefined
        : `expected to be held (${expected.by}), but ${got}`;
    case "error":
      return error?.["C"] === expected.sqlstate ? undefined : `expected error ${expected.sqlstate}, but ${got}`;
    case "notice":
      return outcome.notices.some((notice) => notice["C"] === expected.sqlstate)
        ? undefined
        : `expected a notice ${expected.sqlstate}, but ${got}`;
    default:
      return expected satisfies never;
  }
}

function rowMatches(row: Outcome["rows"][number], wanted: readonly string[]): boolean {
  return row.length === wanted.length && row.every((cell, at) => cellMatches(cell, wanted[at]!));
}

/** `undefined`: a value of a type that is not read here. It is there, and it is no leak, or that is told as such. */
function cellMatches(cell: string | null | undefined, wanted: string): boolean {
  if (cell === undefined) return wanted !== "NULL";
  if (wanted === "NULL") return cell === null;
  // Spaces at the ends are not written in a case.
  const pattern = wanted.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return cell !== null && new RegExp(`^${pattern.join(".*")}$`, "s").test(cell.trim());
}

function summary({ error, end, rows, notices }: Outcome): string {
  if (error !== undefined) return `it ended with ${error["C"]} ${error["M"]}`;
  if (end === "held") return `it is held: ${notices.map((notice) => notice["D"]).join(" ")}`;
  if (end === "closed") return "the connection was closed";
  const told = notices.map((notice) => `\n      ${notice["S"]} ${notice["C"]} ${notice["M"]}`).join("");
  return `it showed\n${rowsText(rows)}${told}`;
}

const rowsText = (rows: Outcome["rows"]): string =>
  rows.length === 0
    ? "      nothing"
    : rows
        .map((row) => `      ${row.map((cell) => (cell === null ? "NULL" : (cell ?? "?"))).join(" | ")}`)
        .slice(0, 8)
        .join("\n");

export const bytesOf = (messages: readonly Message[]): Buffer =>
  Buffer.concat(messages.flatMap(({ type, body }) => [Buffer.from(type), body]));

function withoutRepeats(finds: readonly Find[]): Find[] {
  const seen = new Set<string>();
  return finds.filter(({ mark: { where } }) => !seen.has(where) && seen.add(where)).slice(0, 3);
}

export const told = ({ mark, part, form, around }: Find): string =>
  `LEAKED ${mark.where} (class ${mark.class}), ${form}: "${part}" in\n      ${printable(around)}`;
