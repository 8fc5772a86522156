/**
 * Which literals of a text a cache may erase: those whose value cannot change a verdict, and whose extent a simple lexer
 * finds. They are compared with something in a WHERE, and they are written as digits or as a plain quoted string.
 *
 * Why that is sound. Nothing in the analysis looks at the value of such a constant (`effective-where.ts` does not), and a
 * set that looks at the text gets no such scope. An edge that erases a literal only where it begins at one of these
 * offsets in a text whose other bytes are the same reads the same tokens: the byte after the literal is the same, so it
 * ends a number or a string in both, or in neither.
 */

import type { ScanToken } from "libpg-query";
import type { Json, JsonObject } from "./parser.ts";
import { tokenKinds } from "./parser.ts";
import { isObject, strings, unwrap } from "./tree.ts";

const COMPARES = new Set(["=", "<>", "!=", "<", ">", "<=", ">="]);
const KINDS = new Set(["AEXPR_OP", "AEXPR_IN", "AEXPR_LIKE", "AEXPR_ILIKE", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN"]);
/** ~~ and !~~ are LIKE and NOT LIKE */
const LIKES = new Set(["~~", "!~~", "~~*", "!~~*"]);

function constantAt(value: Json | undefined): number | undefined {
  const inner = unwrap(value);
  if (inner?.type !== "A_Const") return undefined;
  const location = inner.node["location"];
  // protobuf leaves out 0; a comparison never begins a text
  return typeof location === "number" ? location : undefined;
}

/** Adds the byte offsets of the constants that an A_Expr of a WHERE compares directly with something else. */
export function comparedConstants(node: JsonObject, found: number[]): void {
  const kind = node["kind"];
  if (typeof kind !== "string" || !KINDS.has(kind)) return;
  const words = strings(node["name"]);
  const name = words[words.length - 1] ?? "";
  if (words.length !== 1) return;
  if (kind === "AEXPR_OP" && !COMPARES.has(name)) return;
  if ((kind === "AEXPR_LIKE" || kind === "AEXPR_ILIKE") && !LIKES.has(name)) return;
  const left = constantAt(node["lexpr"]);
  const right = node["rexpr"];
  if (kind === "AEXPR_IN" || kind === "AEXPR_BETWEEN" || kind === "AEXPR_NOT_BETWEEN") {
    if (left !== undefined) return;
    const list = unwrap(right);
    const items = list?.type === "List" ? list.node["items"] : undefined;
    for (const item of Array.isArray(items) ? items : []) {
      const at = constantAt(item);
      if (at !== undefined) found.push(at);
    }
    return;
  }
  const at = constantAt(right);
  // `1 = 1` restricts nothing whatever its numbers are; leave it exact.
  if (left !== undefined && at !== undefined) return;
  if (isObject(node["lexpr"]) && isObject(right)) {
    if (at !== undefined) found.push(at);
    if (left !== undefined) found.push(left);
  }
}

const isDigits = (token: string): boolean => {
  for (let i = 0; i < token.length; i++) {
    const c = token.charCodeAt(i);
    if (c < 48 || c > 57) return false;
  }
  return token.length > 0 && token.length <= 18;
};

/** `'…'` in one piece: no prefix, no escape syntax, no continuation on a next line. */
function isPlainString(token: string): boolean {
  if (token.length < 2 || token[0] !== "'" || token[token.length - 1] !== "'") return false;
  for (let i = 1; i < token.length - 1; i++) {
    if (token[i] !== "'") continue;
    if (token[i + 1] !== "'" || i + 1 >= token.length - 1) return false;
    i++;
  }
  return true;
}

/** Of the compared constants, those that are erasable. Offsets in bytes, ascending. */
export function erasable(tokens: readonly ScanToken[], compared: readonly number[]): number[] {
  if (compared.length === 0) return [];
  const wanted = new Set(compared);
  const { numbers, string } = tokenKinds();
  const found: number[] = [];
  for (const token of tokens) {
    if (!wanted.has(token.start)) continue;
    const plain =
      (numbers.has(token.tokenType) && isDigits(token.text)) ||
      (token.tokenType === string && isPlainString(token.text));
    if (plain) found.push(token.start);
  }
  return found;
}
