import { Command, Option } from "commander";
import { addAccessCommands } from "./commands/access.ts";
import { addApprovalCommands } from "./commands/approvals.ts";
import { addConfigurationCommands } from "./commands/configuration.ts";
import { addConnectionCommands } from "./commands/connections.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addExplainCommand } from "./commands/explain.ts";
import { addLogCommands } from "./commands/log.ts";
import { addCompletionCommand } from "./completion.ts";
import { Context, type GlobalOptions } from "./context.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { FORMATS } from "./output.ts";
import { AppError } from "@sallyport/runtime";

/** Turns a command's work into commander's action: gives it its context, prints its failure, sets the exit code. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it is inferred from each command's own parameters
export type Run = <Arguments extends unknown[]>(
  work: (context: Context, ...given: Arguments) => Promise<void> | void,
) => (...given: unknown[]) => Promise<void>;

export function createProgram(): Command {
  const program = new Command("sallyport")
    .description("Reach databases through Sallyport, decide what waits, and ask the log.")
    .version("0.1.0")
    .addOption(new Option("--format <format>", "how answers are printed").choices(FORMATS).default("table"))
    .option("--profile <name>", "the account to use (also SALLYPORT_PROFILE)")
    .showHelpAfterError("(sallyport --help lists the commands)")
    .configureHelp({ showGlobalOptions: true })
    // Before any command is added: each takes it over from its parent, nested ones too.
    .exitOverride()
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 failed, 2 wrong use or bad input, 3 not signed in, 4 not permitted, 5 not found, 6 gateway out of reach.\n`sallyport psql` ends with psql's own code once psql runs.",
    );
  const run: Run =
    <Arguments extends unknown[]>(work: (context: Context, ...given: Arguments) => Promise<void> | void) =>
    async (...given: unknown[]) => {
      const context = new Context(program.opts<GlobalOptions>());
      try {
        // commander's last argument is the command itself.
        await work(context, ...(given.slice(0, -1) as Arguments));
      } catch (error) {
        const failure = AppError.from(error, "cli");
        context.print.say(`${context.print.paint.red("error:")} ${failure.message}`);
        process.exitCode = exitCodeOf(failure);
      } finally {
        context.close();
      }
    };
  addAccessCommands(program, run);
  addConnectionCommands(program, run);
  addConfigurationCommands(program, run);
  addExplainCommand(program, run);
  addDoctorCommand(program, run);
  addApprovalCommands(program, run);
  addLogCommands(program, run);
  addCompletionCommand(program);
  return program;
}
