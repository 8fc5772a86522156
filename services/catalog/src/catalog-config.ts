import { baseConfig } from "@sallyport/runtime";
import { z } from "zod";

export const catalogConfig = z.strictObject({
  ...baseConfig,
  /** A folder that the service applies itself, once, when no configuration was ever applied. Relative to the working directory. */
  bootstrap: z.strictObject({ folder: z.string().min(1) }).optional(),
  /** What `${NAME}` in configuration files stands for. The environment is not looked at: a file must not read secrets out of it. */
  variables: z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/, "expected NAME in capitals"), z.string()).default({}),
  /** Folders that absolute `file:` references may point into; relative ones always may. */
  secretFolders: z.array(z.string().startsWith("/")).default([]),
  /** certificate names of the peers that may call */
  allow: z.array(z.string().min(1)).min(1).default(["edge-postgres"]),
});
