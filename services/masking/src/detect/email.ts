import type { Find } from "./find.ts";
import { isAlphanumeric } from "./find.ts";

/**
 * E-mail addresses: RFC 5321 mailboxes as they are written in prose, with internationalised local parts and domains
 * (RFC 6531) and quoted local parts. Every `@` is one try: as far left as the local part goes, as far right as the domain.
 */
export function findEmails(text: string): Find[] {
  const finds: Find[] = [];
  let from = 0;
  for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", at + 1)) {
    const start = localStart(text, at, from);
    if (start === at) continue;
    const end = domainEnd(text, at + 1);
    if (end === 0) continue;
    finds.push({ detector: "email", start, end });
    from = end;
  }
  return finds;
}

const LOCAL_SPECIALS = new Set([..."!#$%&'*+-/=?^_`{|}~."].map((c) => c.charCodeAt(0)));
/** May stand in a local part, but at its beginning it is far more likely the text around the address. */
const NOT_FIRST = new Set([..."'/=?*.{|`&^"].map((c) => c.charCodeAt(0)));
const QUOTE = 0x22;
/** RFC 5321 section 4.5.3.1.1, and room for what real systems allow */
const QUOTED_LIMIT = 130;

function localStart(text: string, at: number, from: number): number {
  if (text.charCodeAt(at - 1) === QUOTE) {
    const earliest = Math.max(from, at - QUOTED_LIMIT);
    const open = text.slice(earliest, at - 1).lastIndexOf('"');
    return open === -1 ? at : earliest + open;
  }
  let start = at;
  while (start > from && isLocal(text.charCodeAt(start - 1))) start--;
  while (start < at && NOT_FIRST.has(text.charCodeAt(start))) start++;
  return start;
}

const isLocal = (code: number): boolean => isAlphanumeric(code) || code >= 0x80 || LOCAL_SPECIALS.has(code);

/** Index behind the domain, or 0 when what follows is none: labels of letters and digits, the last one not a number. */
function domainEnd(text: string, start: number): number {
  if (text[start] === "[") {
    const literal = /^\[(?:IPv6:)?[0-9a-fA-F.:]{2,40}\]/.exec(text.slice(start, start + 48));
    return literal ? start + literal[0].length : 0;
  }
  let end = start;
  while (end < text.length && end - start <= 255 && isDomain(text.charCodeAt(end))) end++;
  // empty labels end it, and what is no top-level domain is cut off (`ada@example.com.1`), not a reason to see no address
  const labels = text.slice(start, end).split(".");
  const empty = labels.indexOf("");
  if (empty !== -1) labels.length = empty;
  while (labels.length > 0 && !isTopLabel(labels.at(-1) ?? "")) labels.pop();
  if (labels.length < 2) return 0;
  end = start + labels.join(".").length;
  while (!isLabelEnd(text.charCodeAt(end - 1))) end--;
  return end;
}

const isDomain = (code: number): boolean =>
  isAlphanumeric(code) || code >= 0x80 || code === 0x2d || code === 0x2e || code === 0x5f;
const isLabelEnd = (code: number): boolean => isAlphanumeric(code) || code >= 0x80;
const isTopLabel = (label: string): boolean => label.length >= 2 && !/^[0-9-]/.test(label);
