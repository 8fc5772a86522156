import type { Problem, SourceFile } from "@sallyport/proto/catalog";
import { Configuration } from "@sallyport/proto/catalog_model";
import type { PolicyServiceClient } from "@sallyport/proto/policy";
import { callUnary } from "@sallyport/runtime";
import { readFiles } from "../source/read-files.ts";
import { assemble } from "./assemble.ts";

export interface Checked {
  configuration: Configuration;
  /** empty: the configuration may be applied */
  problems: Problem[];
}

export interface CheckSettings {
  variables: Readonly<Record<string, string>>;
  secretFolders: readonly string[];
}

// One event, one message on the bus.
const MOST_BYTES = 4 * 1024 * 1024;

/** Everything that is wrong with the files, together: their shape, what they say of each other, and their policies. */
export async function checkFiles(
  files: readonly SourceFile[],
  settings: CheckSettings,
  policy: PolicyServiceClient,
  call: { deadlineMs: number; signal?: AbortSignal },
): Promise<Checked> {
  const { configuration, problems } = assemble(readFiles(files, settings.variables), settings.secretFolders);
  const bytes = Configuration.encode(configuration).finish().length;
  if (bytes > MOST_BYTES) {
    const message = `the configuration takes ${bytes} bytes as a whole; at most ${MOST_BYTES} bytes are supported`;
    return { configuration, problems: [...problems, { path: "", line: 0, column: 0, message }] };
  }
  const validated = await callUnary(policy, "validate", { configuration }, call);
  return { configuration, problems: [...problems, ...validated.problems].toSorted(byPlace) };
}

const byPlace = (a: Problem, b: Problem): number =>
  a.path === b.path ? a.line - b.line || a.column - b.column : a.path < b.path ? -1 : 1;
