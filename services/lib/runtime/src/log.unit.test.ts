import { expect, test } from "vitest";
import { AppError } from "./app-error.ts";
import { createLogger } from "./log.ts";
import { Secret } from "./secret.ts";

function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
  let text = "";
  const log = createLogger(
    { service: "x", instance: "x", log: { level: "info" } },
    { write: (line: string) => void (text += line) },
  );
  write(log);
  return text;
}

test("what must not be logged is not", () => {
  const text = logged((log) => {
    log.info(
      { token: "hunter2", a: { password: "hunter2", b: { authorization: "hunter2" } }, secret: new Secret("hunter2") },
      "x",
    );
    log.info({ rows: ["hunter2"], text: "select 'hunter2'" }, "x");
    const driver = Object.assign(new Error("duplicate key"), {
      detail: "Key (email)=(hunter2)",
      metadata: { authorization: "hunter2" },
    });
    log.error({ err: new AppError("internal", "a.b", "failed", { cause: driver }) }, "x");
  });
  expect(text).not.toContain("hunter2");
  expect(text).toContain("duplicate key");
  expect(text).toContain("a.b");
});
