import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { Command } from "commander";
import { Change_Kind, type Change, type Problem, type SourceFile } from "@sallyport/proto/catalog";
import { AppError } from "@sallyport/runtime";
import { call } from "../api.ts";
import type { Context } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { whyUnreadable } from "../file-problem.ts";
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
        show(context, answer, { digest: answer.digest });
        if (answer.changes.length > 0 && context.print.format !== "json")
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
        show(context, answer, { configuration: answer.digest });
      }),
    );
}

interface Answer {
  readonly problems: readonly Problem[];
  readonly changes: readonly Change[];
}

/** JSON is one object, whatever came out: scripts take the digest from it. */
export function show(context: Pick<Context, "print">, answer: Answer, digest: Readonly<Record<string, string>>): void {
  const { problems, changes } = answer;
  if (problems.length > 0) process.exitCode = EXIT.usage;
  if (context.print.format === "json") {
    context.print.record({
      ...digest,
      changes: changes.map((change) => ({ change: kindOf(change), what: change.what, detail: change.detail })),
      problems: problems.map(({ path, line, column, message }) => ({ path, line, column, message })),
    });
  } else if (problems.length > 0) showProblems(context, problems);
  else showChanges(context, changes);
  if (problems.length > 0)
    context.print.say(`${problems.length} problem${problems.length === 1 ? "" : "s"}; nothing was changed.`);
}

function showProblems({ print }: Pick<Context, "print">, problems: readonly Problem[]): void {
  if (print.format === "table") {
    for (const problem of problems) {
      const place = problem.line === 0 ? problem.path : `${problem.path}:${problem.line}:${problem.column}`;
      print.line(`${print.paint.red(place)}: ${problem.message}`);
    }
    return;
  }
  print.rows(
    ["path", "line", "column", "message"],
    problems.map((problem) => [problem.path, problem.line, problem.column, problem.message]),
  );
}

function showChanges({ print }: Pick<Context, "print">, changes: readonly Change[]): void {
  if (changes.length === 0 && print.format === "table") {
    print.line("No changes.");
    return;
  }
  print.rows(
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
  try {
    return readFiles(folder);
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    const { path = folder } = cause as NodeJS.ErrnoException;
    throw new AppError(
      "invalid-input",
      "cli.folder",
      `${path} cannot be read: ${whyUnreadable(cause)}. Name the folder with your YAML and Cedar files with -f.`,
      { cause },
    );
  }
}

function readFiles(folder: string): SourceFile[] {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ya?ml|cedar)$/.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted();
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
