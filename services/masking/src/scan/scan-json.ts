import { scanText, WINDOW, type ScanRules } from "./scan-text.ts";

/** RFC 8259's tokens, as far as they can hold a value; everything else is copied. */
const STRING_END = /["\\]/g;
const NUMBER_CHARS = new Set([..."0123456789+-.eE"].map((c) => c.charCodeAt(0)));
const QUOTE = 0x22;

/**
 * JSON with the finds in its strings, keys and numbers replaced; what is replaced becomes a string, so that the result is
 * JSON still. Nothing is parsed into numbers: PostgreSQL's precision and order survive. Undefined: not JSON.
 */
export function* scanJson(json: string, rules: ScanRules): Generator<void, string | undefined> {
  let out = "";
  let copied = 0;
  let turn = WINDOW;
  for (let index = 0; index < json.length;) {
    const end = tokenEnd(json, index);
    if (end === -1) return undefined;
    if (end > index) {
      const token = json.slice(index, end);
      const masked = yield* scanToken(token, rules);
      if (masked === undefined) return undefined;
      if (masked !== token) {
        out += json.slice(copied, index) + masked;
        copied = end;
      }
      index = end;
    } else index++;
    if (index > turn) {
      turn = index + WINDOW;
      yield;
    }
  }
  return out + json.slice(copied);
}

/** Index behind the string or number that begins here; `index` when none begins; -1 for a string without end. */
function tokenEnd(json: string, index: number): number {
  const code = json.charCodeAt(index);
  if (code === QUOTE) {
    for (let at = index + 1; ;) {
      STRING_END.lastIndex = at;
      const match = STRING_END.exec(json);
      if (!match) return -1;
      if (match[0] === '"') return match.index + 1;
      at = match.index + 2;
    }
  }
  let end = index;
  while (end < json.length && NUMBER_CHARS.has(json.charCodeAt(end))) end++;
  return end;
}

function* scanToken(token: string, rules: ScanRules): Generator<void, string | undefined> {
  if (token.charCodeAt(0) !== QUOTE) {
    const masked = yield* scanText(token, rules);
    return masked === token ? token : JSON.stringify(masked);
  }
  let text: unknown;
  try {
    text = JSON.parse(token);
  } catch {
    return undefined;
  }
  if (typeof text !== "string") return undefined;
  const masked = yield* scanText(text, rules);
  return masked === text ? token : JSON.stringify(masked);
}
