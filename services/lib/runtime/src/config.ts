import { readFile } from "node:fs/promises";
import { z } from "zod";
import { AppError } from "./app-error.ts";
import { secretReference } from "./secret.ts";

/** `host:port`; port 0 takes a free one. IPv6 hosts stand in brackets. */
export const hostPort = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/, "expected host:port");
/** `env:NAME` or `file:PATH`; resolve with `resolveSecret`. */
export const secretRef = z.string().regex(secretReference, "expected env:NAME or file:PATH");

const certificate = { cert: z.string().min(1), key: z.string().min(1) };

/**
 * What every service's file has. A service's own schema: `z.strictObject({ ...baseConfig, quota: z.number() })`.
 * Files named by `cert`, `key` and `ca` are PEM.
 */
export const baseConfig = {
  service: z.string().min(1).max(64),
  /** distinguishes processes of one service; also names the NATS identity */
  instance: z.string().min(1).max(64),
  log: z
    .strictObject({ level: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info") })
    .prefault({}),
  nats: z.strictObject({
    servers: z.array(z.string().min(1)).min(1),
    nkeySeed: secretRef.optional(),
    inboxPrefix: z.string().min(1).optional(),
    tls: z
      .strictObject({ ca: z.string().min(1), cert: z.string().min(1).optional(), key: z.string().min(1).optional() })
      .optional(),
  }),
  grpc: z
    .strictObject({
      internal: z.strictObject({ listen: hostPort, ...certificate, ca: z.string().min(1) }).optional(),
      public: z.strictObject({ listen: hostPort, ...certificate }).optional(),
      client: z.strictObject({ ...certificate, ca: z.string().min(1) }).optional(),
    })
    .prefault({}),
  peers: z.record(z.string(), hostPort).default({}),
  telemetry: z
    .strictObject({
      prometheus: hostPort.optional(),
      /** base URL of an OTLP/HTTP collector, e.g. http://127.0.0.1:4318 */
      otlp: z.url().optional(),
      sampleRatio: z.number().min(0).max(1).default(1),
    })
    .prefault({}),
};
const baseSchema = z.strictObject(baseConfig);
export type BaseConfig = z.infer<typeof baseSchema>;

/** Any strict object schema that has `baseConfig`'s fields. */
export type ConfigSchema<C extends BaseConfig = BaseConfig> = z.ZodType<C>;

/** Parses a configuration. Throws `invalid-input` with every problem, one per line, and never with a value. */
export function parseConfig<C extends BaseConfig>(text: string, schema: ConfigSchema<C>, file: string): C {
  const op = "runtime.config";
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new AppError("invalid-input", op, `${file}: not valid JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `  ${issue.path.join(".") || "(top)"}: ${issue.message}`);
  throw new AppError("invalid-input", op, `${file}: ${problems.length} problem(s)\n${problems.join("\n")}`);
}

/** Reads the file that SALLYPORT_CONFIG names. */
export async function loadConfig<C extends BaseConfig>(schema: ConfigSchema<C>): Promise<C> {
  const op = "runtime.config";
  const file = process.env["SALLYPORT_CONFIG"];
  if (!file)
    throw new AppError("invalid-input", op, "SALLYPORT_CONFIG must name the service's configuration file (JSON)");
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new AppError("invalid-input", op, `cannot read the configuration file ${file}`, { cause });
  }
  return parseConfig(text, schema, file);
}

/** `host:port` taken apart. */
export function splitHostPort(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(":");
  return { host: listen.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(listen.slice(at + 1)) };
}
