/** The detectors, by the name that `scan` and the classes of data call them. */
export const DETECTORS = [
  "private-key",
  "access-key",
  "payment-card",
  "iban",
  "national-id",
  "email",
  "phone",
] as const;
export type DetectorName = (typeof DETECTORS)[number];

/** A value found in a text: characters from `start` up to `end`. */
export interface Find {
  detector: DetectorName;
  start: number;
  end: number;
}

/**
 * Looks for one kind of value in folded text. Time is linear in the text for every input: patterns are bounded, and what
 * was looked at once is skipped.
 */
export type Detector = (text: string) => Find[];

export const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
export const isLetter = (code: number): boolean => (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
export const isAlphanumeric = (code: number): boolean => isDigit(code) || isLetter(code);
