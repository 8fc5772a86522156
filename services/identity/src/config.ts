import { baseConfig, hostPort, secretRef } from "@sallyport/runtime";
import { z } from "zod";

const DAY = 86_400;

/** See README.md for what each is for. Times are in seconds. */
export const identityConfig = z.strictObject({
  ...baseConfig,
  https: z.strictObject({ listen: hostPort, cert: z.string().min(1), key: z.string().min(1) }),
  issuer: z.url({ protocol: /^https$/ }),
  audience: z.string().min(1).max(256).default("sallyport"),
  signingKeys: z.array(secretRef).min(1).max(8),
  sealingKey: secretRef,
  provider: z.strictObject({
    issuer: z.url({ protocol: /^https$/ }),
    clientId: z.string().min(1),
    clientSecret: secretRef,
    ca: z.string().min(1).optional(),
    scope: z.string().default("openid profile email groups offline_access"),
    nameClaim: z.string().min(1).default("preferred_username"),
    groupsClaim: z.string().min(1).default("groups"),
    mfaValues: z.array(z.string()).default(["mfa"]),
    authorizationParameters: z.record(z.string(), z.string()).default({ prompt: "consent" }),
    timeoutSeconds: z.number().min(1).max(30).default(5),
  }),
  tokens: z
    .strictObject({
      accessTtlSeconds: z.number().int().min(60).max(3_600).default(3_600),
      personalDefaultTtlSeconds: z
        .number()
        .int()
        .min(60)
        .default(30 * DAY),
      personalMaxTtlSeconds: z
        .number()
        .int()
        .min(60)
        .max(366 * DAY)
        .default(90 * DAY),
      maxPersonalTokens: z.number().int().min(1).max(10_000).default(100),
    })
    .prefault({})
    .refine((tokens) => tokens.personalDefaultTtlSeconds <= tokens.personalMaxTtlSeconds, {
      message: "personalDefaultTtlSeconds must not exceed personalMaxTtlSeconds",
    }),
  groups: z
    .strictObject({
      recheckSeconds: z.number().min(0).max(300).default(300),
      maxAgeSeconds: z.number().min(1).max(DAY).default(3_600),
      retrySeconds: z.number().min(0).max(60).default(10),
      waitSeconds: z.number().min(0.1).max(10).default(1.5),
    })
    .prefault({}),
  /** certificate names that may ask who presents a token */
  allow: z.array(z.string()).default(["edge-postgres", "catalog", "policy", "approval", "masking", "audit"]),
});
