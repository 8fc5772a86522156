/** Nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], p: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((p / 100) * sorted.length) - 1))] as number;
}

/** The middle one, the mean of both for an even number; NaN of nothing. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Runs `step` for each turn of each, in turns (A B C A B C …): what disturbs the machine for a while disturbs all. */
export async function inTurns<Each, Result>(
  rounds: number,
  each: readonly Each[],
  step: (one: Each, round: number) => Promise<Result>,
): Promise<Map<Each, Result[]>> {
  const results = new Map<Each, Result[]>(each.map((one) => [one, []]));
  for (let round = 0; round < rounds; round++) {
    for (const one of each) results.get(one)!.push(await step(one, round));
  }
  return results;
}
