import { digitSequences, luhn, type DigitGroup } from "./digit-groups.ts";
import type { Find } from "./find.ts";

const SHORTEST = 12;
const LONGEST = 19;
const MAX_GAP = 3;
// space, tab, line breaks, - . / _ and the ' of Swiss grouping
const GAPS = new Set([0x20, 0x09, 0x0a, 0x0d, 0x2d, 0x2e, 0x2f, 0x5f, 0x27, 0x2a, 0x2c, 0x7c]);

/**
 * Payment card numbers: an issuer's prefix, a length that the issuer uses, Luhn's check. Digits may be grouped in any way;
 * a number begins and ends where a group does, so that the middle of a long number is not taken for a card.
 */
export function findPaymentCards(text: string): Find[] {
  const finds: Find[] = [];
  for (const groups of digitSequences(text, (code) => GAPS.has(code), MAX_GAP)) {
    let first = 0;
    while (first < groups.length) {
      const last = cardFrom(text, groups, first);
      if (last === -1) first++;
      else {
        finds.push({ detector: "payment-card", start: groups[first]!.start, end: groups[last]!.end });
        first = last + 1;
      }
    }
  }
  return finds;
}

/** Index of the last group of the longest card number that begins with group `first`, or -1. At most 19 groups are seen. */
function cardFrom(text: string, groups: DigitGroup[], first: number): number {
  let digits = "";
  let found = -1;
  for (let last = first; last < groups.length; last++) {
    const group = groups[last]!;
    if (digits.length + group.end - group.start > LONGEST) break;
    digits += text.slice(group.start, group.end);
    if (digits.length >= SHORTEST && isPaymentCard(digits)) found = last;
  }
  return found;
}

/** Issuer, lowest and highest prefix, lengths (ISO/IEC 7812-1; the issuers' published ranges). */
const ISSUERS: readonly [issuer: string, low: number, high: number, lengths: readonly number[]][] = [
  ["visa", 4, 4, [13, 16, 18, 19]],
  ["mastercard", 51, 55, [16]],
  ["mastercard", 2221, 2720, [16]],
  ["american express", 34, 34, [15]],
  ["american express", 37, 37, [15]],
  ["discover", 6011, 6011, [16, 19]],
  ["discover", 644, 659, [16, 19]],
  ["diners", 300, 305, [14, 16, 19]],
  ["diners", 309, 309, [14, 16, 19]],
  ["diners", 36, 36, [14, 16, 19]],
  ["diners", 38, 39, [14, 16, 19]],
  ["jcb", 3528, 3589, [16, 19]],
  ["unionpay", 62, 62, [16, 17, 18, 19]],
  ["unionpay", 8100, 8171, [16, 19]],
  ["mir", 2200, 2204, [16, 17, 18, 19]],
  ["maestro", 5018, 5018, [12, 13, 14, 15, 16, 17, 18, 19]],
  ["maestro", 5020, 5020, [12, 13, 14, 15, 16, 17, 18, 19]],
  ["maestro", 5038, 5038, [12, 13, 14, 15, 16, 17, 18, 19]],
  ["maestro", 5893, 5893, [12, 13, 14, 15, 16, 17, 18, 19]],
  ["maestro", 6304, 6304, [12, 13, 14, 15, 16, 17, 18, 19]],
  ["maestro", 6759, 6763, [12, 13, 14, 15, 16, 17, 18, 19]],
  ["rupay", 60, 60, [16]],
  ["rupay", 81, 82, [16]],
  ["rupay", 508, 508, [16]],
  ["verve", 5060, 5061, [16, 18, 19]],
  ["troy", 9792, 9792, [16]],
];

export function isPaymentCard(digits: string): boolean {
  if (!luhn(digits)) return false;
  return ISSUERS.some(([, low, high, lengths]) => {
    if (!lengths.includes(digits.length)) return false;
    const prefix = Number(digits.slice(0, String(low).length));
    return prefix >= low && prefix <= high;
  });
}
