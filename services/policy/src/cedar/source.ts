/**
 * A policy file, cut into its policies, with the position of each annotation: Cedar's own parser tells neither. Only as
 * much of Cedar's lexical syntax as that needs: strings, comments, brackets, `;`. What a policy means, Cedar says.
 * https://docs.cedarpolicy.com/policies/syntax-grammar.html
 */

export interface SourceAnnotation {
  name: string;
  /** byte offset in the file */
  at: number;
}

export interface SourcePolicy {
  text: string;
  /** byte offset of `text` in the file */
  at: number;
  annotations: SourceAnnotation[];
}

const SPACE = new Set([" ", "\t", "\r", "\n"]);
const isWord = (c: string): boolean =>
  (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || (c >= "0" && c <= "9") || c === "_";

export function splitPolicies(file: string): SourcePolicy[] {
  const policies: SourcePolicy[] = [];
  const offsets = byteOffsets(file);
  const offset = (index: number): number => offsets(index);
  let start: number | undefined;
  let annotations: SourceAnnotation[] = [];
  let depth = 0;
  let i = 0;
  const finish = (end: number): void => {
    if (start !== undefined) policies.push({ text: file.slice(start, end), at: offset(start), annotations });
    start = undefined;
    annotations = [];
    depth = 0;
  };
  while (i < file.length) {
    const c = file[i] as string;
    if (SPACE.has(c)) {
      i++;
      continue;
    }
    if (c === "/" && file[i + 1] === "/") {
      const newline = file.indexOf("\n", i);
      i = newline < 0 ? file.length : newline + 1;
      continue;
    }
    start ??= i;
    if (c === '"') {
      i = endOfString(file, i);
      continue;
    }
    if (c === "@" && depth === 0) {
      let end = i + 1;
      while (end < file.length && isWord(file[end] as string)) end++;
      annotations.push({ name: file.slice(i + 1, end), at: offset(i) });
      i = Math.max(end, i + 1);
      continue;
    }
    if (c === "(" || c === "{" || c === "[") depth++;
    else if (c === ")" || c === "}" || c === "]") depth--;
    i++;
    if (c === ";" && depth <= 0) finish(i);
  }
  finish(file.length);
  return policies;
}

function endOfString(file: string, start: number): number {
  let i = start + 1;
  while (i < file.length && file[i] !== '"') i += file[i] === "\\" ? 2 : 1;
  return i + 1;
}

/** UTF-16 index → UTF-8 offset, for indexes that only grow. */
function byteOffsets(text: string): (index: number) => number {
  let lastIndex = 0;
  let lastOffset = 0;
  return (index) => {
    if (index < lastIndex) {
      lastIndex = 0;
      lastOffset = 0;
    }
    lastOffset += Buffer.byteLength(text.slice(lastIndex, index));
    lastIndex = index;
    return lastOffset;
  };
}
