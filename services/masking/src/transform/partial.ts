import type { PartialTransform } from "@sallyport/proto/catalog_model";

/** Stands for a value that may not be shown and cannot be transformed (not UTF-8, not valid for its type, …). */
export const REDACTED = "[redacted]";

/**
 * `partial`: keeps the first and last code points of a value and puts `mask` (default `*`) for every other one.
 *
 * The semantics are byte-exact, because edges execute them too (README, vectors/partial.json):
 * - the unit is the Unicode code point;
 * - with `keep_separators`, a code point below U+0080 that is no ASCII letter or digit is a separator: it stays and does
 *   not count. Everything else counts; without `keep_separators` everything counts;
 * - a value that would keep more than half of what counts keeps nothing of it: short values are not given away;
 * - a value of separators alone is masked as if they counted: it is a value too.
 */
export function partialText(text: string, transform: PartialTransform): string {
  const { keepFirst, keepLast } = transform;
  const mask = transform.mask === "" ? "*" : transform.mask;
  const keepSeparators = transform.keepSeparators && countMaskable(text, true) > 0;
  const counted = countMaskable(text, keepSeparators);
  const shown = 2 * (keepFirst + keepLast) <= counted;
  const first = shown ? keepFirst : 0;
  const last = shown ? counted - keepLast : counted;
  let out = "";
  let index = 0;
  for (const point of text) {
    if (keepSeparators && isSeparator(point)) {
      out += point;
      continue;
    }
    out += index < first || index >= last ? point : mask;
    index++;
  }
  return out;
}

function countMaskable(text: string, keepSeparators: boolean): number {
  let counted = 0;
  for (const point of text) if (!(keepSeparators && isSeparator(point))) counted++;
  return counted;
}

function isSeparator(point: string): boolean {
  const code = point.charCodeAt(0);
  if (code >= 0x80) return false;
  const letter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
  return !letter && !(code >= 0x30 && code <= 0x39);
}
