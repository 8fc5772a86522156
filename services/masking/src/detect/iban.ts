import { countrySpecs, isValidIBAN } from "ibantools";
import type { Find } from "./find.ts";
import { isAlphanumeric, isDigit, isLetter } from "./find.ts";

const MAX_GAP = 2;
const isGap = (code: number): boolean =>
  code === 0x20 || code === 0x2d || code === 0x2e || code === 0x09 || code === 0x0a;

/** Length by country code (ISO 13616 registry). */
const LENGTHS = new Map(
  Object.entries(countrySpecs).flatMap(([country, spec]) =>
    spec.IBANRegistry && spec.chars !== null ? [[country, spec.chars] as const] : [],
  ),
);

/** International bank account numbers: country, its length, and the check of ISO 7064 (mod 97-10). */
export function findIbans(text: string): Find[] {
  const finds: Find[] = [];
  for (let index = 0; index + 15 <= text.length;) {
    const end = ibanEnd(text, index);
    if (end === 0) {
      index++;
      continue;
    }
    finds.push({ detector: "iban", start: index, end });
    index = end;
  }
  return finds;
}

/** Index behind the IBAN that begins here, or 0. Looks at no more than 34 characters and their gaps. */
function ibanEnd(text: string, start: number): number {
  if (!isLetter(text.charCodeAt(start)) || !isLetter(text.charCodeAt(start + 1))) return 0;
  if (start > 0 && isAlphanumeric(text.charCodeAt(start - 1))) return 0;
  const length = LENGTHS.get(text.slice(start, start + 2).toUpperCase());
  if (length === undefined) return 0;
  let compact = "";
  let gap = 0;
  let index = start;
  for (; index < text.length && compact.length < length; index++) {
    const code = text.charCodeAt(index);
    if (isAlphanumeric(code)) {
      if (compact.length >= 2 && compact.length < 4 && !isDigit(code)) return 0;
      compact += text[index];
      gap = 0;
    } else if (!isGap(code) || ++gap > MAX_GAP) return 0;
  }
  if (compact.length < length || isAlphanumeric(text.charCodeAt(index))) return 0;
  return isValidIBAN(compact.toUpperCase()) ? index : 0;
}
