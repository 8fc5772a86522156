import { expect, test } from "vitest";
import { foldText, originalRange } from "../scan/folded-text.ts";
import { findAccessKeys } from "./access-key.ts";
import { findEmails } from "./email.ts";
import type { Detector } from "./find.ts";
import { findIbans } from "./iban.ts";
import { findNationalIds } from "./national-id.ts";
import { findPaymentCards } from "./payment-card.ts";
import { phoneDetector } from "./phone.ts";
import { findPrivateKeys } from "./private-key.ts";

/** What a detector finds, in the original text, through the same folding as in production. */
function found(detect: Detector, original: string): string[] {
  const folded = foldText(original);
  return detect(folded.text).map((find) => original.slice(...originalRange(folded, find.start, find.end)));
}

const phones = phoneDetector(["US", "CH", "DE", "GB"]);

test.each([
  ["write to ada@example.com.", ["ada@example.com"]],
  ["<ada.lovelace+spam@mail.example.co.uk>", ["ada.lovelace+spam@mail.example.co.uk"]],
  ["a@b.io,c@d.io;e@f.io", ["a@b.io", "c@d.io", "e@f.io"]],
  ['"ada lovelace"@example.com', ['"ada lovelace"@example.com']],
  ["jörg@müller.de und 用户@例子.广告", ["jörg@müller.de", "用户@例子.广告"]],
  ["root@[192.168.0.1]", ["root@[192.168.0.1]"]],
  ["ada＠example．com", ["ada＠example．com"]],
  ["ada@exam\u200bple.com", ["ada@exam\u200bple.com"]],
  ["ada@example.com.1", ["ada@example.com"]],
  ["ada@example.com..", ["ada@example.com"]],
  ["bounce+user=example.com@list.example.org", ["bounce+user=example.com@list.example.org"]],
  ["'ada@example.com'", ["ada@example.com"]],
  ["no address: @ada, a@b, ada@localhost, 5 @ 3.20, x@1.2", []],
])("e-mail in %j", (text, expected) => {
  expect(found(findEmails, text)).toEqual(expected);
});

test.each([
  ["4111111111111111", ["4111111111111111"]],
  ["card 4111 1111 1111 1111 exp 12/29", ["4111 1111 1111 1111"]],
  ["4111-1111-1111-1111/123", ["4111-1111-1111-1111"]],
  ["5555.5555.5555.4444", ["5555.5555.5555.4444"]],
  ["amex 3782 822463 10005", ["3782 822463 10005"]],
  ["2221000000000009 6011111111111117", ["2221000000000009", "6011111111111117"]],
  ["4111\u00a01111\u20091111\u20031111", ["4111\u00a01111\u20091111\u20031111"]],
  ["４１１１１１１１１１１１１１１１", ["４１１１１１１１１１１１１１１１"]],
  ["4111\u200b1111\u200d1111\ufeff1111", ["4111\u200b1111\u200d1111\ufeff1111"]],
  ["4111–1111—1111−1111", ["4111–1111—1111−1111"]],
  ["٤١١١١١١١١١١١١١١١", ["٤١١١١١١١١١١١١١١١"]],
  ["4111\n1111\n1111\n1111", ["4111\n1111\n1111\n1111"]],
  ["x4111111111111111y", ["4111111111111111"]],
  ["order 2024 4111 1111 1111 1111", ["4111 1111 1111 1111"]],
  ["4111111111111112 (Luhn is wrong)", []],
  ["9111111111111111111 0000000000000000", []],
  ["the middle of a long number: 00041111111111111110000000", []],
  ["2024-01-15 10:30:00.123456", []],
])("payment card in %j", (text, expected) => {
  expect(found(findPaymentCards, text)).toEqual(expected);
});

test.each([
  ["CH93 0076 2011 6238 5295 7", ["CH93 0076 2011 6238 5295 7"]],
  ["pay DE89370400440532013000 now", ["DE89370400440532013000"]],
  ["iban:gb82 west 1234 5698 7654 32.", ["gb82 west 1234 5698 7654 32"]],
  ["FR14-2004-1010-0505-0001-3M02-606", ["FR14-2004-1010-0505-0001-3M02-606"]],
  ["DE89370400440532013001", []],
  ["XX89370400440532013000 DE8937040044053201300", []],
])("IBAN in %j", (text, expected) => {
  expect(found(findIbans, text)).toEqual(expected);
});

test.each([
  ["ssn 536-22-1234", ["536-22-1234"]],
  ["SSN: 536221234", ["536221234"]],
  ["756.9217.0769.85 / 7569217076985", ["756.9217.0769.85", "7569217076985"]],
  ["Steuer-ID 86 095 742 719", ["86 095 742 719"]],
  ["1 85 05 78 006 084 91", ["1 85 05 78 006 084 91"]],
  ["RSSMRA85T10A562S", ["RSSMRA85T10A562S"]],
  ["DNI 12345678Z, NIE X1234567L", ["12345678Z", "X1234567L"]],
  ["NI AB 12 34 56 C", ["AB 12 34 56 C"]],
  ["PESEL 44051401359", ["44051401359"]],
  ["811228-9874", ["811228-9874"]],
  ["CPF 529.982.247-25", ["529.982.247-25"]],
  ["BSN 111222333", ["111222333"]],
  ["2341 2341 2346", ["2341 2341 2346"]],
  ["000-12-3456 666-12-3456 123-00-4567 111222333", []],
  ["756.9217.0769.86 12345678A 44051401358 529.982.247-26", []],
])("national id in %j", (text, expected) => {
  expect(found(findNationalIds, text)).toEqual(expected);
});

test.each([
  ["+41 44 668 18 00", ["+41 44 668 18 00"]],
  ["call +14155552671!", ["+14155552671"]],
  ["(415) 555-2671 or 415-555-2671", ["(415) 555-2671", "415-555-2671"]],
  ["1-415-555-2671", ["1-415-555-2671"]],
  ["079 123 45 67", ["079 123 45 67"]],
  ["0446681800", ["0446681800"]],
  ["0041446681800", ["0041446681800"]],
  ["Tel: 4155552671", ["4155552671"]],
  ["+41 (0)44 668 18 00", ["+41 (0)44 668 18 00"]],
  ["＋４１ ４４ ６６８ １８ ００", ["＋４１ ４４ ６６８ １８ ００"]],
  ["+41\u200b44\u00a0668\u201018\u201100", ["+41\u200b44\u00a0668\u201018\u201100"]],
  ["415-555-2671\n415-555-2672", ["415-555-2671", "415-555-2672"]],
  ["order 1234567, item 12345678, total 1234567.89", []],
  ["2024-01-15 10:30, 15.01.2024, 01/15/2024, 192.168.100.200", []],
  ["550e8400-e29b-41d4-a716-446655440000", []],
  ["0.123456789 and 1700000000000", []],
])("phone in %j", (text, expected) => {
  expect(found(phones, text)).toEqual(expected);
});

test.each([
  ["AKIAIOSFODNN7EXAMPLE", ["AKIAIOSFODNN7EXAMPLE"]],
  ["aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]],
  [`token ghp_${"a1B2".repeat(9)}`, [`ghp_${"a1B2".repeat(9)}`]],
  [`github_pat_${"1A".repeat(20)}`, [`github_pat_${"1A".repeat(20)}`]],
  ["xoxb-123456789012-abcdefghij", ["xoxb-123456789012-abcdefghij"]],
  [`AIza${"x".repeat(35)}`, [`AIza${"x".repeat(35)}`]],
  ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"]],
  ["spt_0123456789abcdefghij", ["spt_0123456789abcdefghij"]],
  ["postgres://app:p4ss/w@rd@db.example.com:5432/x", ["app:p4ss/w@rd"]],
  ["host=db password=hunter22 user=x", ["hunter22"]],
  ["Authorization: Bearer abcdefghijklmnop1234", ["abcdefghijklmnop1234"]],
  ["https://example.com/a:b@c http://user@host AKIA123 eyJ.x skeleton_key", []],
])("access key in %j", (text, expected) => {
  expect(found(findAccessKeys, text)).toEqual(expected);
});

const pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg==\n-----END OPENSSH PRIVATE KEY-----";
test.each([
  [`a ${pem} b`, [pem]],
  ["-----BEGIN PGP PRIVATE KEY BLOCK-----\nx", ["-----BEGIN PGP PRIVATE KEY BLOCK-----\nx"]],
  [pem.replaceAll("\n", "\\n"), [pem.replaceAll("\n", "\\n")]],
  ["-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", []],
])("private key in %j", (text, expected) => {
  expect(found(findPrivateKeys, text)).toEqual(expected);
});

const HOSTILE = [
  "@",
  "a@",
  "1 ",
  "4111 ",
  "079 ",
  "+1",
  "eyJ",
  "eyJ.",
  "://",
  "://a:",
  "AKIA",
  "-----BEGIN PRIVATE KEY",
  "CH93",
  "CH",
  "(0",
  "0",
  "password=",
  "a.",
  "bearer ",
  '"@',
  "PuTTY-User-Key-File-",
];
const detectors: [string, Detector][] = [
  ["e-mail", findEmails],
  ["card", findPaymentCards],
  ["iban", findIbans],
  ["national id", findNationalIds],
  ["phone", phones],
  ["access key", findAccessKeys],
  ["private key", findPrivateKeys],
];
test.each(detectors)(
  "%s: time grows no faster than hostile text",
  (_name, detect) => {
    for (const part of HOSTILE) {
      const took = (length: number): number => {
        const text = part.repeat(length / part.length);
        const from = performance.now();
        detect(text);
        return performance.now() - from;
      };
      took(5_000);
      const short = took(5_000);
      const long = Math.min(took(40_000), took(40_000));
      // eight times the text: 64 times the time if it were quadratic, and seconds rather than milliseconds
      expect(long, part).toBeLessThan(Math.max(40 * short, 400));
    }
  },
  30_000,
);
