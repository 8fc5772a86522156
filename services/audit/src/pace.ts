/** What works behind ingestion takes its time: between two pieces of work it rests, and while ingestion is behind it waits. */

/** Others have more need of the machine now. */
export type GiveWay = () => boolean;

const LOOK_MS = 100;
/** However busy the others are: the work does not stand still. */
const LONGEST_MS = 5_000;

/** Resolves after `ms`, or when `signal` is aborted. */
export function rested(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", finish, { once: true });
    function finish(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    }
  });
}

/** Resolves when nobody has more need of the machine, or it has been waited for long enough. */
export async function gaveWay(giveWay: GiveWay, signal: AbortSignal): Promise<void> {
  const until = performance.now() + LONGEST_MS;
  while (giveWay() && performance.now() < until && !signal.aborted) await rested(LOOK_MS, signal);
}
