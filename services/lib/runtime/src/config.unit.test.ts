import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { AppError } from "./app-error.ts";
import { baseConfig, parseConfig, splitHostPort } from "./config.ts";
import { resolveSecret, Secret } from "./secret.ts";

const schema = z.strictObject({ ...baseConfig, quota: z.number() });
const minimal = { service: "policy", instance: "policy-1", nats: { servers: ["nats://127.0.0.1:1"] }, quota: 1 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("a minimal file gets defaults", () => {
  const config = parseConfig(JSON.stringify(minimal), schema, "policy.json");
  expect(config).toMatchObject({
    log: { level: "info" },
    peers: {},
    grpc: {},
    telemetry: { sampleRatio: 1 },
    quota: 1,
  });
});

test("all problems are told together, unknown keys among them, and values are not repeated", () => {
  const wrong = { ...minimal, quota: "hunter2", grpc: { internal: { listen: "nowhere" } }, extra: "hunter2", nats: {} };
  const error = (() => {
    try {
      parseConfig(JSON.stringify(wrong), schema, "policy.json");
      return undefined;
    } catch (thrown) {
      return thrown as AppError;
    }
  })();
  expect(error?.code).toBe("invalid-input");
  for (const part of ["quota", "grpc.internal.listen", "grpc.internal.ca", "nats.servers", "extra"])
    expect(error?.message).toContain(part);
  expect(error?.message).not.toContain("hunter2");
});

test("not JSON", () => {
  expect(() => parseConfig("{", schema, "policy.json")).toThrow(/policy.json: not valid JSON/);
});

test("secrets are resolved from the environment and from files, and do not print", async () => {
  process.env["SALLYPORT_TEST_SECRET"] = "hunter2";
  const file = join(folder, "secret");
  await writeFile(file, "from-file\n");
  const secret = await resolveSecret("env:SALLYPORT_TEST_SECRET", "a");
  expect(secret.expose()).toBe("hunter2");
  expect((await resolveSecret(`file:${file}`, "a")).expose()).toBe("from-file");
  for (const shown of [String(secret), JSON.stringify({ secret }), inspect(secret), inspect({ deep: [secret] })])
    expect(shown).not.toContain("hunter2");
});

test.each([
  ["hunter2", "invalid-input"],
  ["env:", "invalid-input"],
  ["env:SALLYPORT_NOT_THERE", "failed-precondition"],
  ["file:/nonexistent/secret", "failed-precondition"],
])("a reference with nothing behind it is refused: %s", async (ref, code) => {
  await expect(resolveSecret(ref, "nats.nkeySeed")).rejects.toMatchObject({ code });
  await expect(resolveSecret(ref, "nats.nkeySeed")).rejects.not.toThrow("hunter2");
});

test("host and port", () => {
  expect(splitHostPort("127.0.0.1:80")).toEqual({ host: "127.0.0.1", port: 80 });
  expect(splitHostPort("[::1]:0")).toEqual({ host: "::1", port: 0 });
});

test("a secret hands out copies", () => {
  const secret = new Secret("abc");
  secret.exposeBytes().fill(0);
  expect(secret.expose()).toBe("abc");
});
