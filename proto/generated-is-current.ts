/**
 * A check, run in the repository's root: gen/ and baseline.binpb are what `npm run generate` would write now.
 * Generates into a folder of its own and compares; changes nothing.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const proto = join(process.cwd(), "proto");
const bin = join(import.meta.dirname, "../node_modules/.bin");

function buf(...args: string[]): void {
  const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
  const { status } = spawnSync(join(bin, "buf"), args, { cwd: proto, env, stdio: "inherit" });
  if (status !== 0) throw new Error(`buf ${args.join(" ")}: failed`);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function differences(committed: string, fresh: string): string[] {
  const here = new Set(filesBelow(committed));
  const there = new Set(filesBelow(fresh));
  const problems: string[] = [];
  for (const file of new Set([...here, ...there])) {
    if (!here.has(file)) problems.push(`proto/gen/${file}: missing`);
    else if (!there.has(file)) problems.push(`proto/gen/${file}: no .proto file generates it`);
    else if (!readFileSync(join(committed, file)).equals(readFileSync(join(fresh, file)))) {
      problems.push(`proto/gen/${file}: not what its .proto file generates`);
    }
  }
  return problems.toSorted();
}

const temporary = mkdtempSync(join(tmpdir(), "sallyport-generated-"));
try {
  buf("generate", "-o", temporary);
  const problems = differences(join(proto, "gen"), join(temporary, "gen"));
  buf("build", "--exclude-source-info", "-o", join(temporary, "baseline.binpb"));
  if (!readFileSync(join(temporary, "baseline.binpb")).equals(readFileSync(join(proto, "baseline.binpb")))) {
    problems.push("proto/baseline.binpb: older than the .proto files");
  }
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) {
    console.error("Run `npm run generate` and commit what it wrote.");
    process.exitCode = 1;
  }
} finally {
  rmSync(temporary, { recursive: true });
}
