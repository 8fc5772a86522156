import type { Command } from "commander";
import type { ReplayItem } from "@sallyport/proto/audit";
import { AppError } from "@sallyport/runtime";
import { call, items } from "../api.ts";
import type { Context } from "../context.ts";
import { when, type Cell } from "../output.ts";
import { createReplayView } from "../replay-view.ts";
import type { Run } from "../program.ts";

/** sessions, replay, tail, sql, status: asking the log. */
export function addLogCommands(program: Command, run: Run): void {
  program
    .command("sessions")
    .description("List sessions, newest first.")
    .option("--principal <id>", "only of this principal", "")
    .option("--connection <name>", "only of this connection", "")
    .option("--live", "only those that are open")
    .option("--limit <n>", "how many", "50")
    .action(
      run(async (context, options: { principal: string; connection: string; live?: boolean; limit: string }) => {
        const request = {
          principalId: options.principal,
          connection: options.connection,
          live: options.live === true,
          limit: wholeNumber(options.limit, "--limit"),
        };
        const { sessions } = await call(context.api.audit, context.api.audit.listSessions, request, context.as);
        context.print.rows(
          ["session", "principal", "connection", "opened", "closed", "state", "commands", "denied", "held", "client"],
          sessions.map((one) => [
            one.sessionId,
            [one.principalId, ...one.actors].join(" via "),
            one.connection,
            when(one.openedAtMs),
            when(one.closedAtMs),
            one.cause === "" ? one.state : `${one.state} (${one.cause})`,
            one.commands,
            one.denied,
            one.held,
            one.clientAddress,
          ]),
        );
      }),
    );

  program
    .command("replay")
    .description("Show a session as it happened: commands and answers, as far as you may see them.")
    .argument("<session>", "the session's id")
    .option("--from <seq>", "begin at this record", "0")
    .action(
      run(async (context, sessionId: string, options: { from: string }) => {
        const request = { sessionId, fromSeq: wholeNumber(options.from, "--from") };
        const shown = await showItems(context, items(context.api.audit.replay(request, context.as)));
        if (shown === 0) throw new AppError("not-found", "cli.replay", `The log holds no session ${sessionId}.`);
      }),
    );

  program
    .command("tail")
    .description("Follow live sessions.")
    .argument("[session]", "only this one", "")
    .action(
      run(async (context, sessionId: string) => {
        await showItems(context, items(context.api.audit.tail({ sessionId }, context.as)));
      }),
    );

  program
    .command("sql")
    .description("Ask the log in ClickHouse SQL. docs/sql.md lists its tables.")
    .argument("<query>", "one SELECT")
    .option("--param <name=value...>", "value of a {name:Type} in the query", [])
    .option("--max-rows <n>", "cut the answer off", "0")
    .action(
      run(async (context, sql: string, options: { param: string[]; maxRows: string }) => {
        const parameters = Object.fromEntries(options.param.map(parameter));
        const request = { sql, parameters, maxRows: wholeNumber(options.maxRows, "--max-rows") };
        let columns: string[] = [];
        const rows: Cell[][] = [];
        for await (const { part } of items(context.api.audit.query(request, context.as))) {
          if (part?.$case === "columns") columns = part.value.names;
          else if (part?.$case === "row") rows.push(JSON.parse(part.value.json) as Cell[]);
          else if (part?.$case === "done" && part.value.truncated)
            context.print.say(`Cut off after ${part.value.rows} rows.`);
        }
        context.print.rows(columns, rows);
      }),
    );

  program
    .command("status")
    .description("Show the deployment, the log and how far it is behind.")
    .action(
      run(async (context) => {
        const { deployment } = context;
        const status = await call(context.api.audit, context.api.audit.status, {}, context.as);
        context.print.record({
          deployment: deployment.name,
          "postgresql edge": deployment.postgres,
          records: status.records,
          "messages behind": status.lagMessages,
          "behind by (ms)": status.lagMs,
          gaps: status.gaps,
          clickhouse: status.clickhouse,
          "an acknowledgement survives": status.durability,
          "stream bytes": status.storedBytes,
          "stream limit": status.limitBytes,
        });
      }),
    );
}

async function showItems(context: Context, source: AsyncGenerator<ReplayItem>): Promise<number> {
  const view = createReplayView(context.print);
  let count = 0;
  for await (const item of source) {
    view.show(item);
    count += 1;
  }
  view.end();
  return count;
}

function parameter(text: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new AppError("invalid-input", "cli.sql", `--param ${text}: write name=value.`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function wholeNumber(text: string, option: string): number {
  if (!/^\d{1,15}$/.test(text))
    throw new AppError("invalid-input", "cli.option", `${option} ${text}: a whole number is wanted.`);
  return Number(text);
}
