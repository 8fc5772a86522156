import type { CountryCode, MetadataJson } from "libphonenumber-js/core";
import { getCountryCallingCode, Metadata, PhoneNumber } from "libphonenumber-js/core";
import metadata from "libphonenumber-js/max/metadata";

const PLANS: MetadataJson = metadata;
const CALLING_CODES: ReadonlySet<string> = new Set(Object.keys(PLANS.country_calling_codes));

/** How a country's national numbers are written. */
export interface PhonePlan {
  callingCode: string;
  /** what is dialled before a national number (`0`, in North America `1`); undefined: nothing */
  trunk: string | undefined;
}

export function phonePlan(region: CountryCode): PhonePlan {
  const all = new Metadata(PLANS);
  all.selectNumberingPlan(region);
  // in the package and in its documentation, but not in its types
  const plan = all.numberingPlan as { nationalPrefix?(): string | undefined } | undefined;
  return { callingCode: getCountryCallingCode(region, PLANS), trunk: plan?.nationalPrefix?.() || undefined };
}

// Numbers are made from their digits: the package's parser, which would find them in a text, takes ten times as long.

/** Digits that follow a `+` (E.164), perhaps with a trunk `0` behind the calling code. */
export function isInternational(digits: string): boolean {
  const code = [1, 2, 3].map((length) => digits.slice(0, length)).find((prefix) => CALLING_CODES.has(prefix));
  if (code === undefined) return false;
  const national = digits.slice(code.length);
  return isValid(code, national) || (national.startsWith("0") && isValid(code, national.slice(1)));
}

export const isNational = (digits: string, plan: PhonePlan): boolean =>
  isValid(plan.callingCode, withoutTrunk(digits, plan));

/** As long as the country's numbers are. */
export function isPossible(digits: string, plan: PhonePlan): boolean {
  const national = withoutTrunk(digits, plan);
  return hasPossibleLength(plan.callingCode, national) && phoneNumber(plan.callingCode, national).isPossible();
}

const withoutTrunk = (digits: string, { trunk }: PhonePlan): string =>
  trunk !== undefined && digits.startsWith(trunk) ? digits.slice(trunk.length) : digits;

const isValid = (callingCode: string, national: string): boolean =>
  hasPossibleLength(callingCode, national) && phoneNumber(callingCode, national).isValid();

const phoneNumber = (callingCode: string, national: string): PhoneNumber =>
  new PhoneNumber(`+${callingCode}${national}`, PLANS);

const lengths = new Map<string, ReadonlySet<number>>();

/** The cheap part of validity, which most numbers that are no phone numbers fail. */
function hasPossibleLength(callingCode: string, national: string): boolean {
  let possible = lengths.get(callingCode);
  if (!possible) lengths.set(callingCode, (possible = new Set(possibleLengths(callingCode))));
  return possible.has(national.length);
}

function possibleLengths(callingCode: string): number[] {
  const countries = PLANS.country_calling_codes[callingCode as keyof typeof PLANS.country_calling_codes] ?? [];
  const all = new Metadata(PLANS);
  return countries.flatMap((country) => {
    all.selectNumberingPlan(country);
    const plan = all.numberingPlan as { possibleLengths?(): number[] } | undefined;
    return plan?.possibleLengths?.() ?? Array.from({ length: 12 }, (_, i) => i + 4);
  });
}
