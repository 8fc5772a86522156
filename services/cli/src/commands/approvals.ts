import type { Command } from "commander";
import { ApprovalStatus, type ApprovalState } from "@sallyport/proto/approval";
import { AppError } from "@sallyport/runtime";
import { call, items } from "../api.ts";
import type { Context } from "../context.ts";
import { durationOf, parseDuration } from "../duration.ts";
import { executedLines, parameterLines } from "../held-view.ts";
import { visible, when } from "../output.ts";
import type { Run } from "../program.ts";

/** approvals, approve, deny, request, break-glass: the second person, and doing without. */
export function addApprovalCommands(program: Command, run: Run): void {
  program
    .command("approvals")
    .description("List what waits for somebody's approval, and the access that is granted for a time.")
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
    .description("Let a held command run, once; or let somebody in for the time they have asked for.")
    .argument("<id>", "the approval's id")
    .option("--reason <text>", "a comment for the record", "")
    .action(run((context, id: string, options: { reason: string }) => decide(context, id, true, options.reason)));

  program
    .command("deny")
    .description("Refuse a held command or an access; end an access that is granted, or broken glass, before its time.")
    .argument("<id>", "the approval's id")
    .requiredOption("--reason <text>", "why; the requester is told")
    .action(run((context, id: string, options: { reason: string }) => decide(context, id, false, options.reason)));

  addAccessRequests(program, run);
}

interface AccessOptions {
  database?: string;
  for?: string;
  reason: string;
}

function addAccessRequests(program: Command, run: Run): void {
  const placed = (command: Command): Command =>
    command
      .argument("<connection>", "connection, or connection/database")
      .option("--database <name>", "when it is not the connection's own");

  placed(program.command("request"))
    .description("Ask to be let in to a connection for a time. It begins when it is granted.")
    .requiredOption("--for <duration>", "how long: 30m, 1h")
    .requiredOption("--reason <text>", "why; those who approve are told, and it is recorded")
    .action(
      run(async (context, connection: string, options: AccessOptions) => {
        const api = context.api.approvals;
        const { state } = await call(api, api.requestWindow, accessOf(connection, options), context.as);
        shown(context, state);
        const groups = [...new Set(state?.holds.map((hold) => hold.group))].join(", ");
        context.print.say(`It waits for ${groups}. \`sallyport approvals --watch\` tells when it is answered.`);
      }),
    );

  placed(program.command("break-glass"))
    .description("In an emergency, lift for yourself what others would have to approve. It raises an alarm.")
    .option("--for <duration>", "how long: 15m; without it, as long as policy lets")
    .requiredOption("--reason <text>", "why; everybody who watches is told, and it is recorded")
    .action(
      run(async (context, connection: string, options: AccessOptions) => {
        const api = context.api.approvals;
        const { state } = await call(api, api.breakGlass, accessOf(connection, options), context.as);
        shown(context, state);
        context.print.say(
          `Glass is broken until ${when(state?.expiresAtMs ?? 0)} UTC, and an alarm was raised. ` +
            `Give it back when you are done: sallyport deny ${state?.approvalId ?? "<id>"} --reason "done"`,
        );
      }),
    );
}

function accessOf(connection: string, options: AccessOptions) {
  const slash = connection.indexOf("/");
  const [name, database] = slash < 0 ? [connection, ""] : [connection.slice(0, slash), connection.slice(slash + 1)];
  return {
    connection: name,
    database: options.database ?? database,
    seconds: options.for === undefined ? 0 : parseDuration(options.for),
    reason: options.reason,
  };
}

function shown(context: Context, state: ApprovalState | undefined): void {
  if (state === undefined) throw new AppError("internal", "cli.access", "The gateway's answer was empty.");
  show(context, [state]);
}

/** What is asked for, in a line. */
function asked({ window, breakGlass, text, normalized }: ApprovalState): string {
  if (window === undefined) return text || normalized;
  return `${breakGlass === true ? "BREAK-GLASS" : "connect"} for ${durationOf(window.seconds)}`;
}

async function decide(context: Context, approvalId: string, grant: boolean, reason: string): Promise<void> {
  const api = context.api.approvals;
  const { state } = await call(api, api.decide, { approvalId, grant, reason }, context.as);
  shown(context, state);
}

const COLUMNS = [
  "id",
  "status",
  "principal",
  "connection",
  "command",
  "reason",
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
      asked(state),
      state.requestReason ?? "",
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
  context.print.line(`  ${visible(asked(state))}`);
  if (state.requestReason) context.print.line(`    because: ${visible(state.requestReason)}`);
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
