/**
 * Is every hold lifted? Holds of one group are lifted together, so a group needs as many people as its largest quorum.
 * A person counts once per command: whoever is in two groups speaks for one of them, whichever completes the request.
 */
import type { Hold } from "@sallyport/proto/verdict";

/** One person's grant and the holds (policy ids) whose groups they are in. */
export interface Voice {
  approver: string;
  policyIds: readonly string[];
}

/** How many of the needed places the voices fill, and how many there are. */
export function filled(holds: readonly Hold[], voices: readonly Voice[]): { filled: number; needed: number } {
  const places = holds.length === 0 ? [] : placesOf(holds);
  const groupOf = new Map(holds.map((hold) => [hold.policyId, hold.group]));
  const taken: Array<number | undefined> = places.map(() => undefined);
  const groups = voices.map((voice) => new Set(voice.policyIds.map((id) => groupOf.get(id))));

  /** Augmenting path (Kuhn): seats a voice, moving others to another of their groups where that helps. */
  function seat(voice: number, tried: Set<number>): boolean {
    for (const [place, group] of places.entries()) {
      if (tried.has(place) || !groups[voice]!.has(group)) continue;
      tried.add(place);
      const holder = taken[place];
      if (holder !== undefined && !seat(holder, tried)) continue;
      taken[place] = voice;
      return true;
    }
    return false;
  }

  const seated = voices.reduce((count, _, voice) => count + (seat(voice, new Set()) ? 1 : 0), 0);
  return { filled: seated, needed: places.length };
}

/** One place per needed person, named by the group. */
function placesOf(holds: readonly Hold[]): string[] {
  const need = new Map<string, number>();
  for (const hold of holds) need.set(hold.group, Math.max(need.get(hold.group) ?? 0, hold.quorum, 1));
  return [...need].flatMap(([group, count]) => Array.from({ length: count }, () => group));
}
