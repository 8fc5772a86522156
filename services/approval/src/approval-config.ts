import { baseConfig, secretRef } from "@sallyport/runtime";
import { z } from "zod";

/** Plain HTTP only to this machine: what is sent names people, connections and statements. */
const webhookUrl = z.url().refine((text) => {
  const url = URL.parse(text);
  const local = url !== null && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  return url?.protocol === "https:" || (url?.protocol === "http:" && local);
}, "must be https (http only to this machine)");

export const approvalConfig = z.strictObject({
  ...baseConfig,
  /** certificate names that may ask for and use approvals */
  edges: z.array(z.string().min(1)).default(["edge-postgres"]),
  webhook: z
    .strictObject({
      url: webhookUrl,
      secret: secretRef,
      timeoutMs: z.number().int().min(100).max(20_000).default(5_000),
      /** first and longest pause between tries */
      retryMs: z.tuple([z.number().int().min(10), z.number().int().max(3_600_000)]).default([1_000, 60_000]),
      /** after so long an undeliverable notification is given up */
      giveUpAfterHours: z.number().min(1).default(72),
    })
    .optional(),
});
export type ApprovalConfig = z.infer<typeof approvalConfig>;
export type WebhookConfig = NonNullable<ApprovalConfig["webhook"]>;
