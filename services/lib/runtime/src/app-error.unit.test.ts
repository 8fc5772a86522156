import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { AppError, errorCodes } from "./app-error.ts";
import { fromStatus, toStatus } from "./grpc-status.ts";

test("every code has its own gRPC status, and comes back as itself", () => {
  const seen = new Set<number>();
  for (const code of errorCodes) {
    const sent = toStatus(new AppError(code, "a.b", "a sentence"));
    seen.add(sent.code);
    const back = fromStatus(Object.assign(new Error("x"), { code: sent.code, details: sent.details }), "a.b");
    expect(back.code).toBe(code);
    const own: Record<string, string> = { internal: "internal error", deadline: "a.b: no answer in time" };
    expect(back.message).toBe(own[code] ?? "a sentence");
  }
  expect(seen.size).toBe(errorCodes.length);
});

test("a bug keeps its text to itself", () => {
  const sent = toStatus(new Error("password=hunter2"));
  expect(sent).toMatchObject({ code: status.INTERNAL, details: "internal error" });
});

test("aborts and timeouts have codes of their own", () => {
  expect(AppError.from(AbortSignal.abort().reason, "x").code).toBe("cancelled");
  expect(AppError.from(new DOMException("late", "TimeoutError"), "x").code).toBe("deadline");
  expect(AppError.from("text", "x").code).toBe("internal");
});
