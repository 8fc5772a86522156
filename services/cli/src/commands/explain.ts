import type { Command } from "commander";
import type { Decided, ExplainedColumn, ExplainedObject, ExplainResponse } from "@sallyport/proto/catalog";
import { Access, DenyReason, Outcome } from "@sallyport/proto/verdict";
import { AppError } from "@sallyport/runtime";
import { call } from "../api.ts";
import type { Context } from "../context.ts";
import type { Cell } from "../output.ts";
import type { Run } from "../program.ts";

/** explain: what would become of a command. */
export function addExplainCommand(program: Command, run: Run): void {
  program
    .command("explain")
    .description("Say what would become of a command, and what you would see of its result. Runs nothing.")
    .argument("<connection>", "connection, or connection/database")
    .argument("<sql>", "the command")
    .option("--as <principal>", "somebody else's, for example user:contractor; needs `audit`, and is recorded", "")
    .option("--search-path <schemas>", "schemas in effect, with commas; default: those of a fresh session", "")
    .addHelpText("after", "\n`--format csv` prints the columns of the results only; `json` prints everything.")
    .action(
      run(async (context, where: string, text: string, options: { as: string; searchPath: string }) => {
        const api = context.api.configuration;
        const searchPath = options.searchPath.split(",").flatMap((name) => (name.trim() === "" ? [] : [name.trim()]));
        const request = { ...placeOf(where), text, principalId: options.as, searchPath };
        show(context, await call(api, api.explain, request, context.as));
      }),
    );
}

/** `connection/database`, as psql takes it; without one it is the connection's own. */
export function placeOf(where: string): { connection: string; database: string } {
  const [connection = "", database = "", ...more] = where.split("/");
  if (connection === "" || more.length > 0)
    throw new AppError("invalid-input", "cli.connection", `"${where}" is no connection, nor connection/database.`);
  return { connection, database };
}

const COLUMNS = ["statement", "column", "origins", "class", "shown", "why"];

function show({ print }: Context, answer: ExplainResponse): void {
  if (print.format === "json") {
    print.record(everything(answer));
    return;
  }
  const rows = answer.results.flatMap(({ statement, columns, unknown }) =>
    unknown === "" ? columns.map((column) => rowOf(statement, column)) : [[statement + 1, "?", "", "", "", unknown]],
  );
  if (print.format === "csv") {
    print.rows(COLUMNS, rows);
    return;
  }
  print.record(summary(answer));
  if (rows.length > 0) {
    print.line("");
    const several = answer.results.length > 1;
    print.rows(several ? COLUMNS : COLUMNS.slice(1), several ? rows : rows.map((row) => row.slice(1)));
  }
  for (const remark of answer.remarks) print.say(remark);
}

function rowOf(statement: number, column: ExplainedColumn): Cell[] {
  return [statement + 1, column.name, originsOf(column), column.class, column.shown, column.why];
}

/** Computed from them, unless they are shown as they are; and what is not known. */
export function originsOf({ origins, exact, unknown }: Pick<ExplainedColumn, "origins" | "exact" | "unknown">): string {
  const named = origins.join(", ");
  const known = exact || origins.length === 0 ? named : `from ${named}`;
  return unknown === "" ? known : [known, `unknown: ${unknown}`].filter((part) => part !== "").join("; ");
}

function summary(answer: ExplainResponse): Record<string, Cell> {
  const { connect, command } = answer;
  const groups = answer.groups.length === 0 ? "in no group" : answer.groups.join(", ");
  return {
    as: `${answer.principalId} (${groups})`,
    ...(answer.targetRole === "" ? {} : { "target role": answer.targetRole }),
    ...(connect?.outcome === Outcome.OUTCOME_FORWARD ? {} : { connect: sentenceOf(connect) }),
    outcome: sentenceOf(command),
    policies: command?.determining ?? [],
    ...(command && command.holds.length > 0 ? { holds: command.holds.map(holdOf) } : {}),
    ...(command && command.shadow.length > 0 ? { shadow: command.shadow } : {}),
    actions: answer.actions,
    objects: answer.objects.map(objectOf),
    ...(answer.probes.length > 0 ? { probes: answer.probes } : {}),
    ...(answer.probedClasses.length > 0 ? { "probed classes": answer.probedClasses } : {}),
    hidden: answer.hiddenClasses,
  };
}

export function sentenceOf(decided: Decided | undefined): string {
  const { outcome, reason, message } = decided ?? { outcome: undefined, reason: undefined, message: "" };
  switch (outcome) {
    case Outcome.OUTCOME_FORWARD:
      return "allowed";
    case Outcome.OUTCOME_HOLD:
      return message === "" ? "held" : `held: ${message}`;
    default: {
      const why = message === "" ? wordOf(DenyReason, reason, "DENY_REASON_") : message;
      return `refused: ${why}`;
    }
  }
}

const holdOf = ({ policyId, group, quorum, withinSeconds }: Decided["holds"][number]): string =>
  `${policyId}: ${quorum} of ${group} within ${withinSeconds} s`;

const objectOf = ({ name, kind, access, columns }: ExplainedObject): string =>
  `${access.map((one) => wordOf(Access, one, "ACCESS_")).join("+") || "names"} ${name} (${kind}${columns.length > 0 ? `: ${columns.join(", ")}` : ""})`;

/** A literal of a generated enum in words: `DENY_REASON_NOT_PERMITTED` → `not permitted`. */
function wordOf(of: Readonly<Record<string, unknown>>, value: unknown, prefix: string): string {
  const name = Object.keys(of).find((key) => of[key] === value) ?? "";
  return name.replace(prefix, "").toLowerCase().replaceAll("_", " ");
}

function everything(answer: ExplainResponse): Record<string, Cell> {
  const decided = (one: Decided | undefined): Cell => ({
    outcome: wordOf(Outcome, one?.outcome, "OUTCOME_"),
    reason: one?.outcome === Outcome.OUTCOME_DENY ? wordOf(DenyReason, one.reason, "DENY_REASON_") : "",
    message: one?.message ?? "",
    policies: one?.determining ?? [],
    shadow: one?.shadow ?? [],
    holds: (one?.holds ?? []).map(({ policyId, group, quorum, withinSeconds, message }) => ({
      policy: policyId,
      group,
      quorum,
      withinSeconds,
      message,
    })),
  });
  return {
    principal: answer.principalId,
    groups: answer.groups,
    database: answer.database,
    targetRole: answer.targetRole,
    connect: decided(answer.connect),
    command: decided(answer.command),
    actions: answer.actions,
    verbs: answer.verbs,
    objects: answer.objects.map(({ name, kind, access, columns }) => ({
      name,
      kind,
      access: access.map((one) => wordOf(Access, one, "ACCESS_")),
      columns,
    })),
    probes: answer.probes,
    probedClasses: answer.probedClasses,
    hiddenClasses: answer.hiddenClasses,
    results: answer.results.map(({ statement, columns, unknown }) => ({
      statement: statement + 1,
      unknown,
      columns: columns.map((column) => ({
        name: column.name,
        origins: column.origins,
        exact: column.exact,
        unknown: column.unknown,
        class: column.class,
        shown: column.shown,
        why: column.why,
      })),
    })),
    remarks: answer.remarks,
    asOf: answer.asOf,
  };
}
