import { type Decider, events } from "@sallyport/decider";
import type { CommandExplained, ObservationRequested } from "@sallyport/proto/event";

export type AccessFact =
  | { $case: "commandExplained"; value: CommandExplained }
  | { $case: "observationRequested"; value: ObservationRequested };

/** The aggregate `access/<uuid>`: one use of a power of the gateway's own. Nothing comes after it. */
export const accessDecider: Decider<null, AccessFact> = {
  initial: () => null,
  decide: (fact) => events(fact),
  evolve: (state) => state,
};
