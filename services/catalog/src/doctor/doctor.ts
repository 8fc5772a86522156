/** How well a connection's target and its roles there are set up. The target is looked at by edges: only they reach it. */
import { DoctorResponse, type DoctorRequest } from "@sallyport/proto/catalog";
import type { MaskPlan, PlanResult } from "@sallyport/proto/masking";
import type { CallInfo, Callers } from "@sallyport/runtime";
import type { CatalogState } from "../catalog-state.ts";
import { lookAgain, type LookAgainParts } from "../observation/look-again.ts";
import type { Observation } from "../observation/observations.ts";
import { columnFindings } from "./column-findings.ts";
import { connectionFindings } from "./connection-findings.ts";
import { hiddenFromAll } from "./hidden-from-all.ts";
import { hiddenColumns } from "./hidden-columns.ts";
import { roleFindings } from "./role-findings.ts";

export interface DoctorParts extends LookAgainParts {
  state: CatalogState;
  callers: Callers;
  plan(request: PlanResult, signal: AbortSignal): Promise<MaskPlan>;
}

const OP = "catalog.doctor";

export async function doctor(request: DoctorRequest, call: CallInfo, parts: DoctorParts): Promise<DoctorResponse> {
  const { state, callers } = parts;
  const caller = await callers.callerOf(call);
  const { allowed } = await callers.authorize(caller.principal, "configure", "", call.signal);
  if (!allowed) await callers.requireAction(caller, "audit", request.connection, call.signal);
  const { connection, database } = state.resolve(request.connection, request.database, OP);
  const looked = request.cached
    ? "not-asked"
    : await lookAgain({ connection: connection.name, database, by: caller.principal.id }, call.signal, parts);
  const observed = state.schema(connection.name, database);
  const findings = connectionFindings({ connection, looked, observed });
  if (observed !== undefined) {
    findings.push(...roleFindings({ connection, database, schema: observed.schema }));
    const classes = await hiddenFromAll(state.configuration, connection.name, callers, call.signal);
    const place = { connection: connection.name, database };
    const hidden = await hiddenColumns(observed.schema, place, classes, (shape) => parts.plan(shape, call.signal));
    findings.push(...columnFindings({ connection, schema: observed.schema, hidden, classes }));
  }
  return DoctorResponse.fromPartial({ database, findings, observedAtMs: observed?.atMs ?? 0 });
}

/** undefined: no edge answered in time */
export type Looked = Observation | "not-asked" | undefined;
