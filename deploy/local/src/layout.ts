import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AppError } from "@sallyport/runtime";

/** Where everything of one local deployment lives. One folder, so that `--fresh` is one removal. */
export interface Layout {
  readonly root: string;
  readonly pki: string;
  readonly keys: string;
  readonly secrets: string;
  readonly config: string;
  readonly logs: string;
  readonly nats: string;
  readonly clickhouse: string;
  readonly profiles: string;
  readonly idp: string;
  /** who uses all this: see state-claim.ts */
  readonly run: string;
}

/** Stands in a folder that was made here, and may be removed as a whole. */
const MARK = ".writable";

export function layoutOf(root: string): Layout {
  return {
    root,
    pki: join(root, "pki"),
    keys: join(root, "keys"),
    secrets: join(root, "secrets"),
    config: join(root, "config"),
    logs: join(root, "logs"),
    nats: join(root, "nats"),
    clickhouse: join(root, "clickhouse"),
    profiles: join(root, "profiles"),
    idp: join(root, "idp"),
    run: join(root, "run"),
  };
}

/** Creates the folders; only the owner may look inside, for keys and the log live here. */
export function prepareLayout(layout: Layout): void {
  for (const folder of Object.values(layout)) makeFolder(folder);
  writeFileSync(join(layout.root, MARK), "");
}

/** Not `recursive: true`: with that, mkdir tries for ever in a parent that says ENOENT to everything, like /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** @throws AppError `failed-precondition`: that folder holds something else */
export function forgetLayout(layout: Layout): void {
  if (isForeign(layout.root)) {
    throw new AppError(
      "failed-precondition",
      "local.forget",
      `${layout.root} is not a state folder of Sallyport's, and to forget it would remove everything in it. Name another folder with --state FOLDER.`,
    );
  }
  rmSync(layout.root, { recursive: true, force: true });
}

/** What cannot be looked into is not ours either. */
function isForeign(folder: string): boolean {
  if (!existsSync(folder) || existsSync(join(folder, MARK))) return false;
  try {
    return readdirSync(folder).length > 0;
  } catch {
    return true;
  }
}
