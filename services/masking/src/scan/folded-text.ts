/**
 * The text that detectors look at: every character that people use instead of an ASCII digit, letter, dash, dot or space
 * is folded to it, and characters that are not seen (zero-width, soft hyphen, combining marks) are left out. So a card
 * number with no-break spaces, full-width digits or zero-width joiners is found like any other.
 *
 * `at[i]` is the index in `original` of the folded character i, `end[i]` the index behind it. For ASCII both are absent:
 * the folded text is the original.
 */
export interface FoldedText {
  original: string;
  text: string;
  at?: Uint32Array;
  end?: Uint32Array;
}

// oxlint-disable-next-line no-control-regex -- the class of ASCII itself
const NON_ASCII = /[^\u0000-\u007f]/;

export function foldText(original: string): FoldedText {
  if (!NON_ASCII.test(original)) return { original, text: original };
  // NFKC expands one code point to at most 18 characters (U+FDFA); such are cut to what a separator needs
  const at: number[] = [];
  const end: number[] = [];
  let text = "";
  for (let index = 0; index < original.length;) {
    const code = original.codePointAt(index) ?? 0;
    const width = code > 0xffff ? 2 : 1;
    const folded = code < 0x80 ? String.fromCharCode(code) : foldPoint(code);
    for (let i = 0; i < folded.length; i++) {
      at.push(index);
      end.push(index + width);
    }
    text += folded;
    index += width;
    // what is not seen belongs to the character before it
    if (folded.length === 0 && end.length > 0) end[end.length - 1] = index;
  }
  return { original, text, at: Uint32Array.from(at), end: Uint32Array.from(end) };
}

/** A range of the folded text as a range of the original. */
export function originalRange(folded: FoldedText, start: number, stop: number): [start: number, stop: number] {
  if (!folded.at || !folded.end) return [start, stop];
  return [folded.at[start] ?? folded.original.length, folded.end[stop - 1] ?? folded.original.length];
}

const INVISIBLE = /^[\p{Cf}\p{M}]$/u;
const SPACE = /^\p{Zs}$/u;
const DASH = /^[\p{Pd}\u2212\u2043]$/u;
const DOT = /^[\u00b7\u2022\u2024\u2027\u2219\u22c5\u3002\uff61\u30fb]$/u;
const cache = new Map<number, string>();
const CACHE_LIMIT = 8192;

function foldPoint(code: number): string {
  const known = cache.get(code);
  if (known !== undefined) return known;
  const folded = computeFold(String.fromCodePoint(code), code);
  if (cache.size < CACHE_LIMIT) cache.set(code, folded);
  return folded;
}

function computeFold(point: string, code: number): string {
  if (INVISIBLE.test(point)) return "";
  if (SPACE.test(point)) return " ";
  if (DASH.test(point)) return "-";
  if (DOT.test(point)) return ".";
  const digit = decimalDigits().get(code);
  if (digit !== undefined) return digit;
  const compatible = point.normalize("NFKC");
  // only what becomes ASCII matters to a detector; other letters stay one character for one
  return /^[\u0021-\u007e]{1,4}$/.test(compatible) ? compatible : point;
}

let digits: Map<number, string> | undefined;

/** Every decimal digit of Unicode (Nd). Their blocks are runs of ten, zero first (Unicode 16, section 4.6). */
function decimalDigits(): Map<number, string> {
  if (digits) return digits;
  digits = new Map();
  let run = 0;
  for (let code = 0x80; code <= 0x1ffff; code++) {
    if (/^\p{Nd}$/u.test(String.fromCodePoint(code))) digits.set(code, String(run++ % 10));
    else run = 0;
  }
  return digits;
}
