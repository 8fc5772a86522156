import { AppError } from "@sallyport/runtime";

/** Waits for a condition, never for a time. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  deadlineMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${deadlineMs / 1000} s`);
    await pause(25);
  }
}

/**
 * `check` lists what is wrong: asked until nothing is, returns the last list when that takes too long. A service that
 * cannot be reached just now is one of the things that are wrong.
 */
export async function untilNothing(
  check: () => Promise<readonly string[]>,
  deadlineMs = 45_000,
): Promise<readonly string[]> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const wrong = await check().catch(unreachable);
    if (wrong.length === 0 || Date.now() > deadline) return wrong;
    await pause(150);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function unreachable(error: unknown): readonly string[] {
  if (error instanceof AppError && error.code === "unavailable") return [error.message];
  throw error;
}
