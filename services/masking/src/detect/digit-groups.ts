import { isDigit } from "./find.ts";

/** A run of digits in a text. */
export interface DigitGroup {
  start: number;
  end: number;
}

/**
 * Digits as people group them: groups that are parted by at most `maxGap` separator characters form one sequence. What is
 * adjacent to a letter starts a sequence of its own.
 */
export function digitSequences(text: string, isGap: (code: number) => boolean, maxGap: number): DigitGroup[][] {
  const sequences: DigitGroup[][] = [];
  let current: DigitGroup[] = [];
  let gap = 0;
  for (let index = 0; index < text.length;) {
    const code = text.charCodeAt(index);
    if (isDigit(code)) {
      const start = index;
      while (index < text.length && isDigit(text.charCodeAt(index))) index++;
      current.push({ start, end: index });
      gap = 0;
      continue;
    }
    index++;
    if (current.length === 0) continue;
    gap++;
    if (isGap(code) && gap <= maxGap) continue;
    sequences.push(current);
    current = [];
    gap = 0;
  }
  if (current.length > 0) sequences.push(current);
  return sequences;
}

/** Luhn's check (ISO/IEC 7812-1 annex B). */
export function luhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 0x30;
    sum += i % 2 === 0 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit;
  }
  return sum % 10 === 0;
}
