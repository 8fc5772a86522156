import { isAbsolute, join } from "node:path";
import { baseConfig, resolveSecret, secretRef } from "@sallyport/runtime";
import { z } from "zod";
import type { ClickHouseLocation } from "./clickhouse/clickhouse.ts";

/** The service's file: what every service has, and this. */
export const configSchema = z.strictObject({
  ...baseConfig,
  /** where the log is kept: inside this process (`folder`), or on a server (`url`) */
  clickhouse: z.union([
    z.strictObject({ folder: z.string().min(1) }),
    z.strictObject({ url: z.url(), user: z.string().min(1).optional(), password: secretRef.optional() }),
  ]),
  /** FRAMES_0 … FRAMES_<partitions - 1> */
  partitions: z.int().min(1).max(64).default(1),
  /** policy's MAC keys by key id: 32 bytes, base64. Verdicts of other keys count as `unknown` */
  verdictKeys: z.record(z.string(), secretRef).default({}),
  /** what an acknowledgement of the bus survives; with `power-loss` the bus must run with `sync_interval: always` */
  durability: z.enum(["process", "power-loss"]).default("process"),
  ingest: z
    .strictObject({
      flushMs: z.int().min(1).max(5_000).default(100),
      blockBytes: z
        .int()
        .min(65_536)
        .max(128 * 1024 * 1024)
        .default(24 * 1024 * 1024),
      blockRows: z.int().min(1_000).max(900_000).default(200_000),
      gapWaitMs: z.int().min(100).default(10_000),
      /** nice value of the process: the data path comes first on small machines */
      priority: z.int().min(-20).max(19).default(10),
    })
    .prefault({}),
  /** what the bus still holds after it is in ClickHouse: hours; a full stream fails closed */
  frames: z
    .strictObject({ keepHours: z.number().min(0).default(24), purgeAbove: z.number().min(0).max(1).default(0.5) })
    .prefault({}),
  query: z
    .strictObject({
      maxRows: z.int().min(1).default(100_000),
      maxResultBytes: z
        .int()
        .min(1_024)
        .default(64 * 1024 * 1024),
      maxSeconds: z.int().min(1).default(30),
      maxMemoryBytes: z
        .int()
        .min(1 << 20)
        .default(512 * 1024 * 1024),
      /** questions that run at once; more wait their turn */
      atOnce: z.int().min(1).max(8).default(2),
    })
    .prefault({}),
});
export type AuditConfig = z.infer<typeof configSchema>;

/** SALLYPORT_CLICKHOUSE_URL comes before the file. */
export async function clickhouseLocation(
  config: AuditConfig,
  environment: NodeJS.ProcessEnv,
): Promise<ClickHouseLocation> {
  const url = environment["SALLYPORT_CLICKHOUSE_URL"];
  if (url !== undefined && url !== "") return { kind: "server", url };
  if ("folder" in config.clickhouse) {
    const { folder } = config.clickhouse;
    return { kind: "embedded", folder: isAbsolute(folder) ? folder : join(process.cwd(), folder) };
  }
  const { url: server, user, password } = config.clickhouse;
  return {
    kind: "server",
    url: server,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password: (await resolveSecret(password, "clickhouse.password")).expose() }),
  };
}

export async function verdictKeys(config: AuditConfig): Promise<Map<string, Buffer>> {
  const keys = new Map<string, Buffer>();
  for (const [id, ref] of Object.entries(config.verdictKeys)) {
    keys.set(id, Buffer.from((await resolveSecret(ref, `verdictKeys.${id}`)).expose(), "base64"));
  }
  return keys;
}
