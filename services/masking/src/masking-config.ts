import { baseConfig, secretRef } from "@sallyport/runtime";
import { getCountries, isSupportedCountry, type CountryCode } from "libphonenumber-js/max";
import { z } from "zod";

const country = z
  .string()
  .refine((code): code is CountryCode => isSupportedCountry(code), "expected a country code such as CH")
  .transform((code): CountryCode => code);

export const maskingConfig = z.strictObject({
  ...baseConfig,
  /** At least 32 bytes (its text is used as it stands); the keys of `hash` are derived from it. Losing it changes all tokens. */
  hashKey: secretRef,
  /** Countries whose national phone numbers are found in free text; numbers with a `+` are found from anywhere. */
  phoneRegions: z.array(country).min(1).max(getCountries().length).default(["US", "GB", "DE", "CH", "FR"]),
  /** Of one cell, what detectors look at; the rest is replaced by a note. */
  maxScanBytes: z
    .number()
    .int()
    .min(64 * 1024)
    .max(64 * 1024 * 1024)
    .default(4 * 1024 * 1024),
  /** How long a request waits for the events that it asks for (`min_as_of`). */
  waitMs: z.number().int().min(1).max(60_000).default(2_000),
  /** certificate names of the peers that may call */
  allow: z.array(z.string().min(1)).min(1).default(["edge-postgres", "catalog"]),
});
