import type { LexedText } from "@sallyport/edge";

/**
 * Erases literals of PostgreSQL texts, conservatively (section 4.1, "Lexical Structure"): plain integers, decimals and
 * '…' strings. Whatever might be read in two ways gives undefined: comments, dollar quotes, E'…', U&'…', backslashes,
 * control characters, numbers with a suffix. Then only the exact text is a key.
 *
 * A marker tells the kind, because a literal's type may choose the operator: an integer of 5 and one of 15 digits differ.
 */
const MARK_INT4 = "\u0001";
const MARK_INT8 = "\u0002";
const MARK_NUMERIC = "\u0003";
const MARK_STRING = "\u0004";

const MAX_LITERALS = 64;
const MAX_TEXT = 8 * 1024;

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
/** Letters, `_` and everything above ASCII: what an identifier begins with. */
const isLetter = (byte: number): boolean =>
  (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || byte >= 0x80;

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const DOLLAR = 0x24;
const MINUS = 0x2d;
const SLASH = 0x2f;
const STAR = 0x2a;

const latin1 = (text: Buffer, from: number, to: number): string => text.toString("latin1", from, to);

export function eraseLiterals(text: Buffer): LexedText | undefined {
  const end = text.length;
  if (end > MAX_TEXT) return undefined;
  let skeleton = "";
  let copied = 0;
  const offsets: number[] = [];
  const literals: string[] = [];
  let at = 0;
  while (at < end) {
    const byte = text[at] as number;
    if (isLetter(byte)) {
      at = afterIdentifier(text, at);
      // E'…', B'…', X'…', N'…', U&'…', U&"…": a prefix glued to a quote
      if (text[at] === QUOTE || (text[at] === 0x26 && (text[at + 1] === QUOTE || text[at + 1] === DOUBLE_QUOTE)))
        return undefined;
      continue;
    }
    if (isDigit(byte) || (byte === DOT && isDigit(text[at + 1] ?? 0))) {
      const after = afterNumber(text, at);
      if (after === undefined || offsets.length >= MAX_LITERALS) return undefined;
      const literal = latin1(text, at, after);
      skeleton += latin1(text, copied, at) + markOf(literal);
      offsets.push(at);
      literals.push(literal);
      copied = at = after;
      continue;
    }
    if (byte === QUOTE) {
      const after = afterString(text, at);
      if (after === undefined || offsets.length >= MAX_LITERALS) return undefined;
      skeleton += latin1(text, copied, at) + MARK_STRING;
      offsets.push(at);
      literals.push(latin1(text, at, after));
      copied = at = after;
      continue;
    }
    if (byte === DOUBLE_QUOTE) {
      const close = text.indexOf(DOUBLE_QUOTE, at + 1);
      if (close < 0) return undefined;
      at = close + 1;
      continue;
    }
    if (byte === DOLLAR) {
      // a parameter, `$1`; anything else could quote
      if (!isDigit(text[at + 1] ?? 0)) return undefined;
      at += 2;
      while (isDigit(text[at] ?? 0)) at += 1;
      if (isLetter(text[at] ?? 0) || text[at] === DOLLAR) return undefined;
      continue;
    }
    if (byte === MINUS && text[at + 1] === MINUS) return undefined;
    if (byte === SLASH && text[at + 1] === STAR) return undefined;
    if (
      byte === BACKSLASH ||
      (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d && byte !== 0x0c) ||
      byte === 0x7f
    ) {
      return undefined;
    }
    at += 1;
  }
  return { skeleton: skeleton + latin1(text, copied, end), offsets, literals };
}

function markOf(literal: string): string {
  if (literal.includes(".")) return MARK_NUMERIC;
  return literal.length <= 9 ? MARK_INT4 : MARK_INT8;
}

function afterIdentifier(text: Buffer, from: number): number {
  let at = from + 1;
  for (;;) {
    const byte = text[at] ?? 0;
    if (!isLetter(byte) && !isDigit(byte) && byte !== DOLLAR) return at;
    at += 1;
  }
}

/** `123`, `1.5`, `.5`; undefined for every other form (exponents, `1_000`, `0x1f`, `1.`, `1..2`, `12abc`). */
function afterNumber(text: Buffer, from: number): number | undefined {
  let at = from;
  while (isDigit(text[at] ?? 0)) at += 1;
  let digits = at - from;
  if (text[at] === DOT) {
    const point = at;
    at += 1;
    while (isDigit(text[at] ?? 0)) at += 1;
    if (at === point + 1) return undefined;
    digits = at - from;
  }
  const next = text[at] ?? 0;
  return digits > 18 || isLetter(next) || next === DOT || next === DOLLAR ? undefined : at;
}

/** `'…'` with doubled quotes. A string that goes on behind white space (`'a'\n'b'`) is not one literal: undefined. */
function afterString(text: Buffer, from: number): number | undefined {
  let at = from + 1;
  for (;;) {
    const byte = text[at];
    if (byte === undefined || byte === BACKSLASH || byte === 0) return undefined;
    at += 1;
    if (byte !== QUOTE) continue;
    if (text[at] !== QUOTE) break;
    at += 1;
  }
  let next = at;
  while (next < text.length && (text[next] as number) <= 0x20) next += 1;
  return text[next] === QUOTE ? undefined : at;
}
