import { z } from "zod";

/** What configuration files may hold (README, "The configuration folder"). Every file may hold any of the five lists. */

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const name = (what: string): z.ZodString =>
  z
    .string()
    .max(63, `${what} has at most 63 characters`)
    .regex(NAME, `${what} consists of letters, digits, \`_\`, \`.\` and \`-\``);
const text = (most: number): z.ZodString => z.string().min(1).max(most);
const label = z.union([z.string().max(200), z.number(), z.boolean()]).transform(String);
/** `env:NAME` or `file:PATH`; where it may point is checked with the rest (references.ts). */
const reference = z
  .string()
  .max(1_000)
  .regex(
    /^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$/,
    "expected a reference, `env:NAME` or `file:PATH`: never the secret itself",
  );

const role = z.strictObject({
  user: text(63),
  password: reference.optional(),
  client_cert: reference.optional(),
  client_key: reference.optional(),
});

const tls = z.strictObject({
  mode: z.enum(["disable", "require", "verify-ca", "verify-full"]).default("verify-full"),
  ca: reference.optional(),
  server_name: text(253).optional(),
});

const HOST = /^[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$/;
const connection = z.strictObject({
  name: name("a connection's name"),
  description: z.string().max(500).default(""),
  protocol: z.enum(["postgresql"]),
  host: z.string().max(253).regex(HOST, "expected a host name or address"),
  port: z.number().int().min(1).max(65_535).default(5_432),
  database: text(63),
  databases: z.array(text(63)).max(1_000).default([]),
  labels: z.record(name("a label's name"), label).default({}),
  role,
  read_role: role.optional(),
  tls: tls.prefault({}),
});

const DETECTORS = ["email", "phone", "payment-card", "iban", "national-id", "access-key", "private-key"] as const;
const redact = z.strictObject({ replacement: z.string().max(200).default("") });
const partial = z
  .strictObject({
    keep_first: z.number().int().min(0).max(100).default(0),
    keep_last: z.number().int().min(0).max(100).default(0),
    mask: z.string().max(8).default(""),
    keep_separators: z.boolean().default(false),
  })
  .refine(({ mask }) => !/[A-Za-z0-9]/.test(mask), {
    path: ["mask"],
    error: "a mask of letters or digits would look like a value",
  });
const hash = z.strictObject({ prefix: z.string().max(50).default("") });
const scan = z.array(z.enum(DETECTORS)).min(1, "name detectors, or write `transform: scan` for all of them");

/** `redact`, `nullify`, `hash`, `scan`, or one of them (or `partial`) with its settings. */
const transform = z.union(
  [
    z.enum(["redact", "nullify", "hash", "scan"]),
    z.strictObject({ redact }),
    z.strictObject({ partial }),
    z.strictObject({ hash }),
    z.strictObject({ scan }),
  ],
  {
    error:
      "expected `redact`, `nullify`, `hash`, `scan`, or one of `redact: {…}`, `partial: {…}`, `hash: {…}`, `scan: […]`",
  },
);

const className = z
  .string()
  .max(63)
  .regex(/^[a-z][a-z0-9-]*$/, "a class's name consists of small letters, digits and `-`");
const dataClass = z.strictObject({ name: className, parent: className.optional(), transform });

const glob = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[^[\]{}\\]*$/, "a glob knows `*` and `?` only");
const classification = z.strictObject({
  class: className,
  columns: z.array(z.string().min(1).max(200)).min(1, "name at least one `schema.relation.column`"),
  connections: z.array(glob).min(1).default(["*"]),
  databases: z.array(glob).min(1).default(["*"]),
});

const group = z.strictObject({
  group: name("a group's name"),
  issuer: text(500),
  claim: text(200).optional(),
});

const issuer = z.strictObject({
  issuer: text(500),
  jwks_uri: text(1_000),
  audience: text(500),
  principal_claim: text(100).default("sub"),
  groups: z.array(name("a group's name")).max(100).default([]),
  ca: reference.optional(),
});

export const fileShape = z.strictObject({
  connections: z.array(connection).max(10_000).optional(),
  classes: z.array(dataClass).max(1_000).optional(),
  classifications: z.array(classification).max(10_000).optional(),
  groups: z.array(group).max(10_000).optional(),
  issuers: z.array(issuer).max(100).optional(),
});

export type FileContent = z.infer<typeof fileShape>;
export type ConnectionEntry = z.infer<typeof connection>;
export type RoleEntry = z.infer<typeof role>;
export type TransformEntry = z.infer<typeof transform>;
