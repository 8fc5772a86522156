/** The answer, from what policy and masking said. Names and reasons only: nothing of the command's text. */
import { Decided, ExplainResponse, type ExplainedColumn, type ExplainedResult } from "@sallyport/proto/catalog";
import { type ColumnPlan, ColumnPlan_Action, type MaskPlan, type PlanResult } from "@sallyport/proto/masking";
import type { Principal } from "@sallyport/proto/principal";
import type { BaseColumn, OutputColumn, StatementLineage, Verdict } from "@sallyport/proto/verdict";

export interface Known {
  principal: Principal;
  offboarded: boolean;
  itself: boolean;
  database: string;
  connect: Verdict;
  command: Verdict;
  /** by position in `command.facts.lineage` */
  requests: readonly (PlanResult | undefined)[];
  plans: readonly (MaskPlan | undefined)[];
  targetRole: string;
  observed: boolean;
}

export function explained(known: Known): ExplainResponse {
  const { principal, command, connect } = known;
  const { facts } = command;
  return ExplainResponse.fromPartial({
    principalId: principal.id,
    groups: principal.groups,
    database: known.database,
    connect: decided(connect),
    command: decided(command),
    actions: facts?.actions ?? [],
    verbs: facts?.verbs ?? [],
    objects: (facts?.relations ?? []).map(({ schema, name, kind, access, columns }) => ({
      name: schema === "" ? name : `${schema}.${name}`,
      kind,
      access,
      columns,
    })),
    probes: sorted((facts?.probes ?? []).flatMap(({ column }) => (column === undefined ? [] : [nameOf(column)]))),
    probedClasses: facts?.probedClasses ?? [],
    hiddenClasses: command.hiddenClasses,
    results: (facts?.lineage ?? []).flatMap((lineage, at) => resultOf(lineage, known.plans[at])),
    remarks: remarksOn(known),
    asOf: command.asOf,
    targetRole: known.targetRole,
  });
}

const decided = ({ outcome, reason, message, determining, shadow, holds }: Verdict): Decided =>
  Decided.fromPartial({ outcome, reason, message, determining, shadow, holds });

function resultOf(lineage: StatementLineage, plan: MaskPlan | undefined): ExplainedResult[] {
  if (lineage.silent) return [];
  if (lineage.unknown !== "") return [{ statement: lineage.statement, columns: [], unknown: lineage.unknown }];
  const columns = lineage.outputs.map((output, at) => columnOf(output, plan?.columns[at]));
  return [{ statement: lineage.statement, columns, unknown: "" }];
}

function columnOf(output: OutputColumn, plan: ColumnPlan | undefined): ExplainedColumn {
  const { name, sources, exact, unknown, temporary } = output;
  return {
    name,
    origins: sorted([...sources.map(nameOf), ...temporary]),
    exact,
    unknown,
    class: plan?.class ?? "",
    shown: plan === undefined ? "" : shown(plan),
    why: plan?.reason ?? "",
  };
}

/** What the principal would see of a value that is a text. */
function shown({ action, redact, partial }: ColumnPlan): string {
  switch (action) {
    case ColumnPlan_Action.ACTION_PASS:
      return "clear";
    case ColumnPlan_Action.ACTION_REDACT:
      return redact === undefined || redact.replacement === "" ? "redacted" : `redacted: ${redact.replacement}`;
    case ColumnPlan_Action.ACTION_PARTIAL: {
      const kept = [
        ...(partial?.keepFirst ? [`first ${partial.keepFirst}`] : []),
        ...(partial?.keepLast ? [`last ${partial.keepLast}`] : []),
      ];
      return kept.length === 0 ? "masked" : `partly: ${kept.join(", ")}`;
    }
    case ColumnPlan_Action.ACTION_HASH:
      return "hash";
    case ColumnPlan_Action.ACTION_SCAN:
      return "scanned";
    default:
      return "NULL";
  }
}

function remarksOn({ itself, offboarded, observed, command, requests, plans }: Known): string[] {
  const remarks = [
    "Nothing was run. A live session may decide otherwise: it has a transaction, settings, temporary tables.",
  ];
  if (!itself) {
    remarks.push("Decided as after a login now; the client's address is not known.");
  }
  if (offboarded) remarks.push("The principal is withdrawn: it cannot sign in at all.");
  if (command.hiddenClasses.length === 0) {
    remarks.push("Nothing is hidden from the principal here: all is shown in clear.");
  }
  if (!observed) remarks.push("The target's schema was never observed, so every relation is unknown.");
  if ((command.facts?.lineage.length ?? 0) > plans.length)
    remarks.push("Only the first results are explained in full.");
  if (requests.some((request) => request?.columns.some(({ tableOid }) => tableOid === 0) === true)) {
    remarks.push("Computed columns are shown as if they were texts; a masked value of another type may be NULL.");
  }
  for (const plan of plans) {
    if (plan !== undefined && plan.disagreement !== "")
      remarks.push(`The result would be withheld: ${plan.disagreement}.`);
  }
  return remarks;
}

const nameOf = ({ relation, name }: BaseColumn): string => `${relation}.${name}`;
const sorted = (names: readonly string[]): string[] => [...new Set(names)].toSorted();
