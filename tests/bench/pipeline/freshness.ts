import type { Bus } from "../bus.ts";
import { connected } from "../clients.ts";
import type { Sallyport } from "../contenders/sallyport.ts";
import { untilIngested } from "./log-position.ts";

/**
 * One command at a time on an idle gateway: ms from the client's answer (so its records are acknowledged) until audit says
 * that they are in the log. Asking it is in the figure, so it is an upper bound.
 */
export async function measureFreshness(sallyport: Sallyport, bus: Bus, times: number): Promise<number[]> {
  const client = await connected(sallyport.env(true));
  try {
    const took: number[] = [];
    for (let i = 0; i < times; i++) {
      await client.query(`SELECT abalance FROM pgbench_accounts WHERE aid = ${i + 1}`);
      const started = performance.now();
      await untilIngested(sallyport, await bus.lastSequence(), 10, 20_000);
      took.push(performance.now() - started);
      // not in step with whatever the ingestion does every so many milliseconds
      await new Promise((resolve) => setTimeout(resolve, 300 + 37 * (i % 7)));
    }
    return took;
  } finally {
    await client.end();
  }
}
