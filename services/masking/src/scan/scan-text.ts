import type { DetectorName, Find } from "../detect/find.ts";
import type { DetectorSet } from "./detector-set.ts";
import { foldText, originalRange } from "./folded-text.ts";
import { resolveFinds, type Stretch } from "./resolve-finds.ts";

/** What is looked for in a text, and what stands in its place. */
export interface ScanRules {
  find: DetectorSet;
  wanted: ReadonlySet<DetectorName>;
  /** Of those, what the reader may see; a card number that they may see is not hidden for looking like a phone number. */
  revealed: ReadonlySet<DetectorName>;
  /** What a stretch of the text becomes. */
  replace(stretch: Stretch, value: string): string;
}

/** One window of a long text; a value that is longer than the margin is still found when it begins before it. */
export const WINDOW = 128 * 1024;
const MARGIN = 8 * 1024;

/** The text with every find replaced; the same string when there is none. Takes a turn per window (`yield`). */
export function* scanText(text: string, rules: ScanRules): Generator<void, string> {
  if (text.length <= WINDOW) return replaceFinds(text, stretchesOf(text, rules), rules);
  let out = "";
  for (let from = 0; from < text.length;) {
    const stop = Math.min(text.length, wholePoint(text, from + WINDOW));
    const window = text.slice(from, stop);
    const stretches = stretchesOf(window, rules);
    if (stop === text.length) return out + replaceFinds(window, stretches, rules);
    const { cut, kept } = cutWindow(window, stretches);
    // one find fills the window: where it ends is not known, so the rest goes with it
    if (cut === 0) return out + unscanned(text.length - from);
    out += replaceFinds(window.slice(0, cut), kept, rules);
    from += cut;
    yield;
  }
  return out;
}

/** Stands for what was too much to look at. */
export const unscanned = (characters: number): string => `[redacted: ${characters} characters not scanned]`;

/** Where the next window begins: never inside a find, and before one that the window's end may have cut off. */
function cutWindow(window: string, stretches: Stretch[]): { cut: number; kept: Stretch[] } {
  let cut = wholePoint(window, window.length - MARGIN);
  for (const stretch of stretches) {
    if (stretch.start >= cut) break;
    if (stretch.end === window.length) {
      cut = stretch.start;
      break;
    }
    cut = Math.max(cut, stretch.end);
  }
  return { cut, kept: stretches.filter((stretch) => stretch.end <= cut) };
}

function wholePoint(text: string, index: number): number {
  const code = text.charCodeAt(index);
  return code >= 0xdc00 && code <= 0xdfff ? index - 1 : index;
}

function stretchesOf(text: string, rules: ScanRules): Stretch[] {
  const folded = foldText(text);
  const finds = rules.find(folded.text, rules.wanted);
  if (finds.length === 0) return [];
  const inOriginal = finds.map((find): Find => {
    const [start, end] = originalRange(folded, find.start, find.end);
    return { detector: find.detector, start, end };
  });
  return resolveFinds(hiddenFinds(inOriginal, rules.revealed));
}

const NUMBERS = new Set<DetectorName>(["payment-card", "iban"]);
const LOOK_ALIKES = new Set<DetectorName>(["phone", "national-id"]);

function hiddenFinds(finds: Find[], revealed: ReadonlySet<DetectorName>): Find[] {
  if (revealed.size === 0) return finds;
  const shown = finds.filter((find) => revealed.has(find.detector) && NUMBERS.has(find.detector));
  const ends = new Map<number, number>();
  for (const { start, end } of shown) for (let i = start; i < end; i++) ends.set(i, Math.max(end, ends.get(i) ?? 0));
  return finds.filter((find) => {
    if (revealed.has(find.detector)) return false;
    return !(LOOK_ALIKES.has(find.detector) && (ends.get(find.start) ?? -1) >= find.end);
  });
}

function replaceFinds(text: string, stretches: Stretch[], rules: ScanRules): string {
  if (stretches.length === 0) return text;
  let out = "";
  let from = 0;
  for (const stretch of stretches) {
    out += text.slice(from, stretch.start) + rules.replace(stretch, text.slice(stretch.start, stretch.end));
    from = stretch.end;
  }
  return out + text.slice(from);
}
