import { parseCopyRows, textOf } from "./cells.ts";
import type { Case, Mode } from "./case-file.ts";
import type { Cells } from "./marks.ts";
import {
  cellsOf,
  extended,
  fieldsOf,
  int32,
  message,
  query,
  sized,
  sync,
  typesOf,
  type Message,
  type Turn,
  type WireClient,
} from "./wire-client.ts";

/** The ways in which one statement can be run, and what came of it. */

export interface Outcome {
  readonly end: Turn["end"];
  /** fields of the first error */
  readonly error: Readonly<Record<string, string>> | undefined;
  readonly notices: readonly Readonly<Record<string, string>>[];
  /** as text; undefined: of a type that is not read in the binary format */
  readonly rows: readonly (readonly (string | null | undefined)[])[];
  readonly cells: Cells;
  readonly messages: readonly Message[];
}

const QUERY = /^[\s(]*(?:\/\*.*?\*\/\s*)*(?:SELECT|WITH|TABLE|VALUES)\b/is;
const CHANGE = /^[\s(]*(?:INSERT|UPDATE|DELETE|MERGE)\b/i;

export const isQuery = ({ run }: Case): boolean =>
  QUERY.test(run) && !/\b(?:INTO|INSERT|UPDATE|DELETE|MERGE)\b/i.test(run);

/** Those in which it can run, if the case does not say. */
export function modesFor(one: Case): readonly Mode[] {
  if (one.modes !== undefined) return one.modes;
  if (one.call !== undefined) return ["call"];
  if (one.with.length > 0) return ["text", "binary"];
  if (/;\s*\S/.test(one.run)) return ["simple"];
  if (isQuery(one)) return ["simple", "text", "binary", "copy", "copy-csv", "cursor", "execute"];
  if (QUERY.test(one.run)) return ["simple", "text", "binary", "copy", "execute"];
  if (CHANGE.test(one.run))
    return /\bRETURNING\b/i.test(one.run)
      ? ["simple", "text", "binary", "copy", "execute"]
      : ["simple", "text", "execute"];
  return ["simple", "text"];
}

/** `mark` is put into the text that runs the statement, as a comment: it shows in the target's log if it gets there. */
export async function runIn(
  mode: Mode,
  client: WireClient,
  one: Case,
  mark: string,
  functionOid?: number,
): Promise<Outcome> {
  const sql = one.run;
  const marked = `/* ${mark} */ ${sql}`;
  switch (mode) {
    case "simple":
      return outcomeOf(mode, [await client.turn(query(marked))]);
    case "text":
    case "binary":
      return outcomeOf(mode, [await client.turn(extended(marked, one.with, mode === "text" ? 0 : 1), sync)]);
    case "copy":
      return outcomeOf(mode, [await client.turn(query(`/* ${mark} */ COPY (${sql}) TO STDOUT`))]);
    case "copy-csv":
      return outcomeOf(mode, [await client.turn(query(`/* ${mark} */ COPY (${sql}) TO STDOUT WITH (FORMAT csv)`))]);
    case "cursor":
      return outcomeOf(
        mode,
        await steps(client, `DECLARE corpus_cursor CURSOR FOR ${sql}`, `/* ${mark} */ FETCH ALL FROM corpus_cursor`),
      );
    case "execute":
      return outcomeOf(
        mode,
        await steps(client, `PREPARE corpus_statement AS ${sql}`, `/* ${mark} */ EXECUTE corpus_statement`),
      );
    case "call": {
      const values = one.call!.arguments;
      return outcomeOf(mode, [
        await client.turn(message("F", int32(functionOid!), 1, 0, values.length, ...values.map(sized), 0)),
      ]);
    }
    default:
      return mode satisfies never;
  }
}

/** Each as a simple query, until one is not answered as it should be. */
export async function steps(client: WireClient, ...texts: string[]): Promise<Turn[]> {
  const turns: Turn[] = [];
  for (const sql of texts) {
    const turn = await client.turn(query(sql));
    turns.push(turn);
    if (turn.end !== "ready" || turn.messages.some(({ type }) => type === "E")) break;
  }
  return turns;
}

export function outcomeOf(mode: Mode, turns: readonly Turn[]): Outcome {
  const messages = turns.flatMap((turn) => turn.messages);
  const described = messages.findLast(({ type }) => type === "T");
  const types = described === undefined ? [] : typesOf(described);
  const isCopy = mode === "copy" || mode === "copy-csv";
  const copied = Buffer.concat(messages.filter(({ type }) => type === "d").map(({ body }) => body));
  const cells = isCopy
    ? parseCopyRows(copied, mode === "copy" ? "text" : "csv")
    : messages.filter(({ type }) => type === "D").map(cellsOf);
  const error = messages.find(({ type }) => type === "E");
  return {
    end: turns.at(-1)?.end ?? "closed",
    error: error === undefined ? undefined : fieldsOf(error),
    notices: messages.filter(({ type }) => type === "N").map(fieldsOf),
    cells,
    rows: cells.map((row) =>
      row.map((cell, at) =>
        cell === null ? null : mode === "binary" ? textOf(cell, types[at] ?? 0) : cell.toString("utf8"),
      ),
    ),
    messages,
  };
}
