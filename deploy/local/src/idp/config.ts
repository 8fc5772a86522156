import { z } from "zod";

const hostPort = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/, "expected host:port");

/** The local identity provider's configuration; unknown keys are refused. Paths are of PEM or JSON files. */
export const idpConfigSchema = z.strictObject({
  listen: hostPort,
  /** default: `https://localhost:<port>` */
  issuer: z.url({ protocol: /^https$/ }).optional(),
  tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }),
  accountsFile: z.string().min(1),
  /** signing and cookie keys; made when missing */
  keysFile: z.string().min(1),
  /** sessions, grants and tokens; left out: forgotten at a restart */
  stateFile: z.string().min(1).optional(),
  client: z.strictObject({
    id: z.string().min(1),
    /** `env:NAME` or `file:PATH` */
    secret: z.string().regex(/^(env|file):./),
    backchannelLogoutUri: z.url({ protocol: /^https$/ }).optional(),
    /** that the relying party's certificate is checked against */
    ca: z.string().min(1).optional(),
  }),
});

export type IdpConfig = z.infer<typeof idpConfigSchema>;
