import { randomUUID } from "node:crypto";
import type { Store } from "@sallyport/decider";
import { AppError } from "@sallyport/runtime";
import type { AccessFact } from "../access-decider.ts";
import type { Observation, Observations } from "./observations.ts";

export interface LookAgainParts {
  access: Store<null, AccessFact>;
  observations: Observations;
}

/** An edge gives up an observation after 10 s. */
const OBSERVED_MS = 12_000;

/**
 * Has a target looked at anew. Published, so that every edge sees it and the log tells who made the gateway log in there.
 * undefined: no edge answered in time.
 */
export async function lookAgain(
  { connection, database, by }: { connection: string; database: string; by: string },
  signal: AbortSignal,
  { access, observations }: LookAgainParts,
): Promise<Observation | undefined> {
  const next = observations.next(connection, database, OBSERVED_MS, signal);
  const fact: AccessFact = { $case: "observationRequested", value: { connection, database } };
  const said = await access.handle(randomUUID(), fact, { cause: by });
  if (said.kind === "refused") throw new AppError(said.code, "catalog.lookAgain", said.message);
  return next;
}
