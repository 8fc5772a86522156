import type { Command } from "commander";
import { ApprovalStatus, type ApprovalState } from "@sallyport/proto/approval";
import { AppError } from "@sallyport/runtime";
import { call, items } from "../api.ts";
import type { Context } from "../context.ts";
import { executedLines, parameterLines } from "../held-view.ts";
import { visible, when } from "../output.ts";
import type { Run } from "../program.ts";

/** approvals, approve, deny: the second person. */
export function addApprovalCommands(program: Command, run: Run): void {
  program
    .command("approvals")
    .description("List the commands that wait for somebody's approval.")
    .option("--watch", "go on and print each change until Ctrl-C")
    .option("--all", "also those that are decided")
    .action(
      run(async (context, options: { watch?: boolean; all?: boolean }) => {
        const api = context.api.approvals;
        if (options.watch !== true) {
          const { approvals } = await call(api, api.list, { all: options.all === true }, context.as);
          show(context, approvals);
          return;
        }
        context.print.say("Waiting for requests. Ctrl-C ends this.");
        for await (const state of items(api.watch({}, context.as))) showOne(context, state);
      }),
    );

  program
    .command("approve")
    .description("Let a held command run, once.")
    .argument("<id>", "the approval's id")
    .option("--reason <text>", "a comment for the record", "")
    .action(run((context, id: string, options: { reason: string }) => decide(context, id, true, options.reason)));

  program
    .command("deny")
    .description("Refuse a held command.")
    .argument("<id>", "the approval's id")
    .requiredOption("--reason <text>", "why; the requester is told")
    .action(run((context, id: string, options: { reason: string }) => decide(context, id, false, options.reason)));
}

async function decide(context: Context, approvalId: string, grant: boolean, reason: string): Promise<void> {
  const api = context.api.approvals;
  const { state } = await call(api, api.decide, { approvalId, grant, reason }, context.as);
  if (state === undefined) throw new AppError("internal", "cli.decide", "The gateway's answer was empty.");
  show(context, [state]);
}

const COLUMNS = [
  "id",
  "status",
  "principal",
  "connection",
  "command",
  "parameters",
  "runs",
  "needs",
  "granted by",
  "until",
];

function show(context: Context, approvals: readonly ApprovalState[]): void {
  context.print.rows(
    COLUMNS,
    approvals.map((state) => [
      state.approvalId,
      statusOf(state.status),
      [state.principalId, ...state.actors].join(" via "),
      state.database === "" ? state.connection : `${state.connection}/${state.database}`,
      state.text || state.normalized,
      parameterLines(state.shown),
      executedLines(state.shown),
      state.holds.map((hold) => (hold.quorum > 1 ? `${hold.quorum} of ${hold.group}` : hold.group)),
      state.grantedBy,
      when(state.expiresAtMs),
    ]),
  );
}

function showOne(context: Context, state: ApprovalState): void {
  if (context.print.format !== "table") {
    show(context, [state]);
    return;
  }
  const { paint } = context.print;
  const status = statusOf(state.status);
  context.print.line(
    `${paint.bold(state.approvalId)}  ${status === "pending" ? paint.yellow(status) : status}  ${[state.principalId, ...state.actors].join(" via ")} on ${state.connection}`,
  );
  context.print.line(`  ${visible(state.text || state.normalized)}`);
  for (const line of [...parameterLines(state.shown), ...executedLines(state.shown)]) {
    context.print.line(`    ${visible(line)}`);
  }
  if (state.reason !== "") context.print.line(paint.dim(`  ${visible(state.reason)}`));
}

export function statusOf(status: ApprovalStatus): string {
  switch (status) {
    case ApprovalStatus.APPROVAL_STATUS_PENDING:
      return "pending";
    case ApprovalStatus.APPROVAL_STATUS_GRANTED:
      return "granted";
    case ApprovalStatus.APPROVAL_STATUS_DENIED:
      return "denied";
    case ApprovalStatus.APPROVAL_STATUS_EXPIRED:
      return "expired";
    case ApprovalStatus.APPROVAL_STATUS_USED:
      return "used";
    case ApprovalStatus.APPROVAL_STATUS_WITHDRAWN:
      return "withdrawn";
    default:
      return "unknown";
  }
}
