/**
 * A check, run in the repository's root: package-lock.json locks what every workspace asks for (installing on a fresh
 * clone would otherwise choose versions by itself), and names no registry's host.
 */
import { existsSync, readFileSync } from "node:fs";

interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}
interface LockedPackage extends Manifest {
  resolved?: string;
}

const json = (file: string): unknown => JSON.parse(readFileSync(file, "utf8"));
const { packages } = json("package-lock.json") as { packages: Record<string, LockedPackage> };

const problems: string[] = [];
for (const [folder, locked] of Object.entries(packages)) {
  if (locked.resolved?.includes("://")) problems.push(`package-lock.json: ${folder} names a host: ${locked.resolved}`);
  if (folder.includes("node_modules/")) continue;
  const file = folder === "" ? "package.json" : `${folder}/package.json`;
  if (!existsSync(file)) {
    problems.push(`package-lock.json: ${file} does not exist`);
    continue;
  }
  const manifest = json(file) as Manifest;
  for (const kind of ["dependencies", "devDependencies"] as const) {
    if (sorted(manifest[kind]) !== sorted(locked[kind]))
      problems.push(`${file}: ${kind} differ from package-lock.json`);
  }
}

function sorted(dependencies: Record<string, string> = {}): string {
  return JSON.stringify(Object.entries(dependencies).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

for (const problem of problems) console.error(problem);
process.exitCode = problems.length > 0 ? 1 : 0;
