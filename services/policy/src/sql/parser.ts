/**
 * PostgreSQL's own parser, and nothing else that reads SQL. Synchronous; `loadParser` first.
 * Positions are byte offsets in the UTF-8 text.
 */

import { createRequire } from "node:module";
import { fingerprintSync, hasSqlDetails, loadModule, parseSync, scanSync } from "libpg-query";
import type { ScanToken } from "libpg-query";

/** A node of the syntax tree as JSON: `{ SelectStmt: {…} }`, or without its name where the field's type is fixed. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface RawStatement {
  stmt: JsonObject;
  /** bytes; the server leaves out 0 */
  start: number;
  /** bytes; 0: to the end of the text */
  length: number;
}

export type Parsed =
  | { kind: "parsed"; statements: RawStatement[] }
  | { kind: "syntax"; message: string; position: number }
  /** the parser ran out of stack: it is not to be used again in this thread */
  | { kind: "exhausted" };

const VERSION = (createRequire(import.meta.url)("libpg-query/package.json") as { version: string }).version;
export const PARSER = `libpg-query ${VERSION}`;

/** Kinds of tokens that carry a value, by the scanner's own numbers, which differ between versions of PostgreSQL. */
interface TokenKinds {
  /** numbers; those above 2^31 - 1 are of the other kind */
  numbers: ReadonlySet<number>;
  string: number;
  param: number;
  constants: ReadonlySet<number>;
  comments: ReadonlySet<number>;
}

let kinds: TokenKinds | undefined;

/** Loads the WebAssembly module, and learns the scanner's token numbers from a text that has one of each. */
export async function loadParser(): Promise<void> {
  await loadModule();
  const probe = scanSync("1 1.5 'a' U&'a' b'1' x'1' $1 -- c\n /* c */ E'a' $$a$$ N'a'").tokens.map((t) => t.tokenType);
  const [integer, float, string, unicode, bits, hex, param, line, block, ...more] = probe;
  if (integer === undefined || float === undefined || string === undefined || param === undefined)
    throw new Error("the scanner is not as expected");
  const constants = [integer, float, string, unicode, bits, hex, ...more].filter((n): n is number => n !== undefined);
  const comments = [line, block].filter((n): n is number => n !== undefined);
  kinds = {
    numbers: new Set([integer, float]),
    string,
    param,
    constants: new Set(constants),
    comments: new Set(comments),
  };
}

export function tokenKinds(): TokenKinds {
  if (kinds === undefined) throw new Error("loadParser() has not been called");
  return kinds;
}

const EXHAUSTED = new Set(["RangeError", "RuntimeError"]);
const isExhausted = (error: unknown): boolean => error instanceof Error && EXHAUSTED.has(error.name);

export type Scanned =
  | { kind: "scanned"; tokens: ScanToken[] }
  | { kind: "syntax"; message: string }
  | { kind: "exhausted" };

export function scan(text: string): Scanned {
  try {
    return { kind: "scanned", tokens: scanSync(text).tokens };
  } catch (error) {
    if (isExhausted(error)) return { kind: "exhausted" };
    return { kind: "syntax", message: error instanceof Error ? error.message : "it cannot be read" };
  }
}

export function parse(text: string): Parsed {
  try {
    const result = parseSync(text) as unknown as {
      stmts?: { stmt?: JsonObject; stmt_location?: number; stmt_len?: number }[];
    };
    const statements = (result.stmts ?? []).map((s) => ({
      stmt: s.stmt ?? {},
      start: s.stmt_location ?? 0,
      length: s.stmt_len ?? 0,
    }));
    return { kind: "parsed", statements };
  } catch (error) {
    if (isExhausted(error)) return { kind: "exhausted" };
    const position = hasSqlDetails(error) ? (error.sqlDetails?.cursorPosition ?? 0) : 0;
    return { kind: "syntax", message: error instanceof Error ? error.message : "it does not parse", position };
  }
}

/** Groups statements that differ in nothing but constants, and some that differ in more: never a key for a decision. */
export function fingerprint(text: string): string {
  try {
    return fingerprintSync(text);
  } catch {
    return "";
  }
}
