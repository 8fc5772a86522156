/** The service's file: what every service has, and this. */

import { AppError, baseConfig, resolveSecret, secretRef } from "@sallyport/runtime";
import { z } from "zod";
import type { VerdictKey } from "./check/sign.ts";
import { DEFAULTS } from "./sql/analyser.ts";

const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
};

export const configSchema = z.strictObject({
  ...baseConfig,
  /** signs verdicts; `audit` knows the same key under the same id (`verdictKeys`). The secret: 32 bytes, base64 */
  verdictKey: z.strictObject({ id: z.string().min(1).max(64), secret: secretRef }),
  /** certificate names (CN) that may ask */
  allow: z.array(z.string().min(1)).default(["edge-postgres", "identity", "catalog", "approval", "audit"]),
  /** of policies' `context.clock` */
  timeZone: z.string().default("UTC").refine(isTimeZone, "not a time zone of the IANA database"),
  analysis: z
    .strictObject({
      /** texts above it are refused, bytes */
      maxTextBytes: z.int().min(1_024).max(16_777_216).default(DEFAULTS.maxTextBytes),
      /** worker threads for texts above 16 KiB */
      threads: z.int().min(1).max(16).default(DEFAULTS.threads),
      /** ms for one such text */
      deadlineMs: z.int().min(50).max(60_000).default(DEFAULTS.deadlineMs),
    })
    .prefault({}),
});

export type PolicyConfig = z.infer<typeof configSchema>;

export async function loadVerdictKey({ verdictKey }: PolicyConfig): Promise<VerdictKey> {
  const text = (await resolveSecret(verdictKey.secret, "verdictKey.secret")).expose();
  const secret = Buffer.from(text.trim(), "base64");
  if (secret.length < 32) {
    throw new AppError("invalid-input", "policy.config", "verdictKey.secret must hold at least 32 bytes, in base64");
  }
  return { id: verdictKey.id, secret };
}
