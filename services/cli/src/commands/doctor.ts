import type { Command } from "commander";
import { Finding_Level, type DoctorResponse, type Finding } from "@sallyport/proto/catalog";
import { call } from "../api.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { visible, when } from "../output.ts";
import type { Run } from "../program.ts";
import { placeOf } from "./explain.ts";

/** doctor: how a connection's target and its roles there are set up. */
export function addDoctorCommand(program: Command, run: Run): void {
  program
    .command("doctor")
    .description("Look at a connection's target: can it be reached, and what could its roles do past every policy?")
    .argument("<connection>", "connection, or connection/database")
    .option("--cached", "answer from the last observation, without asking the target again")
    .addHelpText(
      "after",
      "\nNeeds `configure`, or `audit` on the connection. Ends with 1 if there is a problem.\nSQL for the target's administrator goes to standard output with --format table: `sallyport doctor orders | grep ';$'`.",
    )
    .action(
      run(async (context, where: string, options: { cached?: boolean }) => {
        const api = context.api.configuration;
        const request = { ...placeOf(where), cached: options.cached === true };
        show(context, await call(api, api.doctor, request, context.as));
      }),
    );
}

function show({ print }: Context, { findings, database, observedAtMs }: DoctorResponse): void {
  if (findings.some(({ level }) => level === Finding_Level.LEVEL_PROBLEM)) process.exitCode = EXIT.failed;
  if (print.format !== "table") {
    print.rows(
      ["level", "check", "message", "statements"],
      findings.map(({ level, check, message, statements }) => [wordOf(level), check, message, statements]),
    );
    return;
  }
  for (const { level, check, message, statements } of findings) {
    const name = paintOf(level, print.paint)(wordOf(level).padEnd(7));
    print.line(`${name}  ${print.paint.bold(check)}: ${visible(message)}`);
    for (const statement of statements) print.line(`           ${visible(statement)}`);
  }
  print.say(
    observedAtMs === 0
      ? `${database} has never been observed.`
      : `${database} has looked like this since ${when(observedAtMs)} UTC.`,
  );
}

function wordOf(level: Finding["level"]): string {
  switch (level) {
    case Finding_Level.LEVEL_OK:
      return "ok";
    case Finding_Level.LEVEL_ADVICE:
      return "advice";
    case Finding_Level.LEVEL_WARNING:
      return "warning";
    default:
      return "problem";
  }
}

function paintOf(level: Finding["level"], paint: Context["print"]["paint"]): (text: string) => string {
  switch (level) {
    case Finding_Level.LEVEL_OK:
      return (text) => paint.green(text);
    case Finding_Level.LEVEL_ADVICE:
      return (text) => paint.dim(text);
    case Finding_Level.LEVEL_WARNING:
      return (text) => paint.yellow(text);
    default:
      return (text) => paint.red(text);
  }
}
