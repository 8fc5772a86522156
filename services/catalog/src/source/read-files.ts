import type { Problem, SourceFile } from "@sallyport/proto/catalog";
import type { z } from "zod";
import { fileShape, type FileContent } from "./file-shapes.ts";
import { parseYaml, type Path, type YamlSource } from "./yaml-source.ts";

/** An entry of a list in a file, and how to speak about it. */
export interface Entry<T> {
  value: T;
  problem(at: Path, message: string): Problem;
}

/** Everything that the files say, list by list. */
export interface Sources {
  connections: Entry<NonNullable<FileContent["connections"]>[number]>[];
  classes: Entry<NonNullable<FileContent["classes"]>[number]>[];
  classifications: Entry<NonNullable<FileContent["classifications"]>[number]>[];
  groups: Entry<NonNullable<FileContent["groups"]>[number]>[];
  issuers: Entry<NonNullable<FileContent["issuers"]>[number]>[];
  policies: SourceFile[];
  problems: Problem[];
}

// As the command line's limits, so that what it sends is not refused here.
const MOST_FILES = 2_000;
const MOST_BYTES = 8 * 1024 * 1024;
const FILE_BYTES = 1024 * 1024;

/** Reads the files of a folder. What one file says wrongly does not keep the others from being read. */
export function readFiles(files: readonly SourceFile[], variables: Readonly<Record<string, string>>): Sources {
  const sources: Sources = {
    connections: [],
    classes: [],
    classifications: [],
    groups: [],
    issuers: [],
    policies: [],
    problems: [],
  };
  const bytes = files.reduce((sum, file) => sum + Buffer.byteLength(file.text), 0);
  if (files.length > MOST_FILES || bytes > MOST_BYTES) {
    sources.problems.push(
      whole(
        "",
        `${files.length} files of ${bytes} bytes: at most ${MOST_FILES} files of ${MOST_BYTES} bytes in all are taken`,
      ),
    );
    return sources;
  }
  const seen = new Set<string>();
  for (const file of files) {
    const problem = fileProblem(file, seen);
    seen.add(file.path);
    if (problem !== undefined) sources.problems.push(whole(file.path, problem));
    else if (file.path.endsWith(".cedar")) sources.policies.push(file);
    else readYaml(file, variables, sources);
  }
  return sources;
}

const whole = (path: string, message: string): Problem => ({ path, line: 0, column: 0, message });

function fileProblem({ path, text }: SourceFile, seen: ReadonlySet<string>): string | undefined {
  if (
    path.length > 500 ||
    path.startsWith("/") ||
    path.split("/").some((part) => part === "" || part === "." || part === "..")
  )
    return "expected a path below the folder";
  if (!/\.(ya?ml|cedar)$/.test(path)) return "expected a .yaml, .yml or .cedar file";
  if (seen.has(path)) return "this file is given twice";
  if (Buffer.byteLength(text) > FILE_BYTES) return `a file has at most ${FILE_BYTES} bytes`;
  return undefined;
}

function readYaml(file: SourceFile, variables: Readonly<Record<string, string>>, sources: Sources): void {
  const source = parseYaml(file.path, file.text, variables);
  sources.problems.push(...source.problems);
  // an empty file, or nothing but comments, says nothing
  if (source.problems.length > 0 || source.value === null || source.value === undefined) return;
  const parsed = fileShape.safeParse(source.value);
  if (!parsed.success) {
    sources.problems.push(...parsed.error.issues.flatMap((issue) => problemsOf(issue, source)));
    return;
  }
  const content = parsed.data;
  const entries = <T>(list: keyof FileContent, values: readonly T[] | undefined): Entry<T>[] =>
    (values ?? []).map((value, i) => ({ value, problem: (at, message) => source.problem([list, i, ...at], message) }));
  sources.connections.push(...entries("connections", content.connections));
  sources.classes.push(...entries("classes", content.classes));
  sources.classifications.push(...entries("classifications", content.classifications));
  sources.groups.push(...entries("groups", content.groups));
  sources.issuers.push(...entries("issuers", content.issuers));
}

function problemsOf(issue: z.core.$ZodIssue, source: YamlSource): Problem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => source.problem(issue.path, `the key \`${key}\` is not known here`, key));
  }
  // of a choice between shapes, what is wrong inside the shape that was meant says more than that none fits
  if (issue.code === "invalid_union") {
    const meant = issue.errors.filter((issues) => issues.every((inner) => inner.path.length > 0));
    if (meant.length === 1) {
      return meant[0]!.flatMap((inner) => problemsOf({ ...inner, path: [...issue.path, ...inner.path] }, source));
    }
  }
  const last = issue.path.at(-1);
  const missing =
    issue.code === "invalid_type" && issue.input === undefined && /received undefined/.test(issue.message);
  const message = missing
    ? `\`${String(last)}\` is missing`
    : `${typeof last === "string" ? `\`${last}\`: ` : ""}${issue.message}`;
  return [source.problem(issue.path, message)];
}
