/**
 * Cases as data, in `corpus/*.case`: a text and what must be found in it. Whoever finds an evasion adds a case.
 *
 *   # what it is about
 *   SELECT …                                  over as many lines as it takes
 *   < prepared p: DELETE FROM orders          of the session: `prepared`, `cursor`; `path: a, b`; `path: unknown`; `touched`
 *   > actions: read, write                    exactly these
 *   > relations: public.orders rw id,status   schema.name, r w d, columns, kind unless `table`; one line each
 *   > engineer@orders: hold some-policy       forward | deny <policy or reason> | hold <policies>
 *
 * Cases are parted by a line of dashes.
 */

import { readFileSync, readdirSync } from "node:fs";
import { Access, DenyReason, NamedStatement_Kind, Outcome } from "@sallyport/proto/verdict";
import type { CommandFacts, NamedStatement, RelationFact, Verdict } from "@sallyport/proto/verdict";

export interface Case {
  file: string;
  title: string;
  text: string;
  named: NamedStatement[];
  searchPath: string[];
  schemaTouched: boolean;
  expectations: [key: string, value: string][];
}

const FOLDER = new URL("../corpus/", import.meta.url);

export function corpus(): Case[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".case"))
    .flatMap((file) => parseCases(file, readFileSync(new URL(file, FOLDER), "utf8")));
}

export function parseCases(file: string, content: string): Case[] {
  return content
    .split(/^---+$/m)
    .map((block) => parseCase(file, block))
    .filter((found) => found.expectations.length > 0);
}

function parseCase(file: string, block: string): Case {
  const found: Case = {
    file,
    title: "",
    text: "",
    named: [],
    searchPath: ["public"],
    schemaTouched: false,
    expectations: [],
  };
  const text: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("# ")) found.title = `${found.title} ${line.slice(2)}`.trim();
    else if (line.startsWith("< ")) session(found, line.slice(2));
    else if (line.startsWith("> ")) {
      const colon = line.indexOf(": ");
      found.expectations.push([line.slice(2, colon), line.slice(colon + 2).trim()]);
    } else text.push(line);
  }
  found.text = text.join("\n").trim();
  return found;
}

function session(found: Case, line: string): void {
  const colon = line.indexOf(":");
  const what = (colon < 0 ? line : line.slice(0, colon)).trim();
  const value = colon < 0 ? "" : line.slice(colon + 1).trim();
  const [kind, name] = what.split(" ");
  if (what === "touched") found.schemaTouched = true;
  else if (what === "path") found.searchPath = value === "unknown" ? [] : value.split(", ");
  else if (kind === "prepared")
    found.named.push({ kind: NamedStatement_Kind.KIND_PREPARED, name: name ?? "", text: value });
  else if (kind === "cursor")
    found.named.push({ kind: NamedStatement_Kind.KIND_CURSOR, name: name ?? "", text: value });
  else throw new Error(`${found.file}: ${line}`);
}

const yes = (value: boolean): string => (value ? "yes" : "no");
const LETTERS: Readonly<Record<number, string>> = {
  [Access.ACCESS_READ]: "r",
  [Access.ACCESS_WRITE]: "w",
  [Access.ACCESS_DEFINE]: "d",
};

function relation(fact: RelationFact): string {
  const name = fact.schema === "" ? fact.name : `${fact.schema}.${fact.name}`;
  const access = fact.access.map((a) => LETTERS[a] ?? "?").join("") || "-";
  const columns = fact.columns.join(",") || "-";
  return fact.kind === "table" ? `${name} ${access} ${columns}` : `${name} ${access} ${columns} ${fact.kind}`;
}

/** A verdict's facts, in the words of a case. */
export function described(facts: CommandFacts, key: string, text: string, verdict: Verdict): string {
  switch (key) {
    case "actions":
      return facts.actions.join(", ");
    case "verbs":
      return facts.verbs.join(", ");
    case "relations":
      return facts.relations.map(relation).toSorted().join("; ");
    case "functions":
      return facts.functions.join(", ");
    case "where":
      return yes(facts.hasWhere);
    case "opaque":
      return yes(facts.opaque);
    case "defines":
      return yes(facts.defines);
    case "session":
      return yes(facts.sessionEffect);
    case "code":
      return yes(facts.userCode);
    case "unknown":
      return yes(facts.opaque || facts.userCode || facts.relations.some((r) => r.kind === "unknown"));
    case "statements":
      return String(facts.statementCount);
    case "named":
      return facts.named.map((n) => `${n.name}: ${n.text}`).join("; ");
    case "normalized":
      return facts.normalized;
    case "copied":
      return facts.transferColumns.join(", ");
    case "erased":
      return (verdict.cache?.erasable ?? []).map((at) => literalAt(text, at)).join(" ");
    default:
      throw new Error(`no such expectation: ${key}`);
  }
}

/** Digits or a quoted string that begin at a byte. */
function literalAt(text: string, at: number): string {
  const rest = Buffer.from(text).subarray(at).toString();
  return /^(?:\d+|'(?:[^']|'')*')/.exec(rest)?.[0] ?? `?${at}`;
}

const REASONS: Readonly<Record<number, string>> = {
  [DenyReason.DENY_REASON_NOT_PERMITTED]: "not-permitted",
  [DenyReason.DENY_REASON_NOT_UNDERSTOOD]: "not-understood",
  [DenyReason.DENY_REASON_UNSAFE_SETTING]: "unsafe-setting",
  [DenyReason.DENY_REASON_EVALUATION_ERROR]: "evaluation-error",
  [DenyReason.DENY_REASON_UNKNOWN_SUBJECT]: "unknown-subject",
  [DenyReason.DENY_REASON_NOT_APPROVED]: "not-approved",
};

/** `forward`, `hold a, b`, `deny a`, `deny not-permitted`. */
export function outcome(verdict: Verdict): string {
  switch (verdict.outcome) {
    case Outcome.OUTCOME_FORWARD:
      return "forward";
    case Outcome.OUTCOME_HOLD:
      return `hold ${verdict.determining.join(", ")}`;
    default:
      return `deny ${REASONS[verdict.reason] ?? verdict.determining.join(", ")}`;
  }
}
