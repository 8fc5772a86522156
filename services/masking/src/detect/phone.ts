import type { CountryCode } from "libphonenumber-js/core";
import type { Detector, Find } from "./find.ts";
import { isAlphanumeric, isDigit, isLetter } from "./find.ts";
import { isInternational, isNational, isPossible, phonePlan, type PhonePlan } from "./phone-plan.ts";

const FEWEST = 7;
/** E.164 */
const MOST = 15;
const MAX_GAP = 3;
const PLUS = 0x2b;
const OPEN = 0x28;
const GAPS = new Set([..." -./()\t"].map((c) => c.charCodeAt(0)));
/** What a number may be announced with; then its form matters less. */
const ANNOUNCEMENTS = new Set(
  "tel telefon telefono telephone phone ph mobile mobil cell call fax sms whatsapp natel handy".split(" "),
);
/** May stand between the announcement and the number. */
const ANNOUNCED_WITH = new Set([..." \t\n.:#=-"].map((c) => c.charCodeAt(0)));
const LONGEST_ANNOUNCEMENT = 10;
/** Validations for one text; beyond them whatever looks like a number is taken for one. */
const TRIES = 2_000;

interface Group {
  start: number;
  end: number;
}

/**
 * Phone numbers (E.164, and the national numbers of `regions`), validated with libphonenumber. To leave ids, dates and
 * amounts alone, a national number has to be written as one: with its trunk prefix, in the groups of its numbering plan,
 * or announced (`Tel. …`).
 */
export function phoneDetector(regions: readonly CountryCode[]): Detector {
  const plans = regions.map(phonePlan);
  return (text) => {
    const finds: Find[] = [];
    const tries = { left: TRIES };
    for (const run of phoneRuns(text)) {
      for (let first = 0; first < run.length;) {
        const last = numberFrom(text, run, first, plans, tries);
        if (last === -1) first++;
        else {
          finds.push({ detector: "phone", start: startOf(text, run[first]!), end: run[last]!.end });
          first = last + 1;
        }
      }
    }
    return finds;
  };
}

/** Sequences of digit groups that could hold a number: seven digits or more, nothing but separators between. */
function* phoneRuns(text: string): Generator<Group[]> {
  let run: Group[] = [];
  let digits = 0;
  let gap = 0;
  for (let index = 0; index <= text.length;) {
    const code = text.charCodeAt(index);
    if (isDigit(code)) {
      const start = index;
      while (isDigit(text.charCodeAt(index))) index++;
      run.push({ start, end: index });
      digits += index - start;
      gap = 0;
      continue;
    }
    index++;
    if (run.length === 0) continue;
    gap++;
    // a plus sign begins a number of its own
    if (GAPS.has(code) && gap <= MAX_GAP) continue;
    if (digits >= FEWEST) yield run;
    run = [];
    digits = 0;
    gap = 0;
  }
}

function startOf(text: string, group: Group): number {
  let start = group.start;
  if (text.charCodeAt(start - 1) === OPEN) start--;
  return text.charCodeAt(start - 1) === PLUS ? start - 1 : start;
}

/** Index of the last group of the longest number that begins with group `first`, or -1. */
function numberFrom(text: string, run: Group[], first: number, plans: PhonePlan[], tries: { left: number }): number {
  const head = beginning(text, run[first]!);
  if (head === "inside") return -1;
  let last = first;
  let length = run[first]!.end - run[first]!.start;
  while (last + 1 < run.length && length + run[last + 1]!.end - run[last + 1]!.start <= MOST + 2) {
    last++;
    length += run[last]!.end - run[last]!.start;
  }
  for (; last >= first; last--) {
    const groups = run.slice(first, last + 1);
    length = groups.reduce((sum, group) => sum + group.end - group.start, 0);
    if (length < FEWEST) return -1;
    if (length > MOST + 2 || isLetter(text.charCodeAt(run[last]!.end))) continue;
    if (isNumber(text, groups, head, plans, tries)) return last;
  }
  return -1;
}

function isAnnounced(text: string, start: number): boolean {
  let end = start;
  while (start - end < 4 && ANNOUNCED_WITH.has(text.charCodeAt(end - 1))) end--;
  let word = end;
  while (end - word <= LONGEST_ANNOUNCEMENT && isLetter(text.charCodeAt(word - 1))) word--;
  return word < end ? ANNOUNCEMENTS.has(text.slice(word, end).toLowerCase()) : text[end - 1] === "☎";
}

type Head = "international" | "announced" | "plain" | "inside";

/** How a number begins here; `inside`: in the middle of a word, an id, a decimal. */
function beginning(text: string, group: Group): Head {
  const start = startOf(text, group);
  const international = text.charCodeAt(start) === PLUS;
  const before = text.charCodeAt(start - 1);
  if (isAnnounced(text, start)) return international ? "international" : "announced";
  if (isAlphanumeric(before) || before === 0x5f) return "inside";
  if (international) return "international";
  const joined = before === 0x2d || before === 0x2e || before === 0x3a || before === 0x2f || before === 0x23;
  if (joined && isAlphanumeric(text.charCodeAt(start - 2)))
    return text[start - 1] === ":" && isLetter(text.charCodeAt(start - 2)) ? "plain" : "inside";
  return before === 0x23 || before === 0x24 || before === 0x20ac || before === 0xa3 ? "inside" : "plain";
}

function isNumber(text: string, groups: Group[], head: Head, plans: PhonePlan[], tries: { left: number }): boolean {
  const digits = groups.map((group) => text.slice(group.start, group.end)).join("");
  if (tries.left-- <= 0) return true;
  if (head === "international") return isInternational(digits);
  // the international prefix of most countries, and of North America
  const prefix = digits.startsWith("011") && digits.length > 11 ? 3 : digits.startsWith("00") ? 2 : 0;
  if (prefix > 0 && digits.length - prefix >= 9 && isInternational(digits.slice(prefix))) return true;
  if (isDateOrAddress(text.slice(groups[0]!.start, groups.at(-1)!.end))) return false;
  if (head === "announced") return plans.some((plan) => isPossible(digits, plan));
  return plans.some((plan) => looksNational(text, groups, digits, plan) && isNational(digits, plan));
}

/** 2024-01-15, 15.1.2024, 01/15/24, 192.168.0.1, 0.123456 */
const DATE_OR_ADDRESS =
  /^(?:\d{4}([-./ ])\d{1,2}\1\d{1,2}(?!\d)|\d{1,2}([-./ ])\d{1,2}\2(?:19|20)?\d{2}(?!\d)|(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})$|\d\.\d+$)/;

const isDateOrAddress = (written: string): boolean => DATE_OR_ADDRESS.test(written);

function looksNational(text: string, groups: Group[], digits: string, plan: PhonePlan): boolean {
  const grouped = groups.length > 1;
  const bracketed = text.charCodeAt(groups[0]!.start - 1) === OPEN;
  // North America: 3-3-4, perhaps after a 1
  if (plan.trunk === "1") {
    const sizes = groups.map((group) => group.end - group.start).join("-");
    return (/^(1-)?3-3-4$/.test(sizes) || (bracketed && /^3-7$/.test(sizes))) && digits.length <= 11;
  }
  if (plan.trunk !== undefined) return digits.startsWith(plan.trunk) && digits.length >= 9;
  return grouped && groups.length <= 5 && digits.length >= 8;
}
