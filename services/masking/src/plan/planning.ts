import type { PlanResult, ResultColumn } from "@sallyport/proto/masking";
import type { StatementLineage } from "@sallyport/proto/verdict";
import type { DatabaseIndex } from "../classification/database-index.ts";
import type { ClassOf } from "./column-plan.ts";
import type { StatementReach } from "./statement-reach.ts";
import { valueKind } from "./value-type.ts";

/** What a plan is made from: the fold at one moment. */
export interface PlanningState {
  /** undefined: never observed */
  database(connection: string, database: string): DatabaseIndex | undefined;
  /** a rule for one of the classes applies to the database, whether or not it matches anything that was observed */
  mayHide(connection: string, database: string, classes: ReadonlySet<string>): boolean;
  dataClass(name: string): ReturnType<ClassOf>;
}

/** What is known while one plan is made. */
export interface Planning {
  request: PlanResult;
  index: DatabaseIndex | undefined;
  hidden: ReadonlySet<string>;
  /** something of this database could be hidden from this principal at all */
  concerned: boolean;
  reach: StatementReach;
  /** undefined: the statement was not followed, and only the description counts */
  lineage: StatementLineage | undefined;
  /** a column of a hidden class is known in the database, or nothing is known of it */
  holdsHidden: boolean;
  classOf: ClassOf;
  /** set when an origin is not in the observed schema */
  stale: boolean;
}

/** Relations with smaller oids are the server's own (FirstNormalObjectId, access/transam.h). */
export const FIRST_NORMAL_OID = 16_384;

/** What has no origin could be of a hidden class. */
export function couldCarryHidden({ request, reach, holdsHidden, hidden }: Planning): boolean {
  if (request.schemaTouched || reach.unresolved) return true;
  if (!reach.touched.isDisjointFrom(hidden)) return true;
  return holdsHidden && (request.unknownSources || reach.temporary);
}

export function kindOf(column: ResultColumn, { index }: Planning): ReturnType<typeof valueKind> {
  return valueKind(column.typeOid, index?.typeNames.get(column.typeOid), column.binary);
}

export const joined = (classes: Iterable<string>): string => [...classes].toSorted().join("+");
