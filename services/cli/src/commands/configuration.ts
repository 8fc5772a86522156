import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { Command } from "commander";
import { Change_Kind, type Change, type Problem, type SourceFile } from "@sallyport/proto/catalog";
import { AppError } from "@sallyport/runtime";
import { call } from "../api.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import type { Run } from "../program.ts";

/** plan, apply: the one door for configuration. */
export function addConfigurationCommands(program: Command, run: Run): void {
  program
    .command("plan")
    .description("Show what applying a folder of YAML and Cedar would change. Changes nothing.")
    .requiredOption("-f, --folder <folder>", "the folder")
    .action(
      run(async (context, options: { folder: string }) => {
        const api = context.api.configuration;
        const answer = await call(api, api.plan, { files: readFolder(options.folder) }, context.as);
        if (showProblems(context, answer.problems)) return;
        showChanges(context, answer.changes);
        if (answer.changes.length > 0)
          context.print.say(`Apply exactly this with: sallyport apply -f ${options.folder} --expect ${answer.digest}`);
      }),
    );

  program
    .command("apply")
    .description("Check a folder as a whole and publish it. Applying it twice changes nothing.")
    .requiredOption("-f, --folder <folder>", "the folder")
    .option("--expect <digest>", "only if it is still what `plan` showed", "")
    .action(
      run(async (context, options: { folder: string; expect: string }) => {
        const api = context.api.configuration;
        const request = { files: readFolder(options.folder), expectedDigest: options.expect };
        const answer = await call(api, api.apply, request, context.as, 60_000);
        if (showProblems(context, answer.problems)) return;
        showChanges(context, answer.changes);
      }),
    );
}

function showProblems(context: Context, problems: readonly Problem[]): boolean {
  if (problems.length === 0) return false;
  if (context.print.format === "table") {
    for (const problem of problems) {
      const place = problem.line === 0 ? problem.path : `${problem.path}:${problem.line}:${problem.column}`;
      context.print.line(`${context.print.paint.red(place)}: ${problem.message}`);
    }
  } else {
    context.print.rows(
      ["path", "line", "column", "message"],
      problems.map((problem) => [problem.path, problem.line, problem.column, problem.message]),
    );
  }
  context.print.say(`${problems.length} problem${problems.length === 1 ? "" : "s"}; nothing was changed.`);
  process.exitCode = EXIT.usage;
  return true;
}

function showChanges(context: Context, changes: readonly Change[]): void {
  if (changes.length === 0 && context.print.format === "table") {
    context.print.line("No changes.");
    return;
  }
  context.print.rows(
    ["change", "what", "detail"],
    changes.map((change) => [kindOf(change), change.what, change.detail]),
  );
}

function kindOf(change: Change): string {
  switch (change.kind) {
    case Change_Kind.KIND_ADD:
      return "add";
    case Change_Kind.KIND_CHANGE:
      return "change";
    case Change_Kind.KIND_REMOVE:
      return "remove";
    default:
      return "unknown";
  }
}

const MAX_FILES = 2_000;
const MAX_BYTES = 8 * 1024 * 1024;

/** Every `.yaml`, `.yml` and `.cedar` below the folder, by its path from there. */
export function readFolder(folder: string): SourceFile[] {
  let paths: string[];
  try {
    paths = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ya?ml|cedar)$/.test(entry.name))
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      .toSorted();
  } catch (cause) {
    throw new AppError("invalid-input", "cli.folder", `${folder} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (paths.length === 0) throw new AppError("invalid-input", "cli.folder", `${folder} holds no .yaml or .cedar file.`);
  const bytes = paths.reduce((sum, path) => sum + statSync(join(folder, path)).size, 0);
  if (paths.length > MAX_FILES || bytes > MAX_BYTES) {
    throw new AppError(
      "invalid-input",
      "cli.folder",
      `${folder} holds ${paths.length} files of ${bytes} bytes; ${MAX_FILES} files and ${MAX_BYTES} bytes are the most.`,
    );
  }
  return paths.map((path) => ({ path, text: readFileSync(join(folder, path), "utf8") }));
}
