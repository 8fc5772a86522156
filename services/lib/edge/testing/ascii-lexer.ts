/** A lexer for tests: words, blanks, and literals of digits or in quotes. The real ones belong to their protocols. */
import type { LexedText } from "../src/unit.ts";

export function asciiLexer(text: Buffer): LexedText | undefined {
  const offsets: number[] = [];
  const literals: string[] = [];
  let skeleton = "";
  const source = text.toString("latin1");
  const pattern = /'[^'\\]*'|(?<![\w.])\d{1,9}(?![\w.])|[\w .,=*<>()]/gy;
  let match: RegExpExecArray | null;
  let at = 0;
  while (at < source.length) {
    pattern.lastIndex = at;
    match = pattern.exec(source);
    if (match === null) return undefined;
    const piece = match[0];
    if (piece.startsWith("'") || /^\d/.test(piece)) {
      offsets.push(at);
      literals.push(piece);
      skeleton += piece.startsWith("'") ? "\u0001s" : "\u0001n";
    } else skeleton += piece;
    at += piece.length;
  }
  return { skeleton, offsets, literals };
}
