import type { CountryCode } from "libphonenumber-js/core";
import { findAccessKeys } from "../detect/access-key.ts";
import { findEmails } from "../detect/email.ts";
import { DETECTORS, isDigit, type Detector, type DetectorName, type Find } from "../detect/find.ts";
import { findIbans } from "../detect/iban.ts";
import { findNationalIds } from "../detect/national-id.ts";
import { findPaymentCards } from "../detect/payment-card.ts";
import { phoneDetector } from "../detect/phone.ts";
import { findPrivateKeys } from "../detect/private-key.ts";

/** Runs detectors over folded text, and none that cannot find anything: most cells hold no `@` and few digits. */
export type DetectorSet = (text: string, wanted: ReadonlySet<DetectorName>) => Find[];

interface Guarded {
  /** False: the detector would find nothing. Must be cheap, and never wrong. */
  couldFind(traits: Traits): boolean;
  detect: Detector;
}

interface Traits {
  text: string;
  digits: number;
}

const ACCESS_KEY_HINT =
  /A(?:KIA|SIA|GPA|IDA|ROA|NPA|Iza|GE-)|gh[a-z]_|github_|glpat|xox|xapp|ya29|_live_|_test_|whsec|sk-|npm_|pypi-|hf_|dop_v1|hvs\.|SG\.|spt_|eyJ|:\/\/|key|token|passw|pwd|secret|bearer/i;

export function detectorSet(phoneRegions: readonly CountryCode[]): DetectorSet {
  const guarded: Record<DetectorName, Guarded> = {
    "private-key": {
      couldFind: ({ text }) => text.includes("PRIVATE KEY") || text.includes("PuTTY-User"),
      detect: findPrivateKeys,
    },
    "access-key": { couldFind: ({ text }) => ACCESS_KEY_HINT.test(text), detect: findAccessKeys },
    "payment-card": { couldFind: ({ digits }) => digits >= 12, detect: findPaymentCards },
    iban: { couldFind: ({ digits, text }) => digits >= 4 && text.length >= 15, detect: findIbans },
    // a codice fiscale may have all but no digits (omocodia)
    "national-id": {
      couldFind: ({ digits, text }) =>
        digits >= 6 || (digits > 0 && text.length >= 16) || (text.length >= 16 && CODICE_LETTERS.test(text)),
      detect: findNationalIds,
    },
    email: { couldFind: ({ text }) => text.includes("@"), detect: findEmails },
    phone: { couldFind: ({ digits }) => digits >= 7, detect: phoneDetector(phoneRegions) },
  };
  return (text, wanted) => {
    const traits = { text, digits: countDigits(text) };
    const finds: Find[] = [];
    for (const name of DETECTORS) {
      const { couldFind, detect } = guarded[name];
      if (wanted.has(name) && couldFind(traits)) finds.push(...detect(text));
    }
    return finds;
  };
}

const CODICE_LETTERS = /[A-Za-z]{16}/;

function countDigits(text: string): number {
  let digits = 0;
  for (let i = 0; i < text.length; i++) if (isDigit(text.charCodeAt(i))) digits++;
  return digits;
}
