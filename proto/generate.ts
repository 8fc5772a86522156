/**
 * `npm run generate`: formats and lints the .proto files, generates gen/ and moves the baseline of `buf breaking` on.
 * Stops before the baseline when the change would break a reader of what is already on the bus.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = import.meta.dirname;
const buf = join(root, "../node_modules/.bin/buf");

const steps: string[][] = [
  ["format", "--write", "."],
  ["lint"],
  ["generate"],
  ["breaking", "--against", "baseline.binpb"],
  ["build", "--exclude-source-info", "-o", "baseline.binpb"],
];

for (const args of steps) {
  // The plugin (protoc-gen-ts_proto) is found on the PATH.
  const env = { ...process.env, PATH: `${join(root, "../node_modules/.bin")}:${process.env["PATH"] ?? ""}` };
  const { status } = spawnSync(buf, args, { cwd: root, env, stdio: "inherit" });
  if (status === 0) continue;
  console.error(`buf ${args.join(" ")}: failed`);
  process.exit(1);
}
