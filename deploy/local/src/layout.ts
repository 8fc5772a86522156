import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

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
}

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
  };
}

/** Creates the folders; only the owner may look inside, for keys and the log live here. */
export function prepareLayout(layout: Layout): void {
  for (const folder of Object.values(layout)) mkdirSync(folder, { recursive: true, mode: 0o700 });
}

export function forgetLayout(layout: Layout): void {
  rmSync(layout.root, { recursive: true, force: true });
}
