import { luhn } from "./digit-groups.ts";
import { isAlphanumeric, isDigit, type Find } from "./find.ts";

/** How a country writes its number, and the check that tells it from any other number of that length. */
interface NationalId {
  country: string;
  /** Bounded everywhere, so that a search is linear. */
  pattern: RegExp;
  /** the number is group 1, and stands behind the word that it is called by */
  inContext?: true;
  valid(compact: string): boolean;
}

/** A form of a number; that it stands for itself is checked around each match, which is cheaper than inside. */
const number = (body: string, flags = "g"): RegExp => new RegExp(body, flags);

const NATIONAL_IDS: readonly NationalId[] = [
  // Social Security number: no area 000 or 666, no zero groups; 9xx with its groups is an ITIN
  { country: "US", pattern: number("\\d{3}([- ])\\d{2}\\1\\d{4}"), valid: isSsn },
  {
    country: "US",
    pattern: /\b(?:ssn|social security(?: (?:number|no\.?))?)\W{0,4}(\d{9})(?!\d)/gi,
    inContext: true,
    valid: isSsn,
  },
  // AHV/AVS 13: EAN-13 with the country prefix 756
  { country: "CH", pattern: number("756[. ]?\\d{4}[. ]?\\d{4}[. ]?\\d{2}"), valid: (d) => d.length === 13 && ean13(d) },
  // Steuer-Identifikationsnummer: ISO 7064 mod 11,10
  { country: "DE", pattern: number("[1-9]\\d[ ]?\\d{3}[ ]?\\d{3}[ ]?\\d{3}"), valid: isSteuerId },
  // numéro de sécurité sociale: 13 digits (2A/2B for Corsica) and 97 minus their remainder
  {
    country: "FR",
    pattern: number(
      "[1-478][ ]?\\d{2}[ ]?(?:0[1-9]|1[0-2]|[2-9]\\d)[ ]?(?:\\d{2}|2[ABab])[ ]?\\d{3}[ ]?\\d{3}[ ]?\\d{2}",
    ),
    valid: isNir,
  },
  // codice fiscale: 15 characters and a check letter
  {
    country: "IT",
    pattern: number("[A-Z]{6}[0-9LMNP-V]{2}[ABCDEHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]", "gi"),
    valid: isCodiceFiscale,
  },
  // DNI / NIE: eight digits (X, Y, Z for 0, 1, 2) and the letter that mod 23 names
  { country: "ES", pattern: number("(?:\\d{8}|[XYZ][- ]?\\d{7})[- ]?[A-Z]", "gi"), valid: isDni },
  // National Insurance number: no check digit, but few letter pairs and an end letter
  {
    country: "GB",
    pattern: number(
      "(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ ]?\\d{2}[ ]?\\d{2}[ ]?\\d{2}[ ]?[A-D]",
      "gi",
    ),
    valid: () => true,
  },
  // PESEL: a date and a weighted sum
  { country: "PL", pattern: number("\\d{2}(?:[02468][1-9]|[13579][0-2])[0-3]\\d{6}"), valid: isPesel },
  // personnummer: a date, four digits, Luhn over the last ten
  { country: "SE", pattern: number("(?:19|20)?\\d{2}[01]\\d[0-9]\\d[-+]\\d{4}"), valid: (d) => luhn(d.slice(-10)) },
  // CPF: two check digits
  { country: "BR", pattern: number("\\d{3}\\.\\d{3}\\.\\d{3}-\\d{2}"), valid: isCpf },
  // Aadhaar: Verhoeff, written in fours
  { country: "IN", pattern: number("[2-9]\\d{3}([ -])\\d{4}\\1\\d{4}"), valid: verhoeff },
  // burgerservicenummer: the eleven test alone fits every eleventh number, so only where it is called by its name
  {
    country: "NL",
    pattern: /\b(?:bsn|burgerservicenummer|sofinummer)\W{0,4}(\d{9})(?!\d)/gi,
    inContext: true,
    valid: isBsn,
  },
  // Social Insurance Number: Luhn, written in threes
  { country: "CA", pattern: number("[1-9]\\d{2}([- ])\\d{3}\\1\\d{3}"), valid: luhn },
];

/** National identity, tax and social security numbers that have a check of their own or a form nothing else has. */
export function findNationalIds(text: string): Find[] {
  const finds: Find[] = [];
  for (const { pattern, inContext, valid } of NATIONAL_IDS) {
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
      const written = inContext === true ? (match[1] ?? "") : match[0];
      const end = match.index + match[0].length;
      const start = end - written.length;
      if (
        (inContext === true || standsAlone(text, start, end)) &&
        valid(written.replace(/[^0-9A-Za-z]/g, "").toUpperCase())
      )
        finds.push({ detector: "national-id", start, end });
      // what begins inside is looked at too; matches are short, so that this costs no more than a few steps each
      else pattern.lastIndex = match.index + 1;
    }
  }
  return finds;
}

const DOT = 0x2e;
const COMMA = 0x2c;
const DASH = 0x2d;

/** Not a part of a longer number, word or decimal. */
function standsAlone(text: string, start: number, end: number): boolean {
  const before = text.charCodeAt(start - 1);
  const after = text.charCodeAt(end);
  if (isAlphanumeric(before) || isAlphanumeric(after)) return false;
  if ((before === DOT || before === COMMA || before === DASH) && isDigit(text.charCodeAt(start - 2))) return false;
  return !((after === DOT || after === DASH) && isDigit(text.charCodeAt(end + 1)));
}

function weighted(digits: string, weights: readonly number[]): number {
  return weights.reduce((sum, weight, i) => sum + weight * Number(digits[i]), 0);
}

function isSsn(digits: string): boolean {
  const area = digits.slice(0, 3);
  const group = Number(digits.slice(3, 5));
  if (area === "000" || area === "666" || group === 0 || digits.endsWith("0000")) return false;
  return area < "900" || (group >= 50 && group !== 89 && group !== 93);
}

/** GS1 General Specifications, section 7.9. */
function ean13(digits: string): boolean {
  return weighted(digits, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 === 0;
}

function isSteuerId(digits: string): boolean {
  // in the first ten digits exactly one occurs twice or three times, and no three alike stand together
  const counts = new Map<string, number>();
  for (const digit of digits.slice(0, 10)) counts.set(digit, (counts.get(digit) ?? 0) + 1);
  const repeated = [...counts.values()].filter((n) => n > 1);
  if (repeated.length !== 1 || repeated[0]! > 3 || /(\d)\1\1/.test(digits.slice(0, 10))) return false;
  let product = 10;
  for (const digit of digits.slice(0, 10)) {
    const sum = (Number(digit) + product) % 10 || 10;
    product = (2 * sum) % 11;
  }
  return (11 - product) % 10 === Number(digits[10]);
}

function isNir(compact: string): boolean {
  // Corsica: 2A counts as 19, 2B as 18
  const digits = compact.replace("2A", "19").replace("2B", "18");
  return /^\d{15}$/.test(digits) && 97 - Number(BigInt(digits.slice(0, 13)) % 97n) === Number(digits.slice(13));
}

const ODD_PLACES = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

function isCodiceFiscale(code: string): boolean {
  let sum = 0;
  for (let i = 0; i < 15; i++) {
    const char = code.charCodeAt(i);
    const value = char <= 0x39 ? char - 0x30 : char - 0x41;
    sum += i % 2 === 0 ? ODD_PLACES[value]! : value;
  }
  return String.fromCharCode(0x41 + (sum % 26)) === code[15];
}

function isDni(compact: string): boolean {
  const digits = compact.slice(0, -1).replace("X", "0").replace("Y", "1").replace("Z", "2");
  return "TRWAGMYFPDXBNJZSQVHLCKE"[Number(digits) % 23] === compact.at(-1);
}

function isPesel(digits: string): boolean {
  const day = Number(digits.slice(4, 6));
  return day >= 1 && day <= 31 && weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) % 10 === 0;
}

function isCpf(digits: string): boolean {
  if (/^(\d)\1*$/.test(digits)) return false;
  const check = (length: number): number => {
    const sum = weighted(
      digits,
      Array.from({ length }, (_, i) => length + 1 - i),
    );
    return ((sum * 10) % 11) % 10;
  };
  return check(9) === Number(digits[9]) && check(10) === Number(digits[10]);
}

function isBsn(digits: string): boolean {
  return digits !== "000000000" && weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0;
}

const DIHEDRAL = [
  "0123456789",
  "1234067895",
  "2340178956",
  "3401289567",
  "4012395678",
  "5987604321",
  "6598710432",
  "7659821043",
  "8765932104",
  "9876543210",
];
const PERMUTED = [
  "0123456789",
  "1576283094",
  "5803796142",
  "8916043527",
  "9453126870",
  "4286573901",
  "2793806415",
  "7046913258",
];

/** Verhoeff's check over the dihedral group D5. */
function verhoeff(digits: string): boolean {
  let check = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    check = Number(DIHEDRAL[check]![Number(PERMUTED[i % 8]![digit])]);
  }
  return check === 0;
}
