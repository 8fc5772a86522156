/**
 * From a text to its outline, in this thread. `budget` bounds what may be tried here: a text with more tokens nests
 * deeper than this thread's stack may bear, and belongs into a worker.
 */

import type { ScanToken } from "libpg-query";
import { BeyondLimits, LIMITS } from "./collector.ts";
import type { Collector } from "./collector.ts";
import { compact } from "./compact.ts";
import { erasable } from "./literals.ts";
import { normalize } from "./normalize.ts";
import type { Outline, Understanding } from "./outline.ts";
import type { RawStatement } from "./parser.ts";
import { fingerprint, parse, scan } from "./parser.ts";
import { unwrap } from "./tree.ts";
import { walk } from "./walk.ts";

export type Attempt = Understanding | "too-large" | "exhausted";

/** Tokens above which a tree is kept without its constants. */
const LARGE_TREE = 500;
/** The same for its long ones, in characters. */
const LARGE_TEXT = 8_192;
const ERASING = new Set(["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"]);

export function understand(text: string, maxTokens: number): Attempt {
  if (text.includes("\0")) return { refused: "it holds a zero byte" };
  if (!text.isWellFormed()) return { refused: "it is not valid Unicode" };
  const scanned = text.trim() === "" ? { kind: "scanned" as const, tokens: [] } : scan(text);
  if (scanned.kind === "exhausted") return "exhausted";
  // Never the parser's own words: they quote the text, and a verdict's message is public.
  if (scanned.kind === "syntax") return { refused: "it does not parse: a quote or a comment is not closed" };
  if (scanned.tokens.length > maxTokens) return "too-large";
  // Nothing but white space and comments: nothing runs.
  const parsed = scanned.tokens.length === 0 ? { kind: "parsed" as const, statements: [] } : parse(text);
  if (parsed.kind === "exhausted") return "exhausted";
  if (parsed.kind === "syntax") return { refused: `it does not parse (at character ${parsed.position + 1})` };
  if (parsed.statements.length > LIMITS.statements) return { refused: "it has too many statements" };
  try {
    const collected = walk(parsed.statements);
    addNamed(text, parsed.statements, scanned.tokens, collected);
    return outline(text, parsed.statements, scanned.tokens, collected);
  } catch (error) {
    if (error instanceof BeyondLimits) return { refused: error.message };
    throw error;
  }
}

function outline(text: string, statements: RawStatement[], tokens: ScanToken[], collected: Collector): Outline {
  const root = statements.length === 1 ? unwrap(statements[0]?.stmt)?.type : undefined;
  return {
    statementCount: statements.length,
    verbs: [...collected.verbs],
    ...collected.draft,
    settings: [...collected.settings],
    normalized: normalize(tokens),
    fingerprint: statements.length === 0 ? "" : fingerprint(text),
    erasable: root !== undefined && ERASING.has(root) ? erasable(tokens, collected.compared) : [],
    tree: tokens.length > LARGE_TREE || text.length > LARGE_TEXT ? compact(statements) : statements,
  };
}

/**
 * The inner text of `PREPARE name [(types)] AS …` and `DECLARE name … CURSOR … FOR …`: what follows the first AS or FOR
 * outside of parentheses, up to the statement's end. The tree has no position for it.
 */
function addNamed(text: string, statements: RawStatement[], tokens: ScanToken[], out: Collector): void {
  const bytes = Buffer.from(text, "utf8");
  for (const [statement, raw] of statements.entries()) {
    const root = unwrap(raw.stmt);
    if (root?.type !== "PrepareStmt" && root?.type !== "DeclareCursorStmt") continue;
    const end = raw.length === 0 ? bytes.length : raw.start + raw.length;
    const word = root.type === "PrepareStmt" ? "as" : "for";
    const begins = afterWord(tokens, raw.start, end, word);
    const name = root.node[root.type === "PrepareStmt" ? "name" : "portalname"];
    const inner = begins === undefined ? "" : bytes.subarray(begins, end).toString("utf8").trim();
    const place = { statement, mode: "run" as const, transfer: false, locks: false, field: "stmt" };
    out.named(root.type === "PrepareStmt" ? "prepared" : "cursor", typeof name === "string" ? name : "", inner, place);
  }
}

function afterWord(tokens: ScanToken[], start: number, end: number, word: string): number | undefined {
  let open = 0;
  for (const token of tokens) {
    if (token.start < start) continue;
    if (token.start >= end) return undefined;
    if (token.text === "(") open++;
    else if (token.text === ")") open--;
    else if (open === 0 && token.text.toLowerCase() === word) return token.end;
  }
  return undefined;
}
