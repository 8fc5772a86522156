/**
 * One case a file, `cases/<family>/<name>.case`: who runs what where, and what they should see.
 *
 *   # what it is about
 *   as engineer on lab
 *   run: SELECT upper(email) FROM people WHERE id = 1
 *   shows: [redacted]
 *
 * In every case, whatever it expects, no value that is hidden from the person reaches them, in any form. What can be said:
 *
 *   as ACCOUNT on CONNECTION      of catalog/
 *   before: SQL                   a step of the session before; it must succeed. Several, in order
 *   run: SQL                      what it is about; lines that begin with a space go on
 *   call: FUNCTION ARGUMENT, …    … or a fast-path function call
 *   with: VALUE | VALUE           parameters of `run` (extended protocol)
 *   after: SQL                    a step that tidies up, whatever happened
 *   modes: simple, text, …        instead of those in which the statement can run (modes.ts)
 *   in a transaction              `before` and `run` in one, rolled back; a lone `run` that is no query always is
 *   without a transaction         … but not this one
 *
 * and what is expected, of all modes or `in MODE, …:` some of them:
 *
 *   shows: CELL | CELL            a row a line, `…` for any text, `NULL`; `nothing`: no row
 *   passes                        no error; the rows do not matter
 *   denied: POLICY                SQLSTATE 42501 and a message that begins so; the target never heard of it
 *   held: POLICY                  waits for people; the target never heard of it
 *   error: SQLSTATE               from whomever
 *   notice: SQLSTATE              comes as well
 *   open: TEXT                    a finding that is not mended yet: the case is expected to fail, and reported
 */

import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export const MODES = ["simple", "text", "binary", "copy", "copy-csv", "cursor", "execute", "call"] as const;
export type Mode = (typeof MODES)[number];

export type Expectation =
  | { kind: "shows"; rows: string[][] }
  | { kind: "passes" }
  | { kind: "denied" | "held"; by: string }
  | { kind: "error" | "notice"; sqlstate: string };

export interface Case {
  /** `family/name` */
  readonly id: string;
  readonly title: string;
  readonly account: string;
  readonly connection: string;
  readonly before: readonly string[];
  readonly run: string;
  readonly call?: { readonly function: string; readonly arguments: readonly string[] };
  readonly with: readonly string[];
  readonly after: readonly string[];
  readonly modes?: readonly Mode[];
  readonly transaction: boolean | undefined;
  readonly expectations: readonly { readonly modes: readonly Mode[]; readonly expectation: Expectation }[];
  readonly open: string | undefined;
}

const FOLDER = fileURLToPath(new URL("cases", import.meta.url));

export function allCases(): Case[] {
  return readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".case"))
    .toSorted()
    .map((name) => parseCase(name.replace(/\.case$/, ""), readFileSync(join(FOLDER, name), "utf8")));
}

/** Throws, with the case's name, at anything that it does not understand. */
export function parseCase(id: string, content: string): Case {
  const lines = joinedLines(content);
  const wrong = (what: string): Error => new Error(`${id}: ${what}`);
  const values = (key: string): string[] =>
    lines.filter((line) => line.startsWith(`${key}: `)).map((line) => line.slice(key.length + 2).trim());
  const only = (key: string): string | undefined => {
    const found = values(key);
    if (found.length > 1) throw wrong(`${key} twice`);
    return found[0];
  };
  const who = lines.map((line) => /^as (\S+) on (\S+)$/.exec(line)).find((found) => found !== null);
  if (who === undefined || who === null) throw wrong("as whom, and on which connection?");
  const run = only("run");
  const call = only("call");
  if ((run === undefined) === (call === undefined)) throw wrong("one `run` or one `call`");
  const expectations = lines.flatMap((line) => {
    const found = /^(?:in ([a-z, -]+): )?((?:shows|denied|held|error|notice):.*|passes)$/s.exec(line);
    if (found === null) return [];
    return [{ modes: modesOf(found[1], wrong), expectation: expectationOf(found[2]!, wrong) }];
  });
  if (!expectations.some(({ expectation }) => expectation.kind !== "notice")) throw wrong("nothing is expected");
  for (const line of lines) if (!KNOWN.test(line)) throw wrong(`not understood: ${line}`);
  const modes = only("modes");
  const transaction =
    lines.includes("in a transaction") || (lines.includes("without a transaction") ? false : undefined);
  return {
    id,
    title:
      lines
        .filter((line) => line.startsWith("# "))
        .map((line) => line.slice(2))
        .join(" ") || basename(id),
    account: who[1]!,
    connection: who[2]!,
    before: values("before"),
    run: run ?? "",
    ...(call === undefined ? {} : { call: callOf(call) }),
    with: only("with")?.split(" | ") ?? [],
    after: values("after"),
    ...(modes === undefined ? {} : { modes: modesOf(modes, wrong) }),
    transaction,
    expectations,
    open: only("open"),
  };
}

const KNOWN =
  /^(?:# .*|as .*|(?:before|run|call|with|after|modes|open): .*|in a transaction|without a transaction|(?:in [a-z, -]+: )?(?:(?:shows|denied|held|error|notice):.*|passes))$/s;

/** A line that begins with a space goes on with the one before. */
function joinedLines(content: string): string[] {
  const lines: string[] = [];
  for (const line of content.split("\n")) {
    if (/^\s+\S/.test(line) && lines.length > 0) lines.push(`${lines.pop()}\n${line.trim()}`);
    else if (line.trim() !== "") lines.push(line.trimEnd());
  }
  return lines;
}

function modesOf(names: string | undefined, wrong: (what: string) => Error): Mode[] {
  if (names === undefined) return [...MODES];
  return names.split(",").map((name) => {
    const found = MODES.find((mode) => mode === name.trim());
    if (found === undefined) throw wrong(`no such mode: ${name}`);
    return found;
  });
}

function expectationOf(text: string, wrong: (what: string) => Error): Expectation {
  if (text === "passes") return { kind: "passes" };
  const colon = text.indexOf(":");
  const kind = text.slice(0, colon);
  const value = text.slice(colon + 1).trim();
  switch (kind) {
    case "shows":
      return {
        kind,
        rows: value === "nothing" ? [] : value.split("\n").map((row) => row.split("|").map((cell) => cell.trim())),
      };
    case "denied":
    case "held":
      return { kind, by: value };
    case "error":
    case "notice":
      return { kind, sqlstate: value };
    default:
      throw wrong(`no such expectation: ${kind}`);
  }
}

function callOf(text: string): NonNullable<Case["call"]> {
  const space = text.indexOf(" ");
  if (space < 0) return { function: text, arguments: [] };
  return {
    function: text.slice(0, space),
    arguments: text
      .slice(space + 1)
      .split(",")
      .map((one) => one.trim()),
  };
}
