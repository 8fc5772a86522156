import type { MaskingServiceClient, MaskPlan, PlanResult } from "@sallyport/proto/masking";
import { AppError, fromStatus } from "@sallyport/runtime";

const DEADLINE_MS = 5_000;

/** One plan, on a stream of its own, made when masking has seen what we have. Throws AppError. */
export function maskingPlan(
  client: MaskingServiceClient,
  request: PlanResult,
  minAsOf: number,
  signal: AbortSignal,
): Promise<MaskPlan> {
  const op = "catalog.explain";
  return new Promise((resolve, reject) => {
    const stream = client.mask({ deadline: Date.now() + DEADLINE_MS });
    const abort = (): void => stream.cancel();
    signal.addEventListener("abort", abort, { once: true });
    stream.on("data", ({ result }) => {
      if (result?.$case === "plan") resolve(result.value);
      else reject(new AppError("unavailable", op, "masking gave no plan"));
      stream.end();
    });
    stream.on("error", (error) => reject(fromStatus(error, op)));
    stream.on("end", () => {
      signal.removeEventListener("abort", abort);
      reject(new AppError("unavailable", op, "masking gave no plan"));
    });
    stream.write({ id: 1, what: { $case: "plan", value: request }, minAsOf, traceparent: "" });
  });
}
