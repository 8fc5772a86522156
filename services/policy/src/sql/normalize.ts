/**
 * The text with every constant replaced by `$n` and comments left out. From the server's own scanner, token by token, so
 * that no value is left in it: it is shown to people who may not see the text.
 */

import type { ScanToken } from "libpg-query";
import { tokenKinds } from "./parser.ts";

const MAX_LENGTH = 16_384;

export function normalize(tokens: readonly ScanToken[]): string {
  const { constants, comments, param } = tokenKinds();
  let highest = 0;
  for (const token of tokens) {
    if (token.tokenType === param) highest = Math.max(highest, Number(token.text.slice(1)) || 0);
  }
  let out = "";
  let end = 0;
  for (const token of tokens) {
    if (comments.has(token.tokenType)) continue;
    const shown = constants.has(token.tokenType) ? `$${++highest}` : token.text;
    const apart = out.length > 0 && token.start > end;
    out += apart ? ` ${shown}` : shown;
    end = token.end;
    if (out.length > MAX_LENGTH) return `${out.slice(0, MAX_LENGTH)}…`;
  }
  return out;
}
