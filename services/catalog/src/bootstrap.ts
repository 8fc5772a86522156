import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { SourceFile } from "@sallyport/proto/catalog";
import type { Store } from "@sallyport/decider";
import { AppError, type Logger } from "@sallyport/runtime";
import type { Checked } from "./configuration/check-files.ts";
import type { ApplyConfiguration, ConfigurationState } from "./configuration/configuration-decider.ts";
import { CONFIGURATION } from "./configuration-service.ts";

const CAUSE = "system:bootstrap";

/**
 * Applies a folder where nothing was ever applied: without policies policy can allow nobody to apply the first ones. What
 * was applied once is never replaced from here. Throws `invalid-input` with every problem of the folder.
 */
export async function bootstrap(
  folder: string,
  store: Store<ConfigurationState, ApplyConfiguration>,
  check: (files: readonly SourceFile[]) => Promise<Checked>,
  log: Logger,
): Promise<void> {
  if ((await store.load(CONFIGURATION)).state.digest !== "") return;
  const { configuration, problems } = await check(await readFolder(folder));
  if (problems.length > 0) {
    const lines = problems.map(
      ({ path, line, column, message }) => `  ${path}${line === 0 ? "" : `:${line}:${column}`}: ${message}`,
    );
    throw new AppError(
      "invalid-input",
      "catalog.bootstrap",
      `${folder}: ${problems.length} problem(s), nothing was applied\n${lines.join("\n")}`,
    );
  }
  const handled = await store.handle(
    CONFIGURATION,
    { configuration, expectedPlan: "", onlyFirst: true },
    { cause: CAUSE },
  );
  if (handled.kind === "refused") throw new AppError(handled.code, "catalog.bootstrap", handled.message);
  log.info({ folder, digest: handled.state.digest, asOf: handled.seq }, "first configuration applied");
}

export async function readFolder(folder: string): Promise<SourceFile[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const paths = entries
      .filter((entry) => entry.isFile() && /\.(ya?ml|cedar)$/.test(entry.name))
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
      .toSorted();
    return await Promise.all(
      paths.map(async (path) => ({
        path: path.split(sep).join("/"),
        text: await readFile(join(folder, path), "utf8"),
      })),
    );
  } catch (cause) {
    throw new AppError("failed-precondition", "catalog.bootstrap", `the folder ${folder} cannot be read`, { cause });
  }
}
