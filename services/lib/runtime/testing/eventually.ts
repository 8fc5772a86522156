import { setTimeout as delay } from "node:timers/promises";

/** Tries until `probe` gives something other than undefined, null or false; throws after `ms`. */
export async function eventually<T>(probe: () => T | Promise<T>, ms = 5_000): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = Date.now() + ms;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const found = await probe();
      if (found !== undefined && found !== null && found !== false) return found as NonNullable<Exclude<T, false>>;
      last = found;
    } catch (error) {
      last = error;
    }
    await delay(10);
  }
  throw new Error(`it never happened within ${ms} ms`, { cause: last });
}
